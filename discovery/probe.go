package discovery

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// probeOn dials relays that have not been reached yet, a few at a time, until
// ctx ends.
func (d *Directory) probeOn(ctx context.Context, table Table) {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, maxProbes)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var pause time.Time // the directory is not looked through before
	dials, stop := d.dials.begin(ctx)
	defer func() { stop() }()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.dials.asked:
			stop()
			dials, stop = d.dials.begin(ctx)
		case <-d.probe:
		case <-timer.C:
		}
		start := time.Now()
		if start.Before(pause) {
			timer.Reset(pause.Sub(start))
			continue
		}
		due, next := d.due(len(slots))
		pause = start.Add(lookShare * time.Since(start))
		for _, desc := range due {
			slots <- struct{}{} // free: only this loop takes them
			dials := dials
			wg.Go(func() {
				err := table.Dial(dials, desc)
				<-slots
				if err != nil && dials.Err() != nil {
					d.unprobed(desc) // called off, which says nothing about the relay
					return
				}
				d.probed(desc, err == nil)
			})
		}
		timer.Reset(next)
	}
}

// due claims relays to be dialled now, while so many others are being dialled, and
// says when to look again if no dial ends before. First come those that have been
// met and not tried, then others not tried, then those that failed: descriptors are
// made up by the thousand more easily than nodes. It forgets what has expired.
func (d *Directory) due(dialling int) ([]*record.Descriptor, time.Duration) {
	next := probeLast
	if dialling >= maxProbes {
		return nil, next
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var (
		now               = d.now()
		met, fresh, again []*entry
		expired           bool
		usable            int
	)
	for id, e := range d.entries {
		if e.up {
			usable++
		}
		switch {
		case e.desc.CheckTime(now) != nil:
			d.drop(id)
			expired = true
		case e.probing || !e.relays():
		case e.up && now.Before(e.since.Add(verifyEvery)):
			next = min(next, e.since.Add(verifyEvery).Sub(now))
		case !e.up && e.due.After(now):
			next = min(next, e.due.Sub(now))
		case e.failures > 0:
			again = few(again, e)
		case e.met:
			met = few(met, e)
		default:
			fresh = few(fresh, e)
		}
	}
	if expired {
		d.announce()
	}
	// One at a time where there are plenty already: a node that joins a large
	// network is of use to itself before it has dialled all of it, and spares
	// itself and all others a rush of handshakes.
	limit := maxProbes
	if usable >= plenty {
		limit = 1
	}
	var due []*record.Descriptor
	all := slices.Concat(met, fresh, again)
	for _, e := range all[:min(max(0, limit-dialling), len(all))] {
		e.probing = true
		due = append(due, e.desc)
	}
	return due, next
}

// few adds to a list that need not be longer than what is dialled at once.
func few(list []*entry, e *entry) []*entry {
	if len(list) >= maxProbes {
		return list
	}
	return append(list, e)
}

// probed notes how a dial ended. A descriptor that was replaced meanwhile is
// dialled anew at its new addresses.
func (d *Directory) probed(desc *record.Descriptor, reached bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	nudge(d.probe)
	e := d.entries[desc.ID()]
	if e == nil {
		return
	}
	e.probing = false
	if !sameAddrs(e.desc, desc) {
		return
	}
	was := e.up
	if reached && !was && d.alone() {
		d.regained()
	}
	e.missed = !reached
	if e.up = reached; reached {
		e.since = d.now()
	} else {
		e.failures++
		e.due = d.now().Add(backoff(e.failures))
	}
	if e.up != was {
		d.announce()
	}
}

// unprobed notes that a relay is still to be dialled.
func (d *Directory) unprobed(desc *record.Descriptor) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e := d.entries[desc.ID()]; e != nil {
		e.probing = false
	}
	nudge(d.probe)
}

const (
	walkFirst   = 500 * time.Millisecond // between walks at first ...
	walkLast    = time.Hour              // ... doubling up to this
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
			if now := time.Now(); now.Sub(grown) > walkCalm {
				gap, grown = walkGrown, now
			} else {
				grown = now
			}
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
		if d.walkOnce(walk, table) > 0 {
			wait = walkFirst
		} else {
			wait = min(2*wait, walkLast)
		}
		stop()
		next.within(jitter(wait))
	}
}

// walkOnce walks once and returns how many descriptors were news. It also asks
// for those of relays that could not be reached, for they may have moved, and of
// those not heard of in a while, for their news may have been missed.
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
	for _, id := range nodes {
		if d.meet(id) {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			_, fresh := d.fetch(ctx, table, id)
			if d.audited(id); fresh {
				news.Add(1)
			}
		})
	}
	wg.Wait()
	d.log.Debug("walked through the table", "met", len(nodes), "news", news.Load(), "known", d.Known())
	return int(news.Load())
}

// meet notes that a walk has met a node, and reports whether nothing is to be
// asked about it.
func (d *Directory) meet(id hashid.NodeID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.entries[id]
	now := d.now()
	if e != nil {
		e.met = true
	}
	if id == d.self || e == nil || e.desc.CheckTime(now) != nil {
		return id == d.self
	}
	if e.missed && e.desc.Flags != 0 {
		return now.Before(e.checked.Add(missedEvery))
	}
	return now.Before(e.checked.Add(auditEvery))
}

// audited notes that the table has been asked for a node's descriptor.
func (d *Directory) audited(id hashid.NodeID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e := d.entries[id]; e != nil {
		e.checked = d.now()
	}
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
