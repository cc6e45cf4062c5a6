package node

import (
	"context"
	"io"
	"os"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	libp2pnetwork "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/multiformats/go-multiaddr"

	"chatnt/discovery/dht"
	"chatnt/discovery/network"
)

// testHost is the host of a new profile's node, on a real socket.
func testHost(t *testing.T, net *network.Network, at ...string) host.Host {
	t.Helper()
	p, err := Ephemeral(net, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	var addrs []multiaddr.Multiaddr
	for _, a := range at {
		addrs = append(addrs, multiaddr.StringCast(a))
	}
	h, err := newHost(p, new(dht.Bans), addrs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Network().Close(); err != nil {
			t.Error(err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := listen(h, addrs, true); err != nil {
		t.Fatal(err)
	}
	return h
}

// A family behind one router shares an address: on a private network all of it
// is let in, on a public one a good part.
func TestNodesThatShareAnAddress(t *testing.T) {
	for name, test := range map[string]struct {
		addr   string
		public bool
		want   int // connections of 100
	}{
		"private":              {"/ip4/203.0.113.5/tcp/4001", false, 100},
		"private, IPv6":        {"/ip6/2001:db8::5/tcp/4001", false, 100},
		"public":               {"/ip4/203.0.113.5/tcp/4001", true, connsAtOne},
		"public, IPv6":         {"/ip6/2001:db8::5/tcp/4001", true, connsAtOne},
		"public, this machine": {"/ip4/127.0.0.1/tcp/4001", true, 100},
	} {
		t.Run(name, func(t *testing.T) {
			resources, err := newResources(test.public)
			if err != nil {
				t.Fatal(err)
			}
			defer resources.Close()
			addr, got := multiaddr.StringCast(test.addr), 0
			for range 100 {
				if conn, err := resources.OpenConnection(libp2pnetwork.DirInbound, true, addr); err == nil {
					defer conn.Done()
					got++
				}
			}
			if got != test.want {
				t.Errorf("%d of 100 connections were let in, want %d", got, test.want)
			}
		})
	}
}

// Neighbours that open as many streams as they may and say nothing, or say that
// they identify themselves and do not, take nothing from others: whoever was connected
// still is and can ask, and whoever comes is let in.
func TestMuteStreams(t *testing.T) {
	const echo = "/test/echo"
	neighbours := 60 // half as many again as used up the memory that the library allows
	if os.Getenv("CHATNT_LONG") == "1" {
		neighbours = 150
	}
	net := testNetwork(t)
	victim := testHost(t, net, "/ip4/127.0.0.1/tcp/0")
	victim.SetStreamHandler(echo, func(s libp2pnetwork.Stream) {
		_, _ = io.Copy(s, s)
		_ = s.Close()
	})
	info := peer.AddrInfo{ID: victim.ID(), Addrs: victim.Addrs()}
	connect := func() host.Host {
		h := testHost(t, net, "/ip4/127.0.0.1/tcp/0")
		if err := h.Connect(t.Context(), info); err != nil {
			t.Fatalf("a node is not let in: %v", err)
		}
		return h
	}
	ask := func(h host.Host) error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		s, err := h.NewStream(ctx, victim.ID(), echo)
		if err != nil {
			return err
		}
		defer func() { _ = s.Reset() }()
		if err := s.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			return err
		}
		if _, err := s.Write([]byte("there?")); err != nil {
			return err
		}
		_, err = io.ReadFull(s, make([]byte, 6))
		return err
	}
	good := connect()
	conn := good.Network().ConnsToPeer(victim.ID())[0]
	for range neighbours {
		h := connect()
		for i := range 4 * streamsOfOne {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			s, err := h.Network().NewStream(ctx, victim.ID())
			cancel()
			if err != nil {
				break // no more
			}
			said := "\x13/multistream/1.0.0\n"
			if i%2 == 0 {
				said += string(rune(len(identify.IDPush)+1)) + identify.IDPush + "\n"
			}
			_, _ = s.Write([]byte(said))
		}
	}
	open := 0
	for _, c := range victim.Network().Conns() {
		n := len(c.GetStreams())
		open += n
		if n > streamsOfOne+2 { // and those that the victim opened
			t.Errorf("a neighbour has %d streams open", n)
		}
	}
	if open < neighbours*streamsOfOne/2 {
		t.Errorf("only %d streams are open: this shows nothing", open)
	}
	if err := ask(good); err != nil || conn.IsClosed() {
		t.Errorf("who was there before gets no answer: %v; connection closed: %v", err, conn.IsClosed())
	}
	if err := ask(connect()); err != nil {
		t.Errorf("who comes now gets no answer: %v", err)
	}
	if open := len(victim.Network().Peers()); open < neighbours {
		t.Errorf("%d of %d neighbours are still connected", open, neighbours)
	}
}

// One neighbour that asks for as much at once as it may, again and again, is refused
// what is too much and keeps its connection.
func TestStreamsTooMany(t *testing.T) {
	net := testNetwork(t)
	victim, other := testHost(t, net, "/ip4/127.0.0.1/tcp/0"), testHost(t, net, "/ip4/127.0.0.1/tcp/0")
	hold := make(chan struct{})
	victim.SetStreamHandler("/test/hold", func(s libp2pnetwork.Stream) {
		<-hold
		_ = s.Close()
	})
	defer close(hold)
	if err := other.Connect(t.Context(), peer.AddrInfo{ID: victim.ID(), Addrs: victim.Addrs()}); err != nil {
		t.Fatal(err)
	}
	conn, taken, refused := other.Network().ConnsToPeer(victim.ID())[0], 0, 0
	for range 10 * streamsOfOne {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		s, err := other.NewStream(ctx, victim.ID(), "/test/hold")
		cancel()
		if err != nil {
			refused++
			continue
		}
		if err := s.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(make([]byte, 1)); err != nil && os.IsTimeout(err) {
			taken++
		} else {
			refused++
		}
	}
	if conn.IsClosed() || taken > streamsOfOne || refused == 0 {
		t.Errorf("%d streams taken, %d refused, connection closed: %v", taken, refused, conn.IsClosed())
	}
}
