package dht

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	bootstrapPeers = 8                      // dialled at once
	bootstrapFirst = 250 * time.Millisecond // between two tries, doubling ...
	bootstrapAlone = 10 * time.Second       // ... up to this while there is no contact
	bootstrapLast  = 30 * time.Second       // ... and up to this while there is
	smallTable     = 16                     // below this, known peers are dialled even so: two islands must meet
)

// bootstrap keeps the node connected until ctx ends: while its table is small
// it dials known peers and asks those in the table for more, often after contact
// was made or lost and then ever more rarely.
func (d *DHT) bootstrap(ctx context.Context) {
	wait, alone := bootstrapFirst, true
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if d.Size() < smallTable {
			d.dialKnown(ctx)
			d.refresh(ctx)
		}
		switch now := d.alone(); {
		case now != alone:
			wait, alone = bootstrapFirst, now
		case alone:
			wait = min(2*wait, bootstrapAlone)
		default:
			wait = min(2*wait, bootstrapLast)
		}
		timer.Reset(wait + rand.N(wait/4+1)) //nolint:gosec // nobody gains from knowing when
	}
}

// alone reports whether there is nobody to ask.
func (d *DHT) alone() bool { return d.Size() == 0 || len(d.cfg.Host.Network().Peers()) == 0 }

// dialKnown connects to some of the peers known from before that are not connected.
func (d *DHT) dialKnown(ctx context.Context) {
	known := d.cfg.Bootstrap()
	rand.Shuffle(len(known), func(i, j int) { //nolint:gosec // seeded by the system: whom to ask first
		known[i], known[j] = known[j], known[i]
	})
	var wg sync.WaitGroup
	dialled := 0
	for _, info := range known {
		if info.ID == d.cfg.Host.ID() || connected(d.cfg.Host, info.ID) {
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

// refresh fills the routing table by looking up keys across the key space.
func (d *DHT) refresh(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	select {
	case err := <-d.kad.RefreshRoutingTable():
		if err != nil {
			d.cfg.Log.Debug("the routing table was not refreshed in full", "error", err)
		}
	case <-ctx.Done():
	}
}
