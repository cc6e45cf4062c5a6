package dht

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"chatnt/discovery/record"
)

// describe returns what a host's descriptor says of its key and addresses.
func describe(t *testing.T, h host.Host, addrs ...multiaddr.Multiaddr) *record.Descriptor {
	t.Helper()
	raw, err := publicKey(t, h).Raw()
	if err != nil {
		t.Fatal(err)
	}
	return &record.Descriptor{Node: [32]byte(raw), Addrs: addrs}
}

// dialler returns enough of a DHT to dial from a host that it makes.
func dialler(t *testing.T, public bool, opts ...libp2p.Option) *DHT {
	t.Helper()
	bans := new(Bans)
	h := newHost(t, bans, opts...)
	proofs, err := lru.New[peer.ID, proof](4)
	if err != nil {
		t.Fatal(err)
	}
	return &DHT{cfg: Config{Host: h, Bans: bans, Public: public, Log: slog.New(slog.DiscardHandler)}, proofs: proofs}
}

// connect has from open a connection to d's host, and waits until d sees it.
func connect(t *testing.T, from host.Host, d *DHT) {
	t.Helper()
	until(t, "the connection is seen", func() bool {
		// It does nothing while from still has the connection of a proof, which d closes at once.
		if err := from.Connect(t.Context(), info(d.cfg.Host)); err != nil {
			t.Fatal(err)
		}
		return connected(d.cfg.Host, from.ID())
	})
}

// nowhere is an address of this machine at which nobody listens.
func nowhere(t *testing.T) multiaddr.Multiaddr {
	t.Helper()
	gone := newHost(t, new(Bans), loopback)
	addr := gone.Addrs()[0]
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	return addr
}

// That a node has come here does not show that it is to be found at the
// addresses it publishes.
func TestDialOfANodeThatHasCome(t *testing.T) {
	t.Parallel()
	psk := libp2p.PrivateNetwork(make([]byte, 32))
	for name, opts := range map[string][]libp2p.Option{"open": nil, "pre-shared key": {psk}} {
		t.Run(name, func(t *testing.T) {
			d := dialler(t, false, append(opts, loopback)...)
			silent, listening := newHost(t, new(Bans), append(opts, libp2p.NoListenAddrs)...), newHost(t, new(Bans), append(opts, loopback)...)
			connect(t, silent, d)
			connect(t, listening, d)
			if err := d.Dial(t.Context(), describe(t, silent, nowhere(t))); err == nil {
				t.Error("a node counts as reached that listens nowhere")
			}
			if err := d.Dial(t.Context(), describe(t, silent, listening.Addrs()...)); err == nil {
				t.Error("a node counts as reached at the address of another")
			}
			if err := d.Dial(t.Context(), describe(t, listening, nowhere(t), listening.Addrs()[0])); err != nil {
				t.Errorf("a node that listens where it says: %v", err)
			}
			all := d.cfg.Host.Network().ConnsToPeer(listening.ID())
			if len(all) != 1 || all[0].Stat().Direction != network.DirInbound {
				t.Errorf("%d connections are left of the one it opened", len(all))
			}
			until(t, "the proof's connection is closed", func() bool {
				return len(listening.Network().ConnsToPeer(d.cfg.Host.ID())) == 1
			})
		})
	}
}

// A node that was reached and stays connected is not dialled again, but for other
// addresses or once it has come anew.
func TestProofHoldsForAConnection(t *testing.T) {
	t.Parallel()
	d, other := dialler(t, false, loopback), newHost(t, new(Bans), loopback)
	// Who is dialled for a proof may never hear of the connection: it is closed at once.
	dial := func(proves bool, addrs ...multiaddr.Multiaddr) {
		t.Helper()
		before, _ := d.proofs.Get(other.ID())
		if err := d.Dial(t.Context(), describe(t, other, addrs...)); err != nil {
			t.Fatal(err)
		}
		if after, _ := d.proofs.Get(other.ID()); (after != before) != proves {
			t.Errorf("a new proof: %v, want %v", after != before, proves)
		}
	}
	connect(t, other, d)
	here := other.Addrs()[0]
	dial(true, here)
	dial(false, here)
	dial(true, here, nowhere(t))
	dial(true, here)
	dial(false, here)
	if err := other.Network().ClosePeer(d.cfg.Host.ID()); err != nil {
		t.Fatal(err)
	}
	until(t, "the connection is gone", func() bool { return !connected(d.cfg.Host, other.ID()) })
	connect(t, other, d)
	dial(true, here)
}

