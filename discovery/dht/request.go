package dht

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-msgio"
	"google.golang.org/protobuf/proto"

	"chatnt/discovery/record"
)

const (
	requestTimeout = 2 * time.Second // for one peer's dial, and again for its answer

	// maxAnswer bounds one answer: a record and the nearest peers with maxAddrs
	// addresses of at most record.MaxAddr bytes each (view.go).
	maxAnswer = 64 << 10

	// What is taken from one answer: the nearest peers, and the one that was
	// asked for by name, each with some addresses.
	maxCloser = bucketSize + 1
	maxAddrs  = 16

	// The longest address that libp2p writes, a relayed one over WebTransport
	// with two certificates, has some 200 bytes.
	maxAddrSize = 256
)

// requests sends the table's messages, a stream each. It replaces the library's
// sender for three reasons: that one waits ten seconds for a mute peer, twice;
// only here is it still known who gave an answer; and the library believes that
// an answer has what it should have (it crashes on an answer to a put that
// carries no record).
type requests struct {
	host      host.Host
	protocols []protocol.ID
	validator record.Validator
	mutes     *mutes
	answered  func(peer.ID)
	ban       func(peer.ID)
}

var (
	errNotEchoed = errors.New("the peer did not confirm the record")
	errForged    = errors.New("the peer served a forged record")
)

// SendRequest sends a message to p and waits for the answer, two seconds at most;
// a peer that did not answer lately is not asked. A record in the answer that
// fails the validator is taken out of it; if p must have known that it is
// forged, p is banned.
func (r *requests) SendRequest(ctx context.Context, p peer.ID, req *pb.Message) (*pb.Message, error) {
	if r.mutes.has(p) {
		return nil, errMute
	}
	patience := requestTimeout
	if connected(r.host, p) {
		patience = r.mutes.patience(r.host.Peerstore().LatencyEWMA(p))
	}
	asked := r.mutes.now()
	short, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answer, err := r.exchange(short, p, req)
	if err != nil {
		if ctx.Err() == nil && short.Err() != nil {
			r.mutes.silent(p, asked)
		}
		return nil, err
	}
	took := r.mutes.now().Sub(asked)
	r.host.Peerstore().RecordLatency(p, took)
	if err := r.judge(p, req, answer); err != nil {
		return nil, err
	}
	r.mutes.answered(p, took)
	answeredIn(ctx, p)
	r.answered(p)
	return answer, nil
}

// judge refuses an answer that no honest peer gives and takes out of it what
// is of no use.
func (r *requests) judge(p peer.ID, req, answer *pb.Message) error {
	answer.CloserPeers = nodesOf(answer.CloserPeers)
	rec := answer.GetRecord()
	switch req.GetType() {
	case pb.Message_PUT_VALUE:
		if rec == nil {
			return errNotEchoed
		}
	case pb.Message_GET_VALUE:
		if rec == nil {
			return nil
		}
		err := r.validator.Validate(string(req.GetKey()), rec.GetValue())
		if record.IsForged(err) || err == nil && !bytes.Equal(rec.GetKey(), req.GetKey()) {
			r.ban(p)
			return errForged
		}
		if err != nil {
			answer.Record = nil // merely expired: an honest peer may still hold it
		}
	}
	return nil
}

// nodesOf returns the first peers that could be nodes of this network. The library
// takes any bytes for a peer's id, and keeps them: long ones would fill its tables.
func nodesOf(closer []*pb.Message_Peer) []*pb.Message_Peer {
	closer = slices.DeleteFunc(closer, func(c *pb.Message_Peer) bool {
		_, ok := NodeID(peer.ID(c.GetId()))
		return !ok
	})
	closer = closer[:min(len(closer), maxCloser)]
	for _, c := range closer {
		c.Addrs = slices.DeleteFunc(c.Addrs, func(a []byte) bool { return len(a) > maxAddrSize })
		c.Addrs = c.Addrs[:min(len(c.Addrs), maxAddrs)]
	}
	return closer
}

// SendMessage sends a message to p and expects no answer.
func (r *requests) SendMessage(ctx context.Context, p peer.ID, msg *pb.Message) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	s, err := r.open(ctx, p)
	if err != nil {
		return err
	}
	if err := write(s, msg); err != nil {
		_ = s.Reset()
		return err
	}
	return s.Close()
}

// OnDisconnect has nothing to do: no stream outlives its request.
func (r *requests) OnDisconnect(context.Context, peer.ID) {}

func (r *requests) exchange(ctx context.Context, p peer.ID, req *pb.Message) (*pb.Message, error) {
	s, err := r.open(ctx, p)
	if err != nil {
		return nil, err
	}
	// Look-ups are called off as soon as they have enough: the stream must not
	// keep its goroutine until the deadline then.
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	answer, err := roundTrip(s, req)
	if err != nil {
		_ = s.Reset()
		return nil, err
	}
	_ = s.Close() // there is nothing left to lose
	return answer, nil
}

func (r *requests) open(ctx context.Context, p peer.ID) (network.Stream, error) {
	s, err := r.host.NewStream(network.WithAllowLimitedConn(ctx, "dht"), p, r.protocols...)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := s.SetDeadline(deadline); err != nil {
			_ = s.Reset()
			return nil, err
		}
	}
	return s, nil
}

func roundTrip(s network.Stream, req *pb.Message) (*pb.Message, error) {
	if err := write(s, req); err != nil {
		return nil, err
	}
	if err := s.CloseWrite(); err != nil {
		return nil, err
	}
	frames := msgio.NewVarintReaderSize(s, maxAnswer)
	frame, err := frames.ReadMsg()
	if err != nil {
		return nil, err
	}
	defer frames.ReleaseMsg(frame)
	answer := new(pb.Message)
	if err := proto.Unmarshal(frame, answer); err != nil {
		return nil, fmt.Errorf("the peer's answer makes no sense: %w", err)
	}
	return answer, nil
}

func write(s network.Stream, msg *pb.Message) error {
	frame, err := proto.Marshal(msg)
	if err != nil {
		return err
	}
	return msgio.NewVarintWriter(s).WriteMsg(frame)
}
