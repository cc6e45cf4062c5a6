package overlay

import (
	"context"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/overlay/onion"
)

// How Request repeats.
const (
	repeatMost = 5                      // times the first wait: 10 s after 2 s
	heldFirst  = 250 * time.Millisecond // after an attempt that could not go out ...
	heldLast   = 10 * time.Second       // ... half as long again with each, up to this
)

// Caller is somebody on whose behalf requests go out: a conversation, say, or the
// reader of a mailbox. All that wait for answers at once share a bounded room, and
// one caller cannot have more of it than it leaves to the others, so that a
// caller with much to ask does not hold up the rest. It is safe for concurrent
// use, and there is nothing to release.
type Caller struct{ overlay *Overlay }

// Caller returns a new caller.
func (o *Overlay) Caller() *Caller { return &Caller{o} }

// answer is what came back to an attempt.
type answer struct {
	end  hashid.NodeID
	body []byte
}

// Try sends body to a service at the end of path, once, and waits for its answer
// until ctx ends, and half a minute past the time when it counts as lost at most.
// The answer comes back by relays of its own. It is for those who repeat by
// themselves, until something better than an answer tells them that it arrived.
func (c *Caller) Try(ctx context.Context, path *Path, service string, body []byte) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, ErrNoAnswer
	}
	answers := make(chan answer, 1)
	wait, err := c.attempt(path, service, body, 0, answers)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, wait+lateFor)
	defer cancel()
	select {
	case a := <-answers:
		return a.body, nil
	case <-ctx.Done():
		return lastly(answers, ErrNoAnswer)
	}
}

// lastly returns the answer that came as time was up, or why there is none.
func lastly(answers <-chan answer, why error) ([]byte, error) {
	select {
	case a := <-answers:
		return a.body, nil
	default:
		return nil, why
	}
}

// Request sends body to a service at a node until an answer comes or ctx ends,
// each time over new relays there and back: again when the first attempt counts as
// lost, two seconds and what latency takes, then after ever longer waits up to five
// times that. The first answer wins, also one to an earlier attempt; the service
// may have been called several times, so it must be idempotent.
//
// When ctx ends before anything could go out the error says why nothing did, and
// otherwise it is ErrNoAnswer.
func (c *Caller) Request(ctx context.Context, end hashid.NodeID, service string, body []byte, latency Latency) ([]byte, error) {
	if err := checkRequest(service, body); err != nil {
		return nil, err
	}
	var (
		answers = make(chan answer, 1)
		next    = time.NewTimer(heldLast)
		wait    time.Duration
		held    = heldFirst
		failed  = ErrNoAnswer
	)
	defer next.Stop()
	for ctx.Err() == nil {
		patience, err := c.requestOnce(end, service, body, latency, answers)
		if err == nil {
			failed, held = ErrNoAnswer, heldFirst
			wait = min(max(patience, wait*3/2), repeatMost*patience)
			next.Reset(wait)
		} else {
			if wait == 0 && ctx.Err() == nil { // else an answer may still come
				failed = err
			}
			next.Reset(held)
			held = min(held*3/2, heldLast)
		}
		select {
		case a := <-answers:
			return a.body, nil
		case <-ctx.Done():
		case <-next.C:
		}
	}
	return lastly(answers, failed)
}

func (c *Caller) requestOnce(end hashid.NodeID, service string, body []byte, latency Latency, answers chan<- answer) (time.Duration, error) {
	path, err := c.overlay.Draw(end)
	if err != nil {
		return 0, err
	}
	path.Latency = latency
	return c.attempt(path, service, body, 0, answers)
}

// attempt sends one packet with a request, and returns after how long it counts as
// lost: work is what the service may take. The answer goes to answers if there is
// room.
func (c *Caller) attempt(path *Path, service string, body []byte, work time.Duration, answers chan<- answer) (time.Duration, error) {
	o := c.overlay
	surb, w, err := o.block(path.way.Back, path.Latency, o.cfg.Now())
	if err != nil {
		return 0, err
	}
	w.caller, w.answers, w.way = c, answers, path.way
	payload, err := appendRequest(nil, &surb, service, body)
	if err != nil {
		return 0, err
	}
	patience := path.Latency.Patience(len(w.way.Out)+len(w.way.Back)) + work
	if err := o.awaited.add(w, patience); err != nil {
		return 0, err
	}
	if err := o.sendPacket(path, payload); err != nil {
		if o.awaited.drop(w) {
			o.report(w.way, Unsent)
		}
		return 0, err
	}
	return patience, nil
}

func (o *Overlay) sendPacket(path *Path, payload []byte) error {
	p := o.cfg.Link.Get()
	if err := onion.Wrap(p, o.delayed(path.hops, path.Latency), payload); err != nil {
		o.cfg.Link.Put(p)
		return err
	}
	return o.cfg.Link.Send(path.hops[0].Node, p)
}
