package link

import (
	"context"
	"crypto/ed25519"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"

	"chatnt/discovery/hashid"
	"chatnt/overlay/onion"
)

// TestLibp2p runs the suite over TCP and TLS on loopback.
func TestLibp2p(t *testing.T) {
	for _, c := range suite {
		t.Run(c.name, func(t *testing.T) { c.run(t, new(libp2pWire)) })
	}
}

// TestQUIC runs the part of it that a transport can change.
func TestQUIC(t *testing.T) {
	for _, c := range suite {
		switch c.name {
		case "order", "both directions", "restart", "stuck neighbour", "stall inside a frame", "replaced stream":
			t.Run(c.name, func(t *testing.T) { c.run(t, &libp2pWire{quic: true}) })
		}
	}
}

const testProtocol = "/chatnt/test/onion/x25519/1"

// libp2pWire makes hosts and plays the directory.
type libp2pWire struct {
	quic   bool
	silent bool // hosts do not listen

	mu    sync.Mutex // guards hosts
	hosts map[hashid.NodeID]peer.AddrInfo
}

func testKey(i byte) crypto.PrivKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = i
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		panic(err)
	}
	return key
}

func (w *libp2pWire) host(t testing.TB, key crypto.PrivKey) host.Host {
	t.Helper()
	options := []libp2p.Option{
		libp2p.Identity(key), libp2p.DisableMetrics(),
		libp2p.ResourceManager(&network.NullResourceManager{}),
	}
	listen := "/ip4/127.0.0.1/tcp/0"
	if w.quic {
		options, listen = append(options, libp2p.Transport(quic.NewTransport)), "/ip4/127.0.0.1/udp/0/quic-v1"
	} else {
		options = append(options, libp2p.Transport(tcp.NewTCPTransport), libp2p.Security(libp2ptls.ID, libp2ptls.New))
	}
	if w.silent {
		options = append(options, libp2p.NoListenAddrs)
	} else {
		options = append(options, libp2p.ListenAddrStrings(listen))
	}
	h, err := libp2p.New(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func (w *libp2pWire) resolve(_ context.Context, to hashid.NodeID) (peer.AddrInfo, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	info, ok := w.hosts[to]
	if !ok {
		return info, errors.New("the directory does not know the node")
	}
	return info, nil
}

func (w *libp2pWire) add(t testing.TB, i byte, receive func(*Link, hashid.NodeID, *onion.Packet), tune func(*limits)) *node {
	t.Helper()
	h := w.host(t, testKey(i))
	id, err := nodeID(h.ID())
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	if w.hosts == nil {
		w.hosts = make(map[hashid.NodeID]peer.AddrInfo)
	}
	w.hosts[id] = peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}
	w.mu.Unlock()

	n := &node{id: id, unreachable: make(chan hashid.NodeID, 100)}
	if receive == nil {
		receive = func(l *Link, _ hashid.NodeID, p *onion.Packet) { l.Put(p) }
	}
	n.Link = New(Config{
		Host:        h,
		Protocol:    testProtocol,
		Resolve:     w.resolve,
		Receive:     func(from hashid.NodeID, p *onion.Packet) { receive(n.Link, from, p) },
		Unreachable: func(to hashid.NodeID) { n.unreachable <- to },
	})
	n.start(t, tune, func() { _ = h.Close() })
	return n
}

func (n *node) libp2p() *libp2pTransport {
	return n.transport.(announced).transport.(*libp2pTransport)
}

func (n *node) testHost() host.Host { return n.libp2p().host }

// A node that does not listen is sent to over the connection it opened.
func TestBehindNAT(t *testing.T) {
	w := new(libp2pWire)
	got := make(chan uint64, 1)
	a := w.add(t, 1, nil, nil)
	w.silent = true
	b := w.add(t, 2, collect(got), nil)
	delete(w.hosts, b.id)

	if err := a.Send(b.id, a.Get()); err != nil {
		t.Fatal(err)
	}
	expect(t, a.unreachable, b.id)

	if err := b.testHost().Connect(t.Context(), w.hosts[a.id]); err != nil {
		t.Fatal(err)
	}
	b.got = got
	sendUntil(t, a, b, 1)

	_ = b.testHost().Network().ClosePeer(a.testHost().ID())
	peers := a.libp2p()
	eventually(t, "the peer is forgotten", func() bool {
		peers.mu.Lock()
		defer peers.mu.Unlock()
		return len(peers.peers) == 0
	})
}

// Frames cross a circuit relay, whose connections libp2p calls limited.
func TestCircuit(t *testing.T) {
	w := new(libp2pWire)
	got := make(chan uint64, 1)
	relay := w.host(t, testKey(9))
	service, err := circuit.New(relay)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = service.Close() })
	a := w.add(t, 1, nil, nil)
	b := w.add(t, 2, collect(got), nil)

	via := peer.AddrInfo{ID: relay.ID(), Addrs: relay.Addrs()}
	if _, err := client.Reserve(t.Context(), b.testHost(), via); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	w.hosts[b.id] = peer.AddrInfo{ID: b.testHost().ID(), Addrs: []ma.Multiaddr{
		relay.Addrs()[0].Encapsulate(ma.StringCast("/p2p/" + relay.ID().String() + "/p2p-circuit")),
	}}
	w.mu.Unlock()
	b.got = got
	sendUntil(t, a, b, 1)
	if c := best(a.testHost().Network().ConnsToPeer(b.testHost().ID())); c == nil || !c.Stat().Limited {
		t.Error("the frame took another way")
	}
}

