package node

import (
	"context"
	"errors"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// The nodes of the persons who are written to. Who sees for which of them a node asks, and
// when, sees who is written to. So this node never asks for one from its own address: gossip
// and walks bring news of nearly all to everybody, and of one who has left there is nothing to
// be had before it is back and says so. Only what they have not brought is looked up through
// exits (overlay.Records), and that a while after it was wanted.

const (
	endsKept    = 16384       // nodes that were wanted last, 2 MB
	endWithin   = time.Minute // over which a look-up is drawn once it is wanted, and the pause after one in vain; both double ...
	endDoubling = 6           // ... up to an hour
)

// ends has nodes looked up. Its methods may be called from any goroutine.
type ends struct {
	known func(hashid.NodeID) bool // there is news of the node, and it is there
	get   func(ctx context.Context, keys ...string) ([]byte, error)
	learn func(raw []byte)
	draw  func(time.Duration) time.Duration // a time of up to what it is given
	more  chan struct{}                     // capacity 1: another is wanted

	mu   sync.Mutex
	list *lru.Cache[hashid.NodeID, *end] // guarded by mu
}

// end is a node that is not known. Times are monotonic.
type end struct {
	wanted bool
	due    time.Time // of its look-up, if it is wanted ...
	rest   time.Time // ... and when it is wanted next, the time that it is drawn from
	misses int       // look-ups that have found that there is nothing
}

func newEnds(known func(hashid.NodeID) bool, get func(context.Context, ...string) ([]byte, error), learn func([]byte)) (*ends, error) {
	list, err := lru.New[hashid.NodeID, *end](endsKept)
	if err != nil {
		return nil, err
	}
	return &ends{known: known, get: get, learn: learn, draw: upTo, more: make(chan struct{}, 1), list: list}, nil
}

// want has a node looked up, if it is not known by then: at first within a minute. Where it is wanted
// because something is sent, it is not if there was nothing to be found before.
func (e *ends) want(id hashid.NodeID, sent bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	it, ok := e.list.Get(id)
	if !ok {
		it = new(end)
		e.list.Add(id, it)
	}
	if it.wanted || sent && it.misses > 0 {
		return
	}
	it.wanted, it.due = true, later(time.Now(), it.rest).Add(e.draw(endWithin<<min(it.misses, endDoubling)))
	nudge(e.more)
}

// run looks nodes up, one after the other, until ctx ends.
func (e *ends) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		id, wait := e.next(time.Now())
		if wait <= 0 {
			e.look(ctx, id)
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-e.more:
		case <-timer.C:
		}
	}
}

// next returns whose turn it is, and in how long.
func (e *ends) next(now time.Time) (id hashid.NodeID, wait time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	wait = planEvery
	for _, other := range e.list.Keys() {
		it, _ := e.list.Peek(other)
		if left := it.due.Sub(now); it.wanted && left < wait {
			id, wait = other, left
		}
	}
	return id, wait
}

// look asks exits for a node, unless there is news of it by now.
func (e *ends) look(ctx context.Context, id hashid.NodeID) {
	known, none := e.known(id), false
	if !known {
		raw, err := e.get(ctx, record.DescriptorKey(id))
		if err == nil {
			e.learn(raw)
		}
		known, none = e.known(id), err == nil || errors.Is(err, record.ErrNone)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	it, ok := e.list.Peek(id)
	switch {
	case !ok:
	case known:
		e.list.Remove(id)
	default:
		it.wanted, it.rest = false, time.Now().Add(endWithin<<min(it.misses, endDoubling))
		if none {
			it.misses++
		}
	}
}

// retry forgets who was not found: what kept them from being found may be over.
func (e *ends) retry() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list.Purge()
}

// newEndsOf has what exits find taken in by a directory.
func newEndsOf(relays *discovery.Directory, get func(context.Context, ...string) ([]byte, error)) (*ends, error) {
	known := func(id hashid.NodeID) bool {
		desc, ok := relays.Lookup(id)
		return ok && desc.Flags&record.FlagWithdrawn == 0
	}
	return newEnds(known, get, func(raw []byte) { _, _ = relays.Learn(raw) }) // what is no news is none
}

// missing has an end looked up for what is to be sent there, if nothing is known of it, as soon after a
// start: of a node that has left there is news when it is back.
func (m *messenger) missing(id hashid.NodeID) {
	if _, ok := m.relays.Lookup(id); !ok {
		m.ends.want(id, true)
	}
}

// missed has the node of somebody who was just looked up asked for as well if it is not there, lest its
// coming back has escaped this one, asleep for example.
func (m *messenger) missed(peer hashid.ID) {
	if to := m.people.known(peer); to != nil && !m.ends.known(to.Inbox.Node) {
		m.ends.want(to.Inbox.Node, false)
	}
}
