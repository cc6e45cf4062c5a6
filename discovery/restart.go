package discovery

import (
	"context"
	"sync"
)

// restart has a loop leave what it is doing, which may be waiting for answers
// that will not come, and begin again.
type restart struct {
	asked chan struct{} // capacity 1: begin again

	mu   sync.Mutex
	stop context.CancelFunc // guarded by mu: of what is being done; nil before the first
}

func newRestart() *restart { return &restart{asked: make(chan struct{}, 1)} }

// now asks for it.
func (r *restart) now() {
	nudge(r.asked)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stop != nil {
		r.stop()
	}
}

// begin returns the context of what the loop does next.
func (r *restart) begin(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stop = stop
	return ctx, stop
}
