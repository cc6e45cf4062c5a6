package node

import (
	"context"
	"sync"

	"chatnt/node/control"
)

// maxUnread is how many events may wait for their reader before the node stops
// taking in messages. Nothing is lost then: what is not taken in is not
// acknowledged, and its sender repeats it.
const maxUnread = 1024

// feed is an ordered queue of events with one reader.
type feed struct {
	mu     sync.Mutex
	events []control.Event // guarded by mu
	more   chan struct{}   // capacity 1
	less   chan struct{}   // capacity 1
}

func newFeed() *feed {
	return &feed{more: make(chan struct{}, 1), less: make(chan struct{}, 1)}
}

// emit adds an event and never blocks.
func (f *feed) emit(e control.Event) {
	f.mu.Lock()
	f.events = append(f.events, e)
	f.mu.Unlock()
	nudge(f.more)
}

// room waits until fewer than maxUnread events are unread.
func (f *feed) room(ctx context.Context) error {
	for {
		f.mu.Lock()
		n := len(f.events)
		f.mu.Unlock()
		if n < maxUnread {
			return nil
		}
		select {
		case <-f.less:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// next waits for the next event.
func (f *feed) next(ctx context.Context) (control.Event, error) {
	for {
		f.mu.Lock()
		if len(f.events) > 0 {
			e := f.events[0]
			f.events[0] = nil
			f.events = f.events[1:]
			f.mu.Unlock()
			nudge(f.less)
			return e, nil
		}
		f.mu.Unlock()
		select {
		case <-f.more:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
