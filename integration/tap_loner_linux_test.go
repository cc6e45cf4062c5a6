package integration

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"chatnt/discovery"
	"chatnt/discovery/dht"
	"chatnt/discovery/hashid"
	"chatnt/overlay/link"
	"chatnt/overlay/onion"
	"chatnt/overlay/relay"
)

// loner is a node that nobody can know of but its neighbours: it publishes nothing,
// listens nowhere, and is in nobody's hash table. It has a link and a relay.
type loner struct {
	t         *testing.T
	host      host.Host
	self      hashid.NodeID
	public    ed25519.PublicKey
	link      *link.Link
	relay     *relay.Relay
	directory *discovery.Directory
	deliver   func(body []byte)                            // set before anything can come
	reply     func(onion.SURBID, *[onion.PayloadSize]byte) // the same
}

// newLoner runs such a node, which knows by another's directory where nodes are.
func newLoner(t *testing.T, guide *bareRelay) *loner {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	l := &loner{t: t, self: hashid.OfNode(public), public: public, directory: guide.directory}
	l.host = newHost(t, key, guide.net, libp2p.NoListenAddrs)
	l.link = link.New(link.Config{
		Host: l.host, Protocol: protocol.ID(guide.net.Protocol("onion/x25519/1")),
		Resolve: func(_ context.Context, to hashid.NodeID) (peer.AddrInfo, error) { return l.where(to) },
		Receive: func(from hashid.NodeID, p *onion.Packet) { l.relay.Handle(from, p) },
	})
	l.relay = relay.New(relay.Config{
		Self: l.self, Now: time.Now, Send: l.link.Send, Free: l.link.Put,
		Deliver: func(_ hashid.NodeID, body []byte) { l.deliver(body) },
		Reply:   func(id onion.SURBID, payload *[onion.PayloadSize]byte) { l.reply(id, payload) },
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, part := range []func(context.Context) error{l.link.Run, l.relay.Run} {
		running.Go(func() {
			if err := part(ctx); err != nil {
				t.Errorf("a part of a node ended: %v", err)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(l.host.Network().Close(), l.host.Close()); err != nil {
			t.Error(err)
		}
		running.Wait()
	})
	return l
}

func (l *loner) where(id hashid.NodeID) (peer.AddrInfo, error) {
	desc, ok := l.directory.Lookup(id)
	if !ok {
		return peer.AddrInfo{}, errors.New("the directory does not know this node")
	}
	return dht.AddrInfo(desc)
}

// meet connects to a node, as one does that can be reached in no other way.
func (l *loner) meet(id hashid.NodeID) {
	l.t.Helper()
	info, err := l.where(id)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := l.host.Connect(l.t.Context(), info); err != nil {
		l.t.Fatal(err)
	}
}

// hop is the last of a path, here.
func (l *loner) hop() onion.Hop {
	l.t.Helper()
	_, keys, err := l.relay.Keys(time.Now())
	if err != nil {
		l.t.Fatal(err)
	}
	return onion.Hop{Node: l.self, Key: keys[0]}
}

// hopOf is a step of a path, there.
func (l *loner) hopOf(id hashid.NodeID, delay time.Duration) onion.Hop {
	l.t.Helper()
	desc, ok := l.directory.Lookup(id)
	if !ok {
		l.t.Fatal("the directory does not know a relay")
	}
	key, ok := desc.KeyAt(time.Now())
	if !ok {
		l.t.Fatal("a relay has no key for this hour")
	}
	return onion.Hop{Node: id, Key: key, Delay: delay}
}
