package discovery

import (
	"context"
	"slices"
	"sync"
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
				if d.probed(desc, err == nil) {
					d.ask(dials, table, desc.ID())
				}
			})
		}
		timer.Reset(next)
	}
}

// When a relay that is due is dialled: descriptors are made up by the thousand more
// easily than nodes that answer a look-up, and those more easily than some that can
// be dialled.
const (
	hasty    = iota // whatever else holds, see hasten and Prove
	lost            // reached before, and not failed twice since
	met             // by a walk, and not tried yet
	verified        // in use, and to be found in place
	failing         // reached before or met, and failed
	toldOf          // and not tried yet
	unlikely        // told of, and failed
	turns
)

func (e *entry) turn() int {
	reached := !e.since.IsZero()
	switch {
	case e.early:
		return hasty
	case e.up:
		return verified
	case reached && e.failures <= 1:
		return lost
	case e.failures > 0 && (reached || e.met):
		return failing
	case e.failures > 0:
		return unlikely
	case e.met:
		return met
	}
	return toldOf
}

// dialAt is when a relay is to be dialled.
func (e *entry) dialAt() time.Time {
	switch {
	case e.early:
		return time.Time{}
	case e.up:
		return e.since.Add(verifyEvery)
	}
	return e.due
}

// due claims relays to be dialled now, while so many others are being dialled, and
// says when to look again if no dial ends before. They are taken by turn; but now
// and then the one that has been due for longest comes first, so that none waits
// for ever for others that somebody goes on making up. It forgets what has expired, and
// takes in news that was held for long enough.
func (d *Directory) due(dialling int) ([]*record.Descriptor, time.Duration) {
	next := probeLast
	if dialling >= maxProbes {
		return nil, next
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var (
		now     = d.now()
		byTurn  [turns][]*entry
		longest *entry // has been due for longest
		expired bool
		usable  int
	)
	next = min(next, d.takeHeld(now))
	for id, e := range d.entries {
		if e.up {
			usable++
		}
		switch at := e.dialAt(); {
		case e.desc.CheckTime(now) != nil:
			d.drop(id)
			expired = true
		case e.probing || !e.relays():
		case at.After(now):
			next = min(next, at.Sub(now))
		default:
			byTurn[e.turn()] = few(byTurn[e.turn()], e)
			if longest == nil || at.Before(longest.dialAt()) {
				longest = e
			}
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
	if len(byTurn[hasty]) > 0 {
		limit = max(limit, min(maxProbes, dialling+len(byTurn[hasty])))
	}
	if limit <= dialling || longest == nil {
		return nil, next
	}
	all := slices.Concat(byTurn[:]...)
	if d.passed >= longestShare {
		d.passed = 0
		all = slices.Insert(all, 0, longest)
	}
	var due []*record.Descriptor
	for _, e := range all {
		if dialling+len(due) < limit && !e.probing {
			e.probing = true
			due = append(due, e.desc)
		}
	}
	d.passed += len(due)
	return due, next
}

// takeHeld takes in news that was held, once it is allowed, and returns how long it is until the
// next is. Called with mu held.
func (d *Directory) takeHeld(now time.Time) (next time.Duration) {
	next = probeLast
	var allowed []*entry
	for _, e := range d.entries {
		switch {
		case e.held == nil:
		case e.spent(now) > 0:
			next = min(next, e.spent(now))
		default:
			allowed = append(allowed, e)
		}
	}
	for _, e := range allowed {
		one := e.held
		e.held = nil
		if one.desc.CheckTime(now) == nil {
			d.take(one, e, false)
		}
	}
	return next
}

// few adds to a list that need not be longer than what is dialled at once.
func few(list []*entry, e *entry) []*entry {
	if len(list) >= maxProbes {
		return list
	}
	return append(list, e)
}

// ask asks a relay for its descriptor, which it answers if it can be reached for certain.
func (d *Directory) ask(ctx context.Context, table Table, id hashid.NodeID) {
	raw, err := table.Ask(ctx, id)
	if err != nil {
		return
	}
	_, _, _ = d.learn(raw, true) // whatever it is, somebody has sent it
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answered()
	nudge(d.probe)
}

// probed notes how a dial ended, and reports whether the relay is to be asked for its
// descriptor now. A descriptor that was replaced meanwhile is dialled anew at its new
// addresses.
func (d *Directory) probed(desc *record.Descriptor, reached bool) (ask bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	nudge(d.probe)
	e := d.entries[desc.ID()]
	if e == nil {
		return false
	}
	e.probing = false
	if !sameAddrs(e.desc, desc) {
		return false
	}
	was := e.up
	switch {
	case !reached:
		d.inVain(desc.ID(), e)
	case !was && d.alone():
		d.regained()
	default:
		d.restored()
	}
	ask, e.early = e.early && reached, false
	if reached && e.missed {
		e.checked = time.Time{} // what it told meanwhile may have been missed
	}
	e.missed = !reached
	if e.up = reached; reached {
		e.since = d.now()
		if !was && e.checked.IsZero() {
			nudge(d.walk)
		}
	} else {
		e.failures++
		e.due = d.now().Add(backoff(e.failures))
	}
	if e.up != was {
		d.announce()
	}
	return ask
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
