package dht

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
)

const (
	bootstrapPeers = 8                      // dialled at once
	bootstrapFirst = 250 * time.Millisecond // between two tries, doubling ...
	bootstrapAlone = 3 * time.Second        // ... up to this while there is no contact
	bootstrapLast  = 30 * time.Second       // ... and up to this while there is
	smallTable     = 16                     // below this, known peers are dialled even so: two islands must meet
)

// Retry makes contact anew at once, whatever was tried in vain a moment ago: this
// machine has slept, or moved to another address.
func (d *DHT) Retry() {
	if s, ok := d.cfg.Host.Network().(*swarm.Swarm); ok {
		for _, p := range d.cfg.Host.Peerstore().PeersWithAddrs() {
			s.Backoff().Clear(p)
		}
	}
	d.mutes.forget()
	select {
	case d.retry <- struct{}{}:
	default:
	}
}

// bootstrap keeps the node connected until ctx ends: while its table is small, or
// nobody in it is connected, it dials known peers and asks those in the table for
// more, often after contact was made or lost and while the table grows, and then
// ever more rarely. With a full table it goes on to dial known peers until enough
// of them are connected and in it.
func (d *DHT) bootstrap(ctx context.Context) {
	wait, alone, asked := bootstrapFirst, true, false
	most := 0 // in the table, since contact was made
	timer := time.NewTimer(0)
	defer timer.Stop()
	check := time.NewTicker(bootstrapAlone) // whether contact was lost
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.retry:
			wait, alone, asked = bootstrapFirst, true, true
		case <-check.C:
			if alone || !d.alone() {
				continue
			}
		case <-timer.C:
		}
		if more := asked || d.Size() < smallTable || d.alone(); more {
			asked = false
			d.meet(ctx, more)
		} else if here, seated := d.anchored(d.known()); !here || !seated {
			d.meet(ctx, false)
		}
		now, size := d.alone(), d.Size()
		switch {
		case now != alone:
			wait, alone, most = bootstrapFirst, now, size
		case most < size && size < smallTable:
			wait, most = bootstrapFirst, size
		case alone:
			wait = min(2*wait, bootstrapAlone)
		default:
			wait = min(2*wait, bootstrapLast)
		}
		timer.Reset(wait + rand.N(wait/4+1)) //nolint:gosec // nobody gains from knowing when
	}
}

// meet dials known peers and may ask for more, until that is done or Retry asks
// for it to begin again: what was under way then may wait for answers in vain.
func (d *DHT) meet(ctx context.Context, more bool) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		known := d.known()
		if here, _ := d.anchored(known); more || !here {
			d.dialKnown(ctx, known)
		}
		if d.Size() == 0 {
			d.readmit(ctx)
		}
		if more {
			d.refresh(ctx)
		}
		d.seat(ctx, known)
	}()
	select {
	case <-done:
	case <-d.retry:
		select {
		case d.retry <- struct{}{}: // for bootstrap
		default:
		}
	}
	cancel()
	<-done
}

// alone reports whether there is nobody to ask.
func (d *DHT) alone() bool { return d.Size() == 0 || len(d.cfg.Host.Network().Peers()) == 0 }

// dialKnown connects to some of the peers known from before that are not connected.
func (d *DHT) dialKnown(ctx context.Context, known []peer.AddrInfo) {
	var wg sync.WaitGroup
	dialled := 0
	for _, info := range known {
		if connected(d.cfg.Host, info.ID) {
			continue
		}
		if dialled++; dialled > bootstrapPeers {
			break
		}
		wg.Go(func() {
			if err := d.dial(ctx, info); err != nil {
				d.cfg.Log.Debug("a known node did not answer")
			}
		})
	}
	wg.Wait()
}

// refresh fills the routing table by looking up this node's own place, as a node
// does that joins (Kademlia, section 2.3), and a random one. The library's own
// refresh looks up one for each bucket, which a hundred nodes that start together
// pay for in minutes.
func (d *DHT) refresh(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = d.nearest(ctx, string(d.cfg.Host.ID())) })
	wg.Go(func() { _, _ = d.walk(ctx) })
	wg.Wait()
}
