package node

import (
	"context"
	"slices"
	"sync"
	"time"

	"chatnt/node/control"
)

// maxUnread is how many events may wait for their reader before the node stops
// taking in messages. Nothing is lost then: what is not taken in is not
// acknowledged, and its sender repeats it.
const maxUnread = 1024

const (
	// The names of shown events are handed to forget this many at a time, or once
	// nothing new has come for a moment: a busy reader pays for few transactions.
	maxShown   = 64
	shownAfter = 50 * time.Millisecond
)

// feed is an ordered queue of events with one reader, who asks for the next only
// when it is done with the one before. An event that must not get lost is stored
// under a key by whoever emits it; once it is shown, forget gets the key.
type feed struct {
	forget func(keys []string) // read-only once there is a reader

	mu     sync.Mutex
	events []kept   // guarded by mu
	handed string   // guarded by mu: key of what the reader has now, "" for none
	shown  []string // guarded by mu: keys for forget

	more chan struct{} // capacity 1
	less chan struct{} // capacity 1
}

// kept is an event and the key that it is stored under, "" for none.
type kept struct {
	control.Event
	key string
}

func newFeed() *feed {
	return &feed{more: make(chan struct{}, 1), less: make(chan struct{}, 1)}
}

// emit adds an event that is stored nowhere, and never blocks.
func (f *feed) emit(e control.Event) { f.emitStored(e, "") }

// emitStored adds an event that is stored under a key, and never blocks. A reader
// that has stopped reading does not make the queue grow for ever: of the numbers of
// relays the last is kept, and beyond maxUnread nothing that only says why a text
// still waits.
func (f *feed) emitStored(e control.Event, key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch e := e.(type) {
	case control.RelaysChanged:
		f.events = slices.DeleteFunc(f.events, func(k kept) bool {
			_, same := k.Event.(control.RelaysChanged)
			return same
		})
	case control.StatusChanged:
		if e.State == control.Queued && len(f.events) >= maxUnread {
			return
		}
	}
	f.events = append(f.events, kept{e, key})
	nudge(f.more)
}

// full reports whether maxUnread events or more are unread.
func (f *feed) full() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.events) >= maxUnread
}

// room waits until fewer than maxUnread events are unread.
func (f *feed) room(ctx context.Context) error {
	for {
		if !f.full() {
			return nil
		}
		select {
		case <-f.less:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// next waits for the next event. To ask for it is to say that the one before was
// shown.
func (f *feed) next(ctx context.Context) (control.Event, error) {
	for {
		f.mu.Lock()
		if f.handed != "" {
			f.shown, f.handed = append(f.shown, f.handed), ""
		}
		shown := len(f.shown)
		if len(f.events) > 0 {
			e := f.events[0]
			f.events[0] = kept{}
			f.events, f.handed = f.events[1:], e.key
			f.mu.Unlock()
			nudge(f.less)
			if shown >= maxShown {
				f.forgetShown()
			}
			return e.Event, nil
		}
		f.mu.Unlock()
		var quiet <-chan time.Time
		if shown > 0 {
			quiet = time.After(shownAfter)
		}
		select {
		case <-f.more:
		case <-quiet:
			f.forgetShown()
		case <-ctx.Done():
			f.forgetShown()
			return nil, ctx.Err()
		}
	}
}

// forgetShown hands on the keys of what was shown.
func (f *feed) forgetShown() {
	f.mu.Lock()
	shown := f.shown
	f.shown = nil
	f.mu.Unlock()
	if len(shown) > 0 {
		f.forget(shown)
	}
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
