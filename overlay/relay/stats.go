package relay

import "sync/atomic"

// Stats is a snapshot of what a relay has done: counts only, never who.
type Stats struct {
	Forwarded uint64 // passed on
	Delivered uint64 // for this node
	Replies   uint64 // for this node, by one of its reply blocks

	// Packets dropped, by cause.
	Unreadable uint64 // no key opens it: damaged, too old, or not for this node
	Replayed   uint64 // its tag has been seen
	Limited    uint64 // its neighbour has used up its part of the replay tags
	ToSelf     uint64 // it would go from this node to itself
	Tampered   uint64 // for this node, but its payload was changed on the way
	NoRoom     uint64 // too many packets of its neighbour wait, or the relay has stopped
	Unsent     uint64 // the link refused it
	Stopped    uint64 // it was waiting when the relay stopped

	Waiting int // packets waiting at present
}

type counter = atomic.Uint64

// counters are the counts behind Stats.
type counters struct {
	forwarded, delivered, replies     counter
	unreadable, replayed, limited     counter
	toSelf                            counter
	tampered, noRoom, unsent, stopped counter
}

// Stats returns the counts so far.
func (r *Relay) Stats() Stats {
	c := &r.count
	return Stats{
		Forwarded:  c.forwarded.Load(),
		Delivered:  c.delivered.Load(),
		Replies:    c.replies.Load(),
		Unreadable: c.unreadable.Load(),
		Replayed:   c.replayed.Load(),
		Limited:    c.limited.Load(),
		ToSelf:     c.toSelf.Load(),
		Tampered:   c.tampered.Load(),
		NoRoom:     c.noRoom.Load(),
		Unsent:     c.unsent.Load(),
		Stopped:    c.stopped.Load(),
		Waiting:    r.room.len(),
	}
}
