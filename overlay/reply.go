package overlay

import (
	"fmt"
	"sync"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/overlay/onion"
)

// MaxReplies is how many reply blocks fit the body of a request.
const MaxReplies = MaxRequest / onion.SURBSize

// Replies are single-use reply blocks by which a service can send something later,
// as often as there are blocks. What comes is read from C.
type Replies struct {
	// Blocks are for the body of a request to the service. Whoever has them cannot
	// tell where they lead.
	Blocks []onion.SURB

	// Expires is until when the service may use them, by its own clock: then the
	// keys of a node on the way may be gone. It is to be told.
	Expires time.Time

	// C has room for as much as can come, and is closed when nothing can any more:
	// all blocks were used, or their time is over, or Close was called.
	C <-chan []byte

	table *awaiting
	waits []*awaited // read-only

	mu   sync.Mutex // guards the fields below
	left int        // blocks that something may still come by
	c    chan []byte
}

// Replies makes n reply blocks, at most MaxReplies, for a service at the node end,
// each with relays of its own and the delays of a latency. They take their places
// in the caller's share until they are used or expire: it is ErrBusy if there is
// no room for all.
func (c *Caller) Replies(end hashid.NodeID, n int, latency Latency) (*Replies, error) {
	if n < 1 || n > MaxReplies {
		return nil, fmt.Errorf("a request has room for 1 to %d reply blocks, not %d", MaxReplies, n)
	}
	o := c.overlay
	desc, err := o.find(end)
	if err != nil {
		return nil, err
	}
	now := o.cfg.Now()
	r := &Replies{table: o.awaited, c: make(chan []byte, n), left: n}
	r.C = r.c
	dead := keysEnd(now)
	r.Expires = dead.Add(-record.ClockSkew - latency.Patience(onion.Relays))
	for range n {
		surb, w, err := o.replyBlock(desc, latency, now)
		if err == nil {
			w.caller, w.pushed = c, r
			err = o.awaited.add(w, dead.Sub(now))
		}
		if err != nil {
			r.Close()
			return nil, err
		}
		r.Blocks, r.waits = append(r.Blocks, surb), append(r.waits, w)
	}
	return r, nil
}

// replyBlock makes a reply block that leads from end to this node.
func (o *Overlay) replyBlock(end *record.Descriptor, latency Latency, now time.Time) (onion.SURB, *awaited, error) {
	relays, err := o.cfg.Paths.Back(end)
	if err != nil {
		return onion.SURB{}, nil, err
	}
	return o.block(relays, latency, now)
}

// keysEnd is when the keys of reply blocks made now go, by the clocks of those
// that have them: each serves in its own epoch and the one after, and none of
// those on the way is of an epoch before this one. A clock may be ahead of this
// node's by [record.ClockSkew]; and a packet takes its time to arrive.
func keysEnd(now time.Time) time.Time {
	return now.Truncate(record.EpochLength).Add(2 * record.EpochLength)
}

// Close forgets the blocks that were not used yet. It may be called again.
func (r *Replies) Close() {
	for _, w := range r.waits {
		r.table.drop(w)
	}
}

// came hands on what came by one of the blocks.
func (r *Replies) came(body []byte) {
	r.c <- body // there is room for one by each block
	r.less()
}

// less notes that nothing more can come by one of the blocks.
func (r *Replies) less() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left--; r.left == 0 {
		close(r.c)
	}
}

// reply is called when a packet came back by a SURB of this node's.
func (o *Overlay) reply(id onion.SURBID, payload *[onion.PayloadSize]byte) {
	w, late := o.awaited.take(id)
	if w == nil {
		return // too late, or not ours: nobody waits
	}
	body, err := w.keys.Open(payload)
	if err != nil {
		o.cfg.Log.Debug("an answer was damaged on its way")
		if w.pushed != nil {
			w.pushed.less()
		} else if !late {
			o.report(w.way, Lost)
		}
		return
	}
	body = append([]byte(nil), body...)
	if w.pushed != nil {
		w.pushed.came(body)
		return
	}
	outcome := Answered
	if late {
		outcome = Late
	}
	o.report(w.way, outcome)
	select {
	case w.answers <- answer{w.way.End, body}:
	default: // another was sooner
	}
}
