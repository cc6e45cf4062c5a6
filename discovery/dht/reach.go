package dht

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"chatnt/discovery/record"
)

var (
	errNoAddress   = errors.New("the descriptor has no address that may be dialled")
	errNoTransport = errors.New("an address needs a transport that this node does not have")
	errUnreachable = errors.New("no address in the descriptor leads to the node")
)

// Dial reaches the node a descriptor describes at one of the addresses it
// publishes, and connects to it. A connection that the node opened itself shows
// nothing about its addresses: then they are dialled all the same, and the
// connection made for the proof is closed at once. It is proof enough for as long
// as the node stays connected and publishes the same addresses.
func (d *DHT) Dial(ctx context.Context, desc *record.Descriptor) error {
	info, err := AddrInfo(desc)
	if err != nil {
		return err
	}
	if info.Addrs = multiaddr.FilterAddrs(info.Addrs, d.mayDial); len(info.Addrs) == 0 {
		return errNoAddress
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := d.dial(ctx, info); err != nil {
		return err
	}
	if d.reached(info) {
		return nil
	}
	published := fmt.Sprint(info.Addrs)
	if d.proven(info.ID, published) {
		return nil
	}
	if err := d.prove(ctx, info); err != nil {
		return err
	}
	d.proofs.Add(info.ID, proof{addrs: published, at: time.Now()})
	return nil
}

// proof is that a node was reached at the addresses it published.
type proof struct {
	addrs string
	at    time.Time
}

// proven reports whether a node was reached at these addresses and has been
// connected ever since.
func (d *DHT) proven(p peer.ID, addrs string) bool {
	last, ok := d.proofs.Get(p)
	return ok && last.addrs == addrs &&
		slices.ContainsFunc(d.cfg.Host.Network().ConnsToPeer(p), func(c network.Conn) bool {
			return !c.IsClosed() && c.Stat().Opened.Before(last.at)
		})
}

// reached reports whether this node has an open connection that it made to one
// of a node's addresses.
func (d *DHT) reached(info peer.AddrInfo) bool {
	return slices.ContainsFunc(d.cfg.Host.Network().ConnsToPeer(info.ID), func(c network.Conn) bool {
		return !c.IsClosed() && c.Stat().Direction == network.DirOutbound &&
			slices.ContainsFunc(info.Addrs, c.RemoteMultiaddr().Equal)
	})
}

// prove dials all addresses of a node at once, below the swarm, which would not
// dial a node that is connected. It waits for the first handshake in which the
// node shows that it has its key.
func (d *DHT) prove(ctx context.Context, info peer.AddrInfo) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan error, len(info.Addrs))
	for _, a := range info.Addrs {
		wg.Go(func() { results <- d.knock(ctx, info.ID, a) })
	}
	failed := errUnreachable
	for range info.Addrs {
		err := <-results
		if err == nil {
			return nil
		}
		failed = fmt.Errorf("%w: %w", errUnreachable, err)
	}
	return failed
}

// knock connects to a node at one address, with all that the network asks of a
// connection, and hangs up.
func (d *DHT) knock(ctx context.Context, p peer.ID, a multiaddr.Multiaddr) error {
	dialer, ok := d.cfg.Host.Network().(interface {
		TransportForDialing(a multiaddr.Multiaddr) transport.Transport
	})
	if !ok {
		return errNoTransport
	}
	t := dialer.TransportForDialing(a)
	if t == nil {
		return errNoTransport
	}
	c, err := t.Dial(ctx, a, p)
	if err != nil {
		return err
	}
	_ = c.Close() // it has served
	return nil
}

// mayDial reports whether this node dials an address that others named. On a
// public network that is public IP addresses: nobody has this node dial into the
// network it stands in. Where this node itself listens on this machine alone,
// all of the network is here.
func (d *DHT) mayDial(a multiaddr.Multiaddr) bool {
	if !d.cfg.Public {
		return true
	}
	return hasIP(a) && (manet.IsPublicAddr(a) || manet.IsIPLoopback(a) && d.onThisMachine())
}

// onThisMachine reports whether this node listens on loopback addresses only.
func (d *DHT) onThisMachine() bool {
	listen := d.cfg.Host.Network().ListenAddresses()
	return len(listen) > 0 && !slices.ContainsFunc(listen, func(a multiaddr.Multiaddr) bool { return !manet.IsIPLoopback(a) })
}

// hasIP reports whether an address begins with an IP address and not a name.
func hasIP(a multiaddr.Multiaddr) bool {
	_, err := manet.ToIP(a)
	return err == nil
}
