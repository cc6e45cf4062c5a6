package discovery_test

import (
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"chatnt/discovery"
	"chatnt/discovery/dht"
	"chatnt/discovery/gossip"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// node is all of discovery, wired as the program does it, on a real socket.
type node struct {
	t         *testing.T
	key       ed25519.PrivateKey
	id        hashid.NodeID
	host      host.Host
	bans      *dht.Bans
	table     *dht.DHT
	topic     *gossip.Topic
	directory *discovery.Directory
	publisher *discovery.Publisher
	lead      uint64 // of its descriptors' sequences before the clock
	stop      func()
}

var networkID = [32]byte{1}

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newNode makes a node that listens. It knows nobody before run is called.
func newNode(t *testing.T, key ed25519.PrivateKey) *node {
	t.Helper()
	identity, err := crypto.UnmarshalEd25519PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	bans := new(dht.Bans)
	h, err := libp2p.New(
		libp2p.Identity(identity), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.Transport(tcp.NewTCPTransport), libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.ConnectionGater(bans), libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.Ping(false),
	)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, key: key, id: hashid.OfNode(key.Public().(ed25519.PublicKey)), host: h, bans: bans}
	n.directory = discovery.NewDirectory(n.id, networkID, time.Now, slog.New(slog.DiscardHandler))
	return n
}

// run starts a node that knows the given others.
func (n *node) run(known ...*node) {
	n.t.Helper()
	log := slog.New(slog.DiscardHandler)
	var infos []peer.AddrInfo
	for _, k := range known {
		infos = append(infos, peer.AddrInfo{ID: k.host.ID(), Addrs: k.host.Addrs()})
	}
	var err error
	n.table, err = dht.New(dht.Config{
		Host: n.host, Bans: n.bans, Protocol: "/chatnt-test/dht", Log: log,
		Validator: record.Validator{Network: networkID},
		Bootstrap: func() []peer.AddrInfo { return infos },
		Stored:    func(_ string, value []byte) { _, _ = n.directory.Learn(value) },
	})
	if err != nil {
		n.t.Fatal(err)
	}
	n.topic, err = gossip.New(gossip.Config{
		Host: n.host, Protocol: "/chatnt-test/gossip", Name: "relays", MaxSize: record.MaxDescriptor, Ban: n.table.Ban,
		Judge: func(data []byte) gossip.Verdict {
			switch fresh, err := n.directory.Learn(data); {
			case record.IsForged(err):
				return gossip.Reject
			case fresh && err == nil:
				return gossip.Accept
			}
			return gossip.Ignore
		},
	})
	if err != nil {
		n.t.Fatal(err)
	}
	n.publisher = discovery.NewPublisher(n.table, time.Now, log, discovery.Publication{
		What: "relay descriptor", Keys: []string{record.DescriptorKey(n.id)}, Every: 2 * time.Hour, Sign: n.descriptor,
		Announce: func(ctx context.Context, value []byte) {
			if err := n.topic.Publish(ctx, value); err != nil && ctx.Err() == nil {
				n.t.Error(err)
			}
		},
	})

	ctx, cancel := context.WithCancel(n.t.Context())
	var wg sync.WaitGroup
	run := func(part func(context.Context) error) {
		wg.Go(func() {
			if err := part(ctx); err != nil {
				n.t.Error(err)
			}
		})
	}
	run(n.table.Run)
	run(n.publisher.Run)
	run(func(ctx context.Context) error { return n.directory.Run(ctx, n.table) })
	run(func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-n.table.Grown():
				n.directory.Grown()
				n.publisher.Grown()
			}
		}
	})
	n.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		if err := errors.Join(n.topic.Close(), n.table.Close(), n.host.Close()); err != nil {
			n.t.Error(err)
		}
	})
	n.t.Cleanup(n.stop)
}

func (n *node) descriptor(now time.Time) ([]byte, error) {
	onion, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	d := &record.Descriptor{
		Node: [32]byte(n.key.Public().(ed25519.PublicKey)), FirstEpoch: record.Epoch(now),
		Sequence: uint64(now.Unix()) + n.lead, Expires: now.Add(record.DescriptorLifetime),
		Flags: record.FlagRelay, Addrs: n.host.Addrs(),
	}
	for i := range d.Keys {
		d.Keys[i] = [32]byte(onion.PublicKey().Bytes())
	}
	return d.Sign(networkID, n.key)
}

// sees waits until a node has enough usable relays, and says how long it took
// since began; it fails after the ten seconds that the program promises.
func (n *node) sees(enough int, began time.Time) time.Duration {
	n.t.Helper()
	deadline := time.After(10*time.Second - time.Since(began))
	for {
		changed := n.directory.Changed()
		if len(n.directory.Usable()) >= enough {
			return time.Since(began)
		}
		select {
		case <-changed:
		case <-deadline:
			n.t.Fatalf("%d usable relays after ten seconds, want %d", len(n.directory.Usable()), enough)
		}
	}
}

// Nodes that start together, of which one is known to all, can soon use each
// other as relays.
func TestSevenNodesMeet(t *testing.T) {
	const count = 7
	var nodes []*node
	for range count {
		nodes = append(nodes, newNode(t, newKey(t)))
	}
	began := time.Now()
	for i, n := range nodes {
		if i == 0 {
			n.run()
		} else {
			n.run(nodes[0])
		}
	}
	for i, n := range nodes {
		five := n.sees(5, began)
		all := n.sees(count-1, began)
		t.Logf("node %d: five relays by %v, all by %v", i, five.Round(time.Millisecond), all.Round(time.Millisecond))
	}

	// One leaves and comes back on another port; the others hear of it, whom it
	// dials or not.
	back := newNode(t, nodes[3].key)
	nodes[3].stop()
	back.lead = 1 // it may be back within the same second
	began = time.Now()
	back.run(nodes[6])
	back.sees(count-1, began)
	for i, n := range nodes {
		if i == 3 {
			continue
		}
		took := n.finds(back, began)
		t.Logf("node %d reaches the one that moved after %v", i, took.Round(time.Millisecond))
	}
}

// finds waits until other is usable at its present address.
func (n *node) finds(other *node, began time.Time) time.Duration {
	n.t.Helper()
	deadline := time.After(5*time.Second - time.Since(began))
	for {
		changed := n.directory.Changed()
		for _, r := range n.directory.Usable() {
			if r.ID() == other.id && r.Addrs[0].Equal(other.host.Addrs()[0]) {
				return time.Since(began)
			}
		}
		select {
		case <-changed:
		case <-deadline:
			n.t.Fatal("it is not usable five seconds after it moved")
		}
	}
}
