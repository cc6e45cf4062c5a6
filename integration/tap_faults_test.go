package integration

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multistream"

	"chatnt/discovery/hashid"
	"chatnt/overlay/link"
	"chatnt/overlay/onion"
)

// TestTapSeesWhatIsNoFrame has streams carry what no link writes, which a tap at
// one of their ends tells.
func TestTapSeesWhatIsNoFrame(t *testing.T) {
	goHome(t)
	net := newNetwork(t, false)
	onions := protocol.ID(net.Protocol("onion/x25519/1"))
	w := newWiretap(string(onions))
	newNode := func() (host.Host, hashid.NodeID) {
		public, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		h := newHost(t, key, net, libp2p.ListenAddrStrings(loopback))
		t.Cleanup(func() {
			if err := errors.Join(h.Network().Close(), h.Close()); err != nil {
				t.Error(err)
			}
		})
		return h, hashid.OfNode(public)
	}
	other, _ := newNode()
	tapped := new(bareRelay)
	tapped.host, tapped.self = newNode()
	w.tap(tapped)
	other.SetStreamHandler(onions, func(s network.Stream) { _, _ = io.Copy(io.Discard, s); _ = s.Close() })

	var l *link.Link
	l = link.New(link.Config{
		Host: tapped.carrier, Protocol: onions, Receive: func(_ hashid.NodeID, p *onion.Packet) { l.Put(p) },
		Resolve: func(context.Context, hashid.NodeID) (peer.AddrInfo, error) {
			return peer.AddrInfo{}, errors.ErrUnsupported
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if err := other.Connect(ctx, peer.AddrInfo{ID: tapped.host.ID(), Addrs: tapped.host.Addrs()}); err != nil {
		t.Fatal(err)
	}
	expect := func(want string) {
		t.Helper()
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.faults) != 1 || !strings.HasPrefix(w.faults[0], want) {
			t.Errorf("the tap tells of %q, not of %q", w.faults, want)
		}
		w.faults = nil
	}
	opened := func(says ...string) network.Stream { // by the tapped side
		t.Helper()
		s, err := tapped.carrier.Network().ConnsToPeer(other.ID())[0].NewStream(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := multistream.SelectProtoOrFail(onions, s); err != nil {
			t.Fatal(err)
		}
		for _, more := range says {
			if _, err := io.WriteString(s, more); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.SetProtocol(onions); err != nil {
			t.Fatal(err)
		}
		return s
	}

	// Whoever runs the other node's link sends a frame and a bit.
	s, err := other.NewStream(ctx, tapped.host.ID(), onions)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(make([]byte, onion.Size+3)); err != nil {
		t.Fatal(err)
	}
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(make([]byte, 1)); err == nil {
		t.Error("a link writes on a stream that it reads")
	}
	expect("a stream ended 3 bytes into a frame")
	if w.count() != 1 {
		t.Errorf("%d frames were seen, not the one that there was", w.count())
	}

	s = opened()
	if _, err := s.Write(make([]byte, onion.Size-1)); err != nil {
		t.Fatal(err)
	}
	expect("a frame of 4095 bytes was sent")
	_ = s.Reset()

	_ = opened("I am number three.").Reset()
	expect("before its first frame a node asked")
}
