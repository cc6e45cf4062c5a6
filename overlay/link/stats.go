package link

import (
	"errors"
	"sync/atomic"
)

// Stats is a snapshot of what a link has done: counts only, never who.
type Stats struct {
	FramesIn, FramesOut uint64

	// Packets dropped, by cause.
	QueueFull   uint64 // the neighbour was too slow
	Unreachable uint64 // the neighbour had just failed
	TooMany     uint64 // no room for another neighbour
	Lost        uint64 // queued for a neighbour that failed or was given up
	Closed      uint64 // the link was not running

	Failures uint64 // times a neighbour was found unreachable
	Evicted  uint64 // neighbours and streams given up to make room
	Replaced uint64 // streams replaced by a newer one of the same neighbour
	Broken   uint64 // streams that ended or stalled inside a frame

	Neighbours int // sent to at present
	Inbound    int // streams read at present
	Queued     int // packets waiting at present
}

// counters are the counts behind Stats.
type counters struct {
	framesIn, framesOut                           atomic.Uint64
	queueFull, unreachable, tooMany, lost, closed atomic.Uint64
	failures, evicted, replaced, broken           atomic.Uint64
}

func (c *counters) refused(err error) {
	switch {
	case errors.Is(err, ErrQueueFull):
		c.queueFull.Add(1)
	case errors.Is(err, ErrUnreachable):
		c.unreachable.Add(1)
	case errors.Is(err, ErrTooManyNeighbours):
		c.tooMany.Add(1)
	case errors.Is(err, ErrClosed):
		c.closed.Add(1)
	}
}

// Stats returns the counts so far.
func (l *Link) Stats() Stats {
	c := &l.count
	s := Stats{
		FramesIn:    c.framesIn.Load(),
		FramesOut:   c.framesOut.Load(),
		QueueFull:   c.queueFull.Load(),
		Unreachable: c.unreachable.Load(),
		TooMany:     c.tooMany.Load(),
		Lost:        c.lost.Load(),
		Closed:      c.closed.Load(),
		Failures:    c.failures.Load(),
		Evicted:     c.evicted.Load(),
		Replaced:    c.replaced.Load(),
		Broken:      c.broken.Load(),
		Queued:      int(l.queued.Load()),
	}
	l.mu.Lock()
	s.Neighbours, s.Inbound = len(l.neighbours), len(l.inbound)
	l.mu.Unlock()
	return s
}
