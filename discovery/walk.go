package discovery

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

const (
	walkFirst   = 500 * time.Millisecond // between walks at first ...
	walkSoon    = 16 * time.Second       // ... doubling up to this, as relays may move while a network is young ...
	walkLast    = time.Hour              // ... then four times as long each, up to this: a walk costs a silent node most
	walkGrown   = 200 * time.Millisecond // until a walk after the network grew ...
	walkGrowing = 30 * time.Second       // ... doubling up to this as long as it goes on growing ...
	walkCalm    = time.Minute            // ... without a pause of this
	walkFetches = 8                      // descriptors fetched at once

	// verifyEvery is how long a relay that was reached is believed to be there:
	// it may have gone in silence.
	verifyEvery = 20 * time.Minute

	// auditEvery is how old the news of a relay may be before a walk that meets
	// it asks for newer: relays send some every two hours and 24 minutes or
	// sooner, and a look-up of each costs a silent node more than all else.
	auditEvery = 150 * time.Minute

	// missedEvery is the same for a relay that could not be reached where it said.
	missedEvery = 10 * time.Second
)

// walkOn walks the table at random, often at first and then hourly, and sooner
// after the network has grown.
func (d *Directory) walkOn(ctx context.Context, table Table) {
	wait, gap := walkFirst, walkGrown
	var grown time.Time // when it last did
	next := newAlarm()
	defer next.off()
	next.within(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.walk:
			now := time.Now()
			if now.Sub(grown) > walkCalm {
				gap = walkGrown
			}
			grown = now
			if next.within(gap) {
				gap = min(2*gap, walkGrowing)
			}
			wait = min(wait, max(8*walkFirst, gap))
			continue
		case <-d.rewalk.asked:
			next.within(0)
			wait, gap = walkFirst, walkGrown
			continue
		case <-next.timer.C:
			next.off()
		}
		walk, stop := d.rewalk.begin(ctx)
		if d.walkOnce(walk, table) > 0 && len(d.Usable()) < plenty {
			wait = walkFirst
		} else {
			wait = longer(wait)
		}
		stop()
		next.within(jitter(wait))
	}
}

// longer is how long to wait after a wait that ended in a walk without news.
func longer(wait time.Duration) time.Duration {
	if wait < walkSoon {
		return 2 * wait
	}
	return min(4*wait, walkLast)
}

// walkOnce walks once and returns how many descriptors were news. It also asks
// for those of relays that could not be reached, for they may have moved, of nodes that
// have left and are met all the same, and of those not heard of in a while, for their news may have been missed; of relays
// in use whose news was missed, it asks for some that it has not met, too.
func (d *Directory) walkOnce(ctx context.Context, table Table) int {
	nodes, err := table.Walk(ctx)
	if err != nil {
		return 0
	}
	var (
		wg    sync.WaitGroup
		news  atomic.Int64
		slots = make(chan struct{}, walkFetches)
	)
	ask := func(id hashid.NodeID) {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if d.hear(ctx, table, id) {
				news.Add(1)
			}
			if ctx.Err() != nil {
				d.unasked(id)
			}
		})
	}
	for _, id := range nodes {
		if d.meet(id) {
			ask(id)
		}
	}
	for _, id := range d.unheard(walkFetches) {
		ask(id)
	}
	wg.Wait()
	d.log.Debug("walked through the table", "met", len(nodes), "news", news.Load(), "known", d.Known())
	return int(news.Load())
}

// meet notes that a walk has met a node, and reports whether the table is to be
// asked for its descriptor, which is left to the caller.
func (d *Directory) meet(id hashid.NodeID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.entries[id]
	if e == nil {
		return id != d.self
	}
	e.met = true
	now, every := d.now(), auditEvery
	if !present(e.desc) {
		return true // it has answered, and so is back, and its news was missed
	}
	if e.missed && e.desc.Flags != 0 {
		every = missedEvery
	}
	if now.Before(e.checked.Add(every)) && e.desc.CheckTime(now) == nil {
		return false
	}
	e.checked = now
	return true
}

// unheard returns up to n relays in use whose news may have been missed, to ask
// the table for their descriptors.
func (d *Directory) unheard(n int) []hashid.NodeID {
	d.mu.Lock()
	defer d.mu.Unlock()
	var ids []hashid.NodeID
	for id, e := range d.entries {
		if e.up && e.checked.IsZero() && len(ids) < n {
			e.checked = d.now()
			ids = append(ids, id)
		}
	}
	return ids
}

// unasked notes that the table has not answered about a node because the walk was
// called off, which says nothing about its descriptor.
func (d *Directory) unasked(id hashid.NodeID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e := d.entries[id]; e != nil {
		e.checked = time.Time{}
	}
}

// hear learns a node's descriptor from the node itself, if it is connected, or else
// from the table, and reports whether it was news.
func (d *Directory) hear(ctx context.Context, table Table, id hashid.NodeID) bool {
	if raw, err := table.Ask(ctx, id); err == nil {
		_, news, _ := d.learn(raw, true)
		return news
	}
	_, news := d.fetch(ctx, table, id)
	return news
}

// fetch looks a node's descriptor up in the table and learns it. It returns nil
// if there is no valid one, and reports whether it was news.
func (d *Directory) fetch(ctx context.Context, table Table, id hashid.NodeID) (*record.Descriptor, bool) {
	raw, err := table.Get(ctx, record.DescriptorKey(id))
	if err != nil {
		return nil, false
	}
	desc, news, _ := d.learn(raw, true) // valid even when the directory is full
	return desc, news
}
