package discovery

import (
	"context"
	"sync"
	"time"
)

// What is being done is not called off before it has had this long, from its
// beginning, where what was done just before has been called off: so whatever is
// asked for again and again is still done.
const (
	graceFirst = time.Second
	graceLast  = time.Minute // twice as long each time, up to this
)

// restart has a loop leave what it is doing, which may be waiting for answers
// that will not come, and begin again.
type restart struct {
	asked chan struct{} // capacity 1: begin again

	mu    sync.Mutex         // guards the fields below
	stop  context.CancelFunc // of what is being done; nil when nothing is
	began time.Time
	grace time.Duration // that it has; zero: none
	later *time.Timer   // calls stop when that is over; nil: not asked to
}

func newRestart() *restart { return &restart{asked: make(chan struct{}, 1)} }

// now asks for it.
func (r *restart) now() {
	nudge(r.asked)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leave()
}

// begin returns the context of what the loop does next, and what it calls when
// that is done, which is before it begins again. What was asked for since the
// loop has last looked holds for what it does next, too.
func (r *restart) begin(ctx context.Context) (context.Context, func()) {
	doing, stop := context.WithCancel(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stop, r.began = stop, time.Now()
	if len(r.asked) > 0 {
		r.leave()
	}
	return doing, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.done(doing.Err() != nil)
	}
}

// leave calls off what is being done, now or when its grace is over. Called with
// mu held.
func (r *restart) leave() {
	if r.stop == nil || r.later != nil {
		return
	}
	left := time.Until(r.began.Add(r.grace))
	if left <= 0 {
		r.stop()
		return
	}
	r.later = time.AfterFunc(left, r.stop)
}

// done notes the end of what was being done. Called with mu held.
func (r *restart) done(calledOff bool) {
	if r.later != nil {
		r.later.Stop()
		r.later = nil
	}
	r.stop()
	r.stop = nil
	if calledOff {
		r.grace = min(max(2*r.grace, graceFirst), graceLast)
	} else {
		r.grace = 0
	}
}
