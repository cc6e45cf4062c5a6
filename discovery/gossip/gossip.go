// Package gossip spreads small signed announcements to every node of a network
// over one gossipsub topic (Vyzovitis et al., "GossipSub", 2020).
//
// Messages carry no author, number or signature of the node that publishes
// them: what they announce is signed inside. The id of a message is the hash of
// its bytes. Each message is judged before it is passed on, so a node forwards
// only what it believes itself.
package gossip

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Verdict is what a node thinks of a message.
type Verdict int

// The verdicts.
const (
	Accept Verdict = iota // new and valid: pass it on
	Ignore                // known, old or expired: do not pass it on
	Reject                // forged: nobody who judges passes it on
)

// Config says what a topic works with.
type Config struct {
	Host     host.Host
	Protocol protocol.ID               // prefix that keeps networks apart
	Name     string                    // of the topic
	MaxSize  int                       // of a message, in bytes
	Judge    func(data []byte) Verdict // takes in what it accepts; called from several goroutines
	Ban      func(peer.ID)             // told of the neighbour that sent what Judge rejects; may be nil
}

// ErrTooLarge says that a message is larger than the topic allows.
var ErrTooLarge = errors.New("the announcement is too large for its topic")

// framing is what gossipsub itself adds to a message, generously.
const framing = 1024

// Topic is one node's membership in a topic.
type Topic struct {
	cfg    Config
	cancel context.CancelFunc
	topic  *pubsub.Topic
	leave  pubsub.RelayCancelFunc
}

// New joins the topic. Close leaves it.
func New(cfg Config) (*Topic, error) {
	ctx, cancel := context.WithCancel(context.Background())
	t, err := join(ctx, cfg)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("joining the network's announcements: %w", err)
	}
	t.cancel = cancel
	return t, nil
}

func join(ctx context.Context, cfg Config) (*Topic, error) {
	params := pubsub.DefaultGossipSubParams()
	// Neighbours do not tell this node whom to connect to: the directory does.
	params.PrunePeers, params.Connectors = 0, 0
	ps, err := pubsub.NewGossipSub(ctx, cfg.Host,
		pubsub.WithGossipSubParams(params),
		pubsub.WithGossipSubProtocols(
			[]protocol.ID{cfg.Protocol + "/meshsub/1"},
			func(pubsub.GossipSubFeature, protocol.ID) bool { return true },
		),
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(messageID),
		pubsub.WithMaxMessageSize(cfg.MaxSize+framing),
		// Otherwise neighbours could have this node remember any number of topics.
		pubsub.WithSubscriptionFilter(pubsub.NewAllowlistSubscriptionFilter(cfg.Name)),
		// What this node publishes itself goes to every neighbour, not only to
		// those it has been joined to in the mesh, which takes up to a second.
		pubsub.WithFloodPublish(true),
		pubsub.WithLogger(slog.New(slog.DiscardHandler)), // it names peers
	)
	if err != nil {
		return nil, err
	}
	t := &Topic{cfg: cfg}
	if err := ps.RegisterTopicValidator(cfg.Name, t.judge); err != nil {
		return nil, err
	}
	if t.topic, err = ps.Join(cfg.Name); err != nil {
		return nil, err
	}
	// Relaying is membership without a queue of messages to read: judge has
	// handed each one on already.
	if t.leave, err = t.topic.Relay(); err != nil {
		return nil, err
	}
	return t, nil
}

func messageID(m *pb.Message) string {
	sum := sha256.Sum256(m.GetData())
	return string(sum[:])
}

// judge is called with the neighbour that a message came from; for a message of
// this node's own, that is itself.
func (t *Topic) judge(_ context.Context, from peer.ID, m *pubsub.Message) pubsub.ValidationResult {
	if from == t.cfg.Host.ID() {
		return pubsub.ValidationAccept
	}
	verdict := Reject
	if len(m.GetData()) <= t.cfg.MaxSize {
		verdict = t.cfg.Judge(m.GetData())
	}
	switch verdict {
	case Accept:
		return pubsub.ValidationAccept
	case Ignore:
		return pubsub.ValidationIgnore
	}
	if t.cfg.Ban != nil {
		t.cfg.Ban(from)
	}
	return pubsub.ValidationReject
}

// Publish announces data to the network. It does not tell whether anybody heard.
func (t *Topic) Publish(ctx context.Context, data []byte) error {
	if len(data) > t.cfg.MaxSize {
		return ErrTooLarge // gossipsub itself would say nothing
	}
	return t.topic.Publish(ctx, data)
}

// Close leaves the topic.
func (t *Topic) Close() error {
	t.leave()
	err := t.topic.Close()
	t.cancel()
	return err
}
