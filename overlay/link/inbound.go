package link

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/overlay/onion"
)

// inbound is a stream that a neighbour opened to us.
type inbound struct {
	link   *Link
	from   hashid.NodeID
	stream stream
	used   atomic.Int64 // unix ns of the last frame, or of the opening

	// One at a time of a neighbour's streams is read: it holds the turn. So a
	// neighbour keeps its order across streams, and one core busy at most.
	turn     chan struct{} // holds one; shared by the neighbour's streams
	replaced chan struct{} // closed when a newer stream took this one's place

	mu    sync.Mutex // guards the fields below and the stream's read deadline
	limit time.Time  // no deadline goes beyond, once it is set
	armed time.Time  // the deadline as last set
}

// accept reads a stream until it ends. The transport calls it on a goroutine
// of the stream's own.
func (l *Link) accept(from hashid.NodeID, s stream) {
	in := &inbound{link: l, from: from, stream: s, replaced: make(chan struct{})}
	in.used.Store(time.Now().UnixNano())

	l.mu.Lock()
	if !l.running {
		l.mu.Unlock()
		_ = s.Reset()
		return
	}
	if older := l.inbound[from]; older != nil {
		in.turn = older.turn
		l.count.replaced.Add(1)
		older.replace()
	} else {
		in.turn = make(chan struct{}, 1)
		if len(l.inbound) >= l.limits.inbound {
			l.dropSilent()
		}
	}
	l.inbound[from] = in
	l.tasks.Add(1)
	ctx := l.ctx
	l.mu.Unlock()
	defer l.tasks.Done()
	defer in.leave()

	select {
	case in.turn <- struct{}{}:
		in.read()
		<-in.turn
	case <-in.replaced:
	case <-ctx.Done():
	}
}

// dropSilent ends the stream that has been silent longest. Called with mu held.
func (l *Link) dropSilent() {
	var victim *inbound
	for _, in := range l.inbound {
		if victim == nil || in.used.Load() < victim.used.Load() {
			victim = in
		}
	}
	if victim != nil {
		l.count.evicted.Add(1)
		delete(l.inbound, victim.from)
		victim.expire(0)
	}
}

// replace lets the stream finish what is under way and no more.
func (in *inbound) replace() {
	close(in.replaced) // once: whoever replaces it also takes it out of the table
	in.expire(in.link.limits.drain)
}

// expire sets the last deadline. It does not block.
func (in *inbound) expire(after time.Duration) {
	in.mu.Lock()
	defer in.mu.Unlock()
	t := time.Now().Add(after)
	if in.limit.IsZero() || t.Before(in.limit) {
		in.limit = t
	}
	_ = in.stream.SetReadDeadline(in.limit)
}

// arm moves the read deadline to `after` from now. One that is far enough away
// stays, since a deadline costs a timer.
func (in *inbound) arm(after time.Duration, exact bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.limit.IsZero() {
		return
	}
	t := time.Now().Add(after)
	if d := t.Sub(in.armed); !exact && d >= 0 && d < after/8 {
		return
	}
	in.armed = t
	_ = in.stream.SetReadDeadline(t)
}

// read cuts the stream into frames until it ends.
func (in *inbound) read() {
	l := in.link
	for {
		p := l.Get()
		if err := in.frame(p); err != nil {
			l.Put(p)
			in.end(err)
			return
		}
		l.count.framesIn.Add(1)
		in.used.Store(time.Now().UnixNano())
		l.receive(in.from, p)
	}
}

// errBroken says that a stream ended, or stalled, inside a frame.
var errBroken = errors.New("the stream ended in the middle of a frame")

// frame reads one frame. The wait for its first byte may be long, the wait for
// the rest may not: half-open neighbours and those that send a byte at a time
// are cut off.
func (in *inbound) frame(p *onion.Packet) error {
	in.arm(in.link.limits.silent, false)
	var n int
	for n == 0 {
		var err error
		if n, err = in.stream.Read(p[:]); err != nil && n == 0 {
			return err
		}
	}
	if n == len(p) {
		return nil
	}
	in.arm(in.link.limits.frame, true)
	if _, err := io.ReadFull(in.stream, p[n:]); err != nil {
		return errBroken
	}
	return nil
}

// end closes a stream that was ended between frames and resets any other.
func (in *inbound) end(err error) {
	switch {
	case errors.Is(err, io.EOF):
		_ = in.stream.Close()
		return
	case errors.Is(err, errBroken):
		in.link.count.broken.Add(1)
	}
	_ = in.stream.Reset()
}

// leave takes the stream out of the table and makes sure that it has ended.
func (in *inbound) leave() {
	_ = in.stream.Reset() // does nothing to a closed one
	l := in.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inbound[in.from] == in {
		delete(l.inbound, in.from)
	}
}
