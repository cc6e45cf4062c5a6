package overlay

import (
	"container/heap"
	"container/list"
	"context"
	"sync"
	"time"

	"chatnt/overlay/fair"
	"chatnt/overlay/onion"
)

// What is remembered of reply blocks that have gone out, some 600 bytes each:
// 15 MB at most.
const (
	maxAttempts = 4096  // whose answers may come in time; each caller has its share
	maxLate     = 4096  // whose answers may come late; the oldest give way
	maxPushed   = 16384 // for what services push; each caller has its share

	// lateFor is how long the answer of an attempt that counts as lost is waited
	// for: it is worth as much to whoever asked, and clears the relays of the blame.
	lateFor = 30 * time.Second
)

// awaited is what is to come back by one reply block: the answer to an attempt, or
// what a service pushes.
type awaited struct {
	id      onion.SURBID
	keys    *onion.ReplyKeys // used by whoever took it out of the table
	caller  *Caller
	way     Way
	answers chan<- answer // nil for what is pushed
	pushed  *Replies      // nil for an attempt

	// Guarded by awaiting.mu.
	due  time.Time     // when it counts as lost, or is forgotten
	late *list.Element // in awaiting.late once it counts as lost
	at   int           // in awaiting.order; -1: it is not in the table
}

// awaiting is the table of all that is to come back. Each entry leaves it by what
// comes, by its time, or by its owner, whichever is first; its keys are wiped.
type awaiting struct {
	report func(Way, Outcome)
	sooner chan struct{} // holds one: the earliest due time has changed

	mu       sync.Mutex // guards the fields below
	byID     map[onion.SURBID]*awaited
	order    byDue
	late     list.List // of *awaited, the oldest first
	attempts fair.Room[*Caller]
	replies  fair.Room[*Caller]
	stopped  bool
}

func newAwaiting(report func(Way, Outcome)) *awaiting {
	return &awaiting{
		report: report, sooner: make(chan struct{}, 1), byID: make(map[onion.SURBID]*awaited),
		attempts: fair.NewRoom[*Caller](maxAttempts), replies: fair.NewRoom[*Caller](maxPushed),
	}
}

// add takes in an entry: ErrBusy if its caller has its share already.
func (t *awaiting) add(w *awaited, wait time.Duration) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return errStopped
	}
	if !t.room(w).Take(w.caller) {
		return ErrBusy
	}
	w.due = time.Now().Add(wait)
	t.byID[w.id] = w
	heap.Push(&t.order, w)
	if w.at == 0 {
		nudge(t.sooner)
	}
	return nil
}

func (t *awaiting) room(w *awaited) *fair.Room[*Caller] {
	if w.pushed != nil {
		return &t.replies
	}
	return &t.attempts
}

// take takes out the entry that something has come back for, nil if there is none,
// and tells whether it had counted as lost.
func (t *awaiting) take(id onion.SURBID) (w *awaited, late bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w = t.byID[id]; w == nil {
		return nil, false
	}
	late = w.late != nil
	t.remove(w)
	return w, late
}

// drop takes an entry out that nothing is to come for any more, and reports
// whether it was still there.
func (t *awaiting) drop(w *awaited) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.at < 0 {
		return false
	}
	t.forget(w)
	return true
}

// remove and forget are called with mu held.
func (t *awaiting) remove(w *awaited) {
	delete(t.byID, w.id)
	heap.Remove(&t.order, w.at)
	if w.late != nil {
		t.late.Remove(w.late)
	} else {
		t.room(w).Give(w.caller)
	}
}

func (t *awaiting) forget(w *awaited) {
	t.remove(w)
	w.keys.Wipe()
	if w.pushed != nil {
		w.pushed.less()
	}
}

// run has entries leave in time until ctx ends, and then all.
func (t *awaiting) run(ctx context.Context) {
	timer := time.NewTimer(lateFor)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			t.stop()
			return
		case <-t.sooner:
		case <-timer.C:
		}
		if wait, some := t.sweep(time.Now()); some {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
	}
}

// sweep does what is due, and returns after how long something is again, if there
// is anything. An outcome is reported before the lock is given up, so that nobody
// hears first that an answer came late.
func (t *awaiting) sweep(now time.Time) (wait time.Duration, some bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.order) > 0 && !t.order[0].due.After(now) {
		if w := t.order[0]; w.pushed != nil || w.late != nil {
			t.forget(w)
		} else {
			t.giveUp(w, now)
		}
	}
	if len(t.order) == 0 {
		return 0, false
	}
	return t.order[0].due.Sub(now), true
}

// giveUp counts an attempt as lost. Called with mu held.
func (t *awaiting) giveUp(w *awaited, now time.Time) {
	t.attempts.Give(w.caller)
	w.late = t.late.PushBack(w)
	w.due = now.Add(lateFor)
	heap.Fix(&t.order, w.at)
	if t.late.Len() > maxLate {
		t.forget(t.late.Front().Value.(*awaited))
	}
	t.report(w.way, Lost)
}

func (t *awaiting) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	for len(t.order) > 0 {
		t.forget(t.order[len(t.order)-1])
	}
}

// waiting is the number of attempts that do not count as lost.
func (t *awaiting) waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.attempts.Taken()
}

// byDue is a heap of entries by due time.
type byDue []*awaited

func (q byDue) Len() int           { return len(q) }
func (q byDue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }

func (q byDue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

// Push is heap.Interface's.
func (q *byDue) Push(x any) {
	w := x.(*awaited)
	w.at = len(*q)
	*q = append(*q, w)
}

// Pop is heap.Interface's.
func (q *byDue) Pop() any {
	last := len(*q) - 1
	w := (*q)[last]
	w.at = -1
	(*q)[last] = nil
	*q = (*q)[:last]
	return w
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
