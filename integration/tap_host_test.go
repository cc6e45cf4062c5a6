package integration

import (
	"bytes"
	"context"
	"sync"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"

	"chatnt/discovery/hashid"
	"chatnt/overlay/onion"
)

// tap has a wiretap see what goes through the link of a relay that is being made:
// everything on its streams, after TLS has taken it off the wire and before TLS
// puts it there. The rest of the relay has the host itself.
func (w *wiretap) tap(r *bareRelay) {
	h := &tappedHost{Host: r.host, wire: w, self: r.self}
	h.network = &tappedNetwork{Network: r.host.Network(), host: h}
	r.carrier = h
}

// tappedHost is a host whose streams, the only thing that a link uses of it, go
// through a wiretap.
type tappedHost struct {
	host.Host
	wire    *wiretap
	self    hashid.NodeID
	network *tappedNetwork
}

func (h *tappedHost) Network() network.Network { return h.network }

func (h *tappedHost) SetStreamHandler(id protocol.ID, handle network.StreamHandler) {
	h.Host.SetStreamHandler(id, func(s network.Stream) {
		tapped := h.tap(s, false)
		tapped.begun = true // the host has answered the hello
		handle(tapped)
	})
}

func (h *tappedHost) tap(s network.Stream, ours bool) *tappedStream {
	other, err := nodeOf(s.Conn().RemotePeer())
	if err != nil {
		h.wire.fault("a stream with somebody who is no node: %v", err)
	}
	return &tappedStream{Stream: s, host: h, other: other, ours: ours}
}

// tappedNetwork hands out the connections of a host. A connection is always the
// same one, since links compare them.
type tappedNetwork struct {
	network.Network
	host  *tappedHost
	conns sync.Map // network.Conn to *tappedConn
	watch sync.Map // network.Notifiee to *network.NotifyBundle
}

func (n *tappedNetwork) conn(c network.Conn) network.Conn {
	tapped, _ := n.conns.LoadOrStore(c, &tappedConn{c, n.host})
	return tapped.(network.Conn)
}

func (n *tappedNetwork) all(conns []network.Conn) []network.Conn {
	for i, c := range conns {
		conns[i] = n.conn(c)
	}
	return conns
}

func (n *tappedNetwork) Conns() []network.Conn { return n.all(n.Network.Conns()) }

func (n *tappedNetwork) ConnsToPeer(p peer.ID) []network.Conn {
	return n.all(n.Network.ConnsToPeer(p))
}

func (n *tappedNetwork) DialPeer(ctx context.Context, p peer.ID) (network.Conn, error) {
	c, err := n.Network.DialPeer(ctx, p)
	if err != nil {
		return nil, err
	}
	return n.conn(c), nil
}

func (n *tappedNetwork) Notify(to network.Notifiee) {
	watch := &network.NotifyBundle{
		ConnectedF:    func(_ network.Network, c network.Conn) { to.Connected(n, n.conn(c)) },
		DisconnectedF: func(_ network.Network, c network.Conn) { to.Disconnected(n, n.conn(c)) },
	}
	n.watch.Store(to, watch)
	n.Network.Notify(watch)
}

func (n *tappedNetwork) StopNotify(to network.Notifiee) {
	if watch, ok := n.watch.LoadAndDelete(to); ok {
		n.Network.StopNotify(watch.(network.Notifiee))
	}
}

// Backoff is what a link asks the swarm for, beyond what every network has.
func (n *tappedNetwork) Backoff() *swarm.DialBackoff {
	return n.Network.(interface{ Backoff() *swarm.DialBackoff }).Backoff()
}

type tappedConn struct {
	network.Conn
	host *tappedHost
}

func (c *tappedConn) NewStream(ctx context.Context) (network.Stream, error) {
	s, err := c.Conn.NewStream(ctx)
	if err != nil {
		return nil, err
	}
	return c.host.tap(s, true), nil
}

// tappedStream is one end of a stream. On one that this node opened it writes
// frames, on another's it reads them, and that is all there should be.
type tappedStream struct {
	network.Stream
	host  *tappedHost
	other hashid.NodeID
	ours  bool // opened here

	mu    sync.Mutex // guards the fields below: a link reads, writes and closes at the same time
	begun bool       // the hello is over
	asked []byte     // written for it
	told  []byte     // read for it
	part  []byte     // of a frame that is being read
}

// SetProtocol is called when the hello is over.
func (s *tappedStream) SetProtocol(id protocol.ID) error {
	s.mu.Lock()
	s.begun = true
	for what, said := range map[string][]byte{"asked": s.asked, "answered": s.told} {
		if !bytes.Equal(said, s.host.wire.hello) {
			s.host.wire.fault("before its first frame a node %s %q, not %q", what, said, s.host.wire.hello)
		}
	}
	s.mu.Unlock()
	return s.Stream.SetProtocol(id)
}

func (s *tappedStream) Write(b []byte) (int, error) {
	s.mu.Lock()
	switch {
	case !s.begun:
		s.asked = append(s.asked, b...)
	case !s.ours:
		s.host.wire.fault("%d bytes were written on a stream that is to be read", len(b))
	case len(b) != onion.Size:
		s.host.wire.fault("a frame of %d bytes was sent", len(b))
	default:
		s.host.wire.saw(s.host.self, s.other, (*onion.Packet)(b), true)
	}
	s.mu.Unlock()
	return s.Stream.Write(b)
}

func (s *tappedStream) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.begun:
		s.told = append(s.told, b[:n]...)
	case s.ours && n > 0:
		s.host.wire.fault("%d bytes came back on a stream that is to be written", n)
	default:
		s.part = append(s.part, b[:n]...)
	}
	for len(s.part) >= onion.Size {
		s.host.wire.saw(s.other, s.host.self, (*onion.Packet)(s.part), false)
		s.part = append(s.part[:0], s.part[onion.Size:]...)
	}
	if err != nil && len(s.part) > 0 {
		s.host.wire.fault("a stream ended %d bytes into a frame", len(s.part))
	}
	return n, err
}
