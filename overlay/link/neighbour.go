package link

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/overlay/onion"
)

// neighbour is a node we send to: a queue, and a goroutine that empties it.
type neighbour struct {
	link  *Link
	to    hashid.NodeID
	queue chan *onion.Packet // filled under Link.mu, emptied by run

	ctx   context.Context // ends when the neighbour is given up or the link stops
	end   context.CancelFunc
	moved atomic.Bool // open a new stream before the next frame

	// Guarded by Link.mu.
	state state
	since time.Time // when it began to connect
	used  time.Time // when a packet was last queued

	mu       sync.Mutex // guards the fields below and the stream's write deadline
	stream   stream     // set by run only; nil while there is none
	deadline time.Time  // as last set on stream
}

type state uint8

const (
	connecting state = iota // no stream yet, or none any more
	connected
	resting // it failed; Send fails fast until the goroutine ends
)

// addNeighbour is called with Link.mu held.
func (l *Link) addNeighbour(to hashid.NodeID) *neighbour {
	ctx, end := context.WithCancel(l.ctx)
	n := &neighbour{
		link:  l,
		to:    to,
		queue: make(chan *onion.Packet, l.limits.queue),
		ctx:   ctx,
		end:   end,
		state: connecting,
		since: time.Now(),
	}
	l.neighbours[to] = n
	l.connecting++
	l.tasks.Go(n.run)
	return n
}

// run sends what is queued until the neighbour fails, falls idle or is given up.
func (n *neighbour) run() {
	defer n.leave()
	idle := time.NewTimer(n.link.limits.idle)
	defer idle.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case p := <-n.queue:
			n.link.queued.Add(-1)
			sent := n.send(p)
			n.link.Put(p)
			if !sent {
				n.fail()
				return
			}
		case <-idle.C:
			wait := n.link.retire(n)
			if wait <= 0 {
				return
			}
			idle.Reset(wait)
		}
	}
}

// send writes one frame. A stream that breaks is opened again, once, for the
// same frame: it may have ended while nobody wrote. One that takes no more is
// not: its reader is too slow, or gone.
func (n *neighbour) send(p *onion.Packet) bool {
	if n.stream != nil && n.moved.Swap(false) {
		n.drop(stream.Close)
	}
	for range 2 {
		if n.stream == nil && !n.open() {
			break
		}
		err := n.write(p)
		if err == nil {
			n.link.count.framesOut.Add(1)
			return true
		}
		n.drop(stream.Reset)
		if isTimeout(err) {
			break
		}
	}
	n.link.count.lost.Add(1)
	return false
}

func (n *neighbour) open() bool {
	n.link.setState(n, connecting)
	n.moved.Store(false)
	s, err := n.link.transport.open(n.ctx, n.to, &n.link.limits)
	if err != nil {
		return false
	}
	n.mu.Lock()
	n.stream, n.deadline = s, time.Time{}
	n.mu.Unlock()
	n.link.setState(n, connected)
	return true
}

func (n *neighbour) write(p *onion.Packet) error {
	n.arm()
	_, err := n.stream.Write(p[:])
	return err
}

// arm gives the next write its deadline. A deadline costs a timer, so it is
// moved only when an eighth of it has gone by.
func (n *neighbour) arm() {
	n.mu.Lock()
	defer n.mu.Unlock()
	limit := n.link.limits.write
	if t := time.Now(); n.ctx.Err() != nil {
		_ = n.stream.SetWriteDeadline(time.Unix(1, 0))
	} else if n.deadline.Sub(t) < limit-limit/8 {
		n.deadline = t.Add(limit)
		_ = n.stream.SetWriteDeadline(n.deadline)
	}
}

// halt makes run end soon, also from the middle of a write. It does not block.
func (n *neighbour) halt() {
	n.end()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stream != nil {
		_ = n.stream.SetWriteDeadline(time.Unix(1, 0))
	}
}

// drop ends the stream by one of its methods, Close or Reset.
func (n *neighbour) drop(end func(stream) error) {
	n.mu.Lock()
	s := n.stream
	n.stream = nil
	n.mu.Unlock()
	if s != nil {
		_ = end(s) // it is gone either way
	}
}

// fail drops what is queued, tells the owner, and lets Send fail fast for a while.
func (n *neighbour) fail() {
	if n.ctx.Err() != nil {
		return // it was stopped, which says nothing about the neighbour
	}
	n.link.count.failures.Add(1)
	n.link.setState(n, resting)
	n.empty()
	n.link.unreachable(n.to)
	rest := time.NewTimer(n.link.limits.rest)
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-n.ctx.Done():
	}
}

// leave removes the neighbour and everything it holds.
func (n *neighbour) leave() {
	halted := n.ctx.Err() != nil
	n.link.remove(n)
	n.end()
	n.empty()
	if halted {
		n.drop(stream.Reset)
	} else {
		n.drop(stream.Close)
	}
}

// empty drops what is queued.
func (n *neighbour) empty() {
	for {
		select {
		case p := <-n.queue:
			n.link.queued.Add(-1)
			n.link.count.lost.Add(1)
			n.link.Put(p)
		default:
			return
		}
	}
}

// setState moves a neighbour that has not been given up to another state.
func (l *Link) setState(n *neighbour, to state) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.neighbours[n.to] != n {
		return
	}
	if n.state == connecting {
		l.connecting--
	}
	if to == connecting {
		l.connecting++
		n.since = time.Now()
	}
	n.state = to
}

// remove forgets a neighbour; what Send is told from now on starts another.
func (l *Link) remove(n *neighbour) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(n)
}

// forget is remove with mu held.
func (l *Link) forget(n *neighbour) {
	if l.neighbours[n.to] != n {
		return
	}
	delete(l.neighbours, n.to)
	if n.state == connecting {
		l.connecting--
	}
}

// retire removes an idle neighbour, or says how long it still has.
func (l *Link) retire(n *neighbour) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(n.queue) > 0 {
		return l.limits.idle
	}
	wait := l.limits.idle - time.Since(n.used)
	if wait <= 0 {
		l.forget(n)
	}
	return wait
}

// makeRoom gives up a neighbour where the table is full: among too many that
// are connecting the one that has been at it longest, else one that is resting,
// else the one longest idle. It is called with mu held and reports whether
// another neighbour fits.
func (l *Link) makeRoom() bool {
	switch {
	case l.connecting >= l.limits.connecting:
		return l.giveUp(func(n *neighbour) (time.Time, bool) { return n.since, n.state == connecting })
	case len(l.neighbours) >= l.limits.neighbours:
		return l.giveUp(func(n *neighbour) (time.Time, bool) { return time.Time{}, n.state == resting }) ||
			l.giveUp(func(n *neighbour) (time.Time, bool) { return n.used, n.state == connected && len(n.queue) == 0 })
	}
	return true
}

// giveUp halts the neighbour with the earliest time among those that qualify.
func (l *Link) giveUp(rank func(*neighbour) (time.Time, bool)) bool {
	var victim *neighbour
	var earliest time.Time
	for _, n := range l.neighbours {
		if t, ok := rank(n); ok && (victim == nil || t.Before(earliest)) {
			victim, earliest = n, t
		}
	}
	if victim == nil {
		return false
	}
	l.count.evicted.Add(1)
	l.forget(victim)
	victim.halt()
	return true
}

// moved has the next frame to a node go over a new stream.
func (l *Link) moved(to hashid.NodeID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.neighbours[to]; n != nil {
		n.moved.Store(true)
	}
}