// A connection that this node opened shows that the address leads there, and no
// other address.
func TestDialOfANodeThatWasReached(t *testing.T) {
	t.Parallel()
	d, other := dialler(t, false, loopback), newHost(t, new(Bans), loopback)
	var opened atomic.Int32
	other.Network().Notify(&network.NotifyBundle{ConnectedF: func(network.Network, network.Conn) { opened.Add(1) }})
	for range 3 {
		if err := d.Dial(t.Context(), describe(t, other, other.Addrs()...)); err != nil {
			t.Fatal(err)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections were opened", n)
	}
	if err := d.Dial(t.Context(), describe(t, other, nowhere(t))); err == nil {
		t.Error("a node counts as reached at an address that leads nowhere")
	}
	if err := d.Dial(t.Context(), describe(t, other)); err == nil {
		t.Error("a node counts as reached without an address")
	}
}

// Nodes that dial each other at the same time find that both are reached.
func TestDialEachOther(t *testing.T) {
	t.Parallel()
	a, b := dialler(t, false, loopback), dialler(t, false, loopback)
	descA, descB := describe(t, a.cfg.Host, a.cfg.Host.Addrs()...), describe(t, b.cfg.Host, b.cfg.Host.Addrs()...)
	results := make(chan error)
	go func() { results <- a.Dial(t.Context(), descB) }()
	go func() { results <- b.Dial(t.Context(), descA) }()
	for range 2 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	t.Parallel()
	d, other := dialler(t, false, loopback), newHost(t, new(Bans), libp2p.NoListenAddrs)
	connect(t, other, d)
	// Of the documentation's network (RFC 5737): nobody answers, nor refuses.
	mute := multiaddr.StringCast("/ip4/203.0.113.9/tcp/9")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := d.Dial(ctx, describe(t, other, mute)); err == nil {
		t.Error("a node counts as reached that listens nowhere")
	}
	if took := time.Since(began); took > dialTimeout/2 {
		t.Errorf("the dial took %v", took)
	}
}

// On a public network a stranger cannot have this node dial into the network it
// stands in; a network that is all on one machine works even so.
func TestMayDial(t *testing.T) {
	t.Parallel()
	private, local, nobody := dialler(t, false, loopback), dialler(t, true, loopback), dialler(t, true, libp2p.NoListenAddrs)
	wide := dialler(t, true, libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0", "/ip4/0.0.0.0/tcp/0"))
	for _, test := range []struct {
		addr  string
		dials []*DHT
	}{
		{"/ip4/1.1.1.1/tcp/4001", []*DHT{private, local, nobody, wide}},
		{"/ip6/2606:4700::1111/udp/4001/quic-v1", []*DHT{private, local, nobody, wide}},
		{"/ip4/127.0.0.1/tcp/4001", []*DHT{private, local}},
		{"/ip6/::1/tcp/4001", []*DHT{private, local}},
		{"/ip4/192.168.1.1/tcp/80", []*DHT{private}},
		{"/ip4/10.0.0.1/udp/4001/quic-v1", []*DHT{private}},
		{"/ip4/169.254.169.254/tcp/80", []*DHT{private}},
		{"/ip6/fd00::1/tcp/4001", []*DHT{private}},
		{"/dns4/example.org/tcp/4001", []*DHT{private}},
	} {
		a := multiaddr.StringCast(test.addr)
		for i, d := range []*DHT{private, local, nobody, wide} {
			want := false
			for _, one := range test.dials {
				want = want || one == d
			}
			if got := d.mayDial(a); got != want {
				t.Errorf("node %d dials %v: %v, want %v", i, a, got, want)
			}
		}
	}
}

// The same goes for whatever else has the host dial: it is refused below.
func TestHostOfAPublicNetworkDialsNoPrivateAddress(t *testing.T) {
	t.Parallel()
	bans := new(Bans)
	h := newHost(t, bans, libp2p.NoListenAddrs)
	d, err := New(Config{Host: h, Bans: bans, Protocol: testProtocol, Public: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	other := newHost(t, new(Bans), loopback)
	if err := h.Connect(t.Context(), info(other)); err == nil || connected(other, h.ID()) {
		t.Error("an address of this machine was dialled")
	}
	if err := d.Dial(t.Context(), describe(t, other, other.Addrs()...)); err == nil {
		t.Error("a node counts as reached at an address of this machine")
	}
}

// Whoever made up a name must not see it looked up.
func TestNamesAreNotDialled(t *testing.T) {
	t.Parallel()
	h := newHost(t, new(Bans), loopback)
	got, err := AddrInfo(describe(t, h, multiaddr.StringCast("/dns4/example.org/tcp/4001"), h.Addrs()[0]))
	if err != nil || len(got.Addrs) != 1 || !got.Addrs[0].Equal(h.Addrs()[0]) {
		t.Errorf("%v, %v", got.Addrs, err)
	}
}
