package link

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multistream"

	"chatnt/discovery/hashid"
	"chatnt/overlay/onion"
)

// Config says what a link over libp2p works with. All fields are needed,
// except Unreachable.
type Config struct {
	// Host has an Ed25519 key, as all nodes do; others are refused. Its network
	// outlives Run.
	Host host.Host

	// Protocol names the network and the packet's suite; there is no version
	// in a frame.
	Protocol protocol.ID

	// Resolve finds the addresses of a node that is not connected. It may be
	// slow: only the neighbour's own goroutine calls it, and its ctx ends after
	// 5 seconds.
	Resolve func(ctx context.Context, to hashid.NodeID) (peer.AddrInfo, error)

	// Receive owns p, and gives it back with Put or Send. It is called on the
	// goroutine that reads the neighbour's stream, one frame at a time: while it
	// runs, that neighbour is held back and no other. It returns soon after
	// Run's ctx ends.
	Receive func(from hashid.NodeID, p *onion.Packet)

	// Unreachable is told, on the neighbour's own goroutine, each time one could
	// not be dialled or written to and its queue was dropped. For half a second
	// from then, Send fails fast.
	Unreachable func(to hashid.NodeID)
}

// New returns a link over libp2p. It does nothing before Run.
func New(cfg Config) *Link {
	t := &libp2pTransport{
		host:     cfg.Host,
		protocol: cfg.Protocol,
		resolve:  cfg.Resolve,
		peers:    make(map[hashid.NodeID]peer.ID),
	}
	return newLink(t, cfg.Receive, cfg.Unreachable)
}

// libp2pTransport opens streams over a libp2p host.
type libp2pTransport struct {
	host     host.Host
	protocol protocol.ID
	resolve  func(context.Context, hashid.NodeID) (peer.AddrInfo, error)

	mu    sync.Mutex                // guards peers
	peers map[hashid.NodeID]peer.ID // with at least one connection
}

var (
	errNotEd25519   = errors.New("the node's key is not an Ed25519 key")
	errNotConnected = errors.New("the node is not connected")
	errOtherNode    = errors.New("the addresses found are of another node")
)

// nodeID returns the node id behind a peer id.
func nodeID(p peer.ID) (hashid.NodeID, error) {
	key, err := p.ExtractPublicKey() // an Ed25519 key is short enough to be in the id itself
	if err != nil || key.Type() != crypto.Ed25519 {
		return hashid.NodeID{}, errNotEd25519
	}
	raw, err := key.Raw()
	if err != nil || len(raw) != ed25519.PublicKeySize {
		return hashid.NodeID{}, errNotEd25519
	}
	return hashid.OfNode(raw), nil
}

func (t *libp2pTransport) listen(accept func(hashid.NodeID, stream), moved func(hashid.NodeID)) func() {
	watch := &network.NotifyBundle{
		ConnectedF:    func(_ network.Network, c network.Conn) { t.connected(c, moved) },
		DisconnectedF: func(_ network.Network, c network.Conn) { t.disconnected(c) },
	}
	t.host.Network().Notify(watch)
	for _, c := range t.host.Network().Conns() {
		t.connected(c, moved)
	}
	t.host.SetStreamHandler(t.protocol, func(s network.Stream) {
		from, err := nodeID(s.Conn().RemotePeer())
		if err != nil {
			_ = s.Reset()
			return
		}
		accept(from, s)
	})
	return func() {
		t.host.RemoveStreamHandler(t.protocol)
		t.host.Network().StopNotify(watch)
	}
}

// connected notes which peer a node is. If a connection is not the node's
// first, the node may have started anew and the older one be dead without a
// word (QUIC): the stream moves to the newer one.
func (t *libp2pTransport) connected(c network.Conn, moved func(hashid.NodeID)) {
	id, err := nodeID(c.RemotePeer())
	if err != nil {
		return
	}
	t.mu.Lock()
	t.peers[id] = c.RemotePeer()
	t.mu.Unlock()
	if all := t.host.Network().ConnsToPeer(c.RemotePeer()); len(all) > 1 && best(all) == c {
		moved(id)
	}
}

func (t *libp2pTransport) disconnected(c network.Conn) {
	id, err := nodeID(c.RemotePeer())
	if err != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.host.Network().ConnsToPeer(c.RemotePeer())) == 0 {
		delete(t.peers, id)
	}
}

// best chooses among the connections to a peer, given oldest first: the newest
// that goes straight, or else the newest through a circuit relay.
func best(all []network.Conn) network.Conn {
	var found network.Conn
	for _, c := range all {
		if c.IsClosed() {
			continue
		}
		if found == nil || !c.Stat().Limited || found.Stat().Limited {
			found = c
		}
	}
	return found
}

func (t *libp2pTransport) open(ctx context.Context, to hashid.NodeID, lim *limits) (stream, error) {
	t.mu.Lock()
	id, known := t.peers[to]
	t.mu.Unlock()
	if known {
		if s, err := t.openStream(ctx, id, lim); err == nil {
			return s, nil
		}
	}
	id, err := t.connect(ctx, to, lim)
	if err != nil {
		return nil, err
	}
	return t.openStream(ctx, id, lim)
}

// connect finds a node's addresses and dials them.
func (t *libp2pTransport) connect(ctx context.Context, to hashid.NodeID, lim *limits) (peer.ID, error) {
	find, cancel := context.WithTimeout(ctx, lim.resolve)
	defer cancel()
	info, err := t.resolve(find, to)
	if err != nil {
		return "", fmt.Errorf("finding the node's addresses: %w", err)
	}
	if id, err := nodeID(info.ID); err != nil || id != to {
		return "", errOtherNode
	}
	if s, ok := t.host.Network().(interface{ Backoff() *swarm.DialBackoff }); ok {
		s.Backoff().Clear(info.ID) // ours is shorter, and the node may be back
	}
	dial, cancel := context.WithTimeout(allowLimited(ctx), lim.open)
	defer cancel()
	// Not host.Connect, which waits until the peer has identified itself: all we
	// want to know of it, openStream asks.
	t.host.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.TempAddrTTL)
	if _, err := t.host.Network().DialPeer(dial, info.ID); err != nil {
		return "", fmt.Errorf("connecting to the node: %w", err)
	}
	return info.ID, nil
}

// openStream opens a stream on the newest connection to a peer and waits until
// the peer agrees to the protocol, which shows that the peer is there.
// (host.NewStream would choose the connection with most streams, which after a
// peer's restart is the dead one, and not wait.)
func (t *libp2pTransport) openStream(ctx context.Context, id peer.ID, lim *limits) (stream, error) {
	c := best(t.host.Network().ConnsToPeer(id))
	if c == nil {
		return nil, errNotConnected
	}
	ctx, cancel := context.WithTimeout(allowLimited(ctx), lim.open)
	defer cancel()
	s, err := c.NewStream(ctx)
	if err == nil {
		if err = t.negotiate(ctx, s); err == nil {
			return s, nil
		}
		_ = s.Reset()
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		_ = c.Close() // nobody answers at its other end: dial afresh the next time
	}
	return nil, fmt.Errorf("opening a stream to the node: %w", err)
}

func (t *libp2pTransport) negotiate(ctx context.Context, s network.Stream) error {
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = s.SetDeadline(time.Unix(1, 0))
		close(interrupted)
	})
	err := multistream.SelectProtoOrFail(t.protocol, s)
	if !stop() {
		<-interrupted
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	return s.SetProtocol(t.protocol)
}

func allowLimited(ctx context.Context) context.Context {
	return network.WithAllowLimitedConn(ctx, "a node behind a NAT is reached through a circuit relay")
}