// Streams follow a node to its newest connection.
func TestMoved(t *testing.T) {
	w := new(libp2pWire)
	got := make(chan uint64, 1)
	a := w.add(t, 1, nil, nil)
	b := w.add(t, 2, collect(got), nil)
	if err := a.Send(b.id, a.numbered(0)); err != nil {
		t.Fatal(err)
	}
	expect(t, got, 0)

	// The same node again, from another port, while nothing tells that the older
	// connection is of no use any more.
	again := make(chan uint64, 10)
	b2 := w.add(t, 2, collect(again), nil)
	if err := b2.testHost().Connect(t.Context(), w.hosts[a.id]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new connection is known", func() bool {
		return len(a.testHost().Network().ConnsToPeer(b2.testHost().ID())) == 2
	})
	b2.got = again
	sendUntil(t, a, b2, 1)
	if n := b.Stats().FramesIn; n != 1 {
		t.Errorf("%d frames went to the older connection", n)
	}
}

func TestRefusals(t *testing.T) {
	w := new(libp2pWire)
	a := w.add(t, 1, nil, nil)
	b := w.add(t, 2, nil, nil)

	t.Run("another kind of key", func(t *testing.T) {
		key, _, err := crypto.GenerateKeyPair(crypto.Secp256k1, 0)
		if err != nil {
			t.Fatal(err)
		}
		h := w.host(t, key)
		if err := h.Connect(t.Context(), w.hosts[a.id]); err != nil {
			t.Fatal(err)
		}
		s, err := h.NewStream(t.Context(), a.testHost().ID(), testProtocol)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Reset() }()
		_, _ = s.Write(make([]byte, onion.Size))
		ended(t, s)
		if n := a.Stats().FramesIn; n != 0 {
			t.Errorf("%d frames came in", n)
		}
	})
	t.Run("another node's addresses", func(t *testing.T) {
		other := hashid.NodeID{77}
		w.mu.Lock()
		w.hosts[other] = w.hosts[b.id]
		w.mu.Unlock()
		if err := a.Send(other, a.Get()); err != nil {
			t.Fatal(err)
		}
		expect(t, a.unreachable, other)
		if n := b.Stats().FramesIn; n != 0 {
			t.Errorf("%d frames went to another node", n)
		}
	})
	t.Run("another protocol", func(t *testing.T) {
		b.testHost().RemoveStreamHandler(testProtocol)
		if err := a.Send(b.id, a.Get()); err != nil {
			t.Fatal(err)
		}
		expect(t, a.unreachable, b.id)
	})
}

// A look-up that takes for ever costs its own neighbour's packets only.
func TestSlowResolve(t *testing.T) {
	w := new(libp2pWire)
	got := make(chan uint64, 1)
	b := w.add(t, 2, collect(got), nil)
	h := w.host(t, testKey(1))
	slow := hashid.NodeID{50}
	asked := make(chan hashid.NodeID, 1)
	n := &node{unreachable: make(chan hashid.NodeID, 1)}
	n.Link = New(Config{
		Host: h, Protocol: testProtocol,
		Resolve: func(ctx context.Context, to hashid.NodeID) (peer.AddrInfo, error) {
			if to == slow {
				asked <- to
				<-ctx.Done()
				return peer.AddrInfo{}, ctx.Err()
			}
			return w.resolve(ctx, to)
		},
		Receive:     func(_ hashid.NodeID, p *onion.Packet) { n.Put(p) },
		Unreachable: func(to hashid.NodeID) { n.unreachable <- to },
	})
	n.start(t, func(l *limits) { l.connecting, l.resolve = 2, 2*time.Second }, func() {})
	if err := n.Send(slow, n.Get()); err != nil {
		t.Fatal(err)
	}
	expect(t, asked, slow)
	if err := n.Send(b.id, n.numbered(1)); err != nil {
		t.Fatal(err)
	}
	expect(t, got, 1)
	expect(t, n.unreachable, slow)

	eventually(t, "the neighbour is forgotten", func() bool { return n.Stats().Neighbours == 1 })
}
