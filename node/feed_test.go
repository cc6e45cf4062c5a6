package node

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/node/control"
)

// drain returns the events that wait.
func drain(f *feed) []control.Event {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var events []control.Event
	for {
		f.mu.Lock()
		n := len(f.events)
		f.mu.Unlock()
		if n == 0 {
			return events
		}
		e, err := f.next(ctx)
		if err != nil {
			return events
		}
		events = append(events, e)
	}
}

func known(n int) control.Event { return control.RequestReceived{Text: strconv.Itoa(n)} }

func TestFeedKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed()
		got := make(chan control.Event)
		go func() {
			defer close(got)
			for {
				e, err := f.next(t.Context())
				if err != nil {
					return
				}
				got <- e
				if e == known(99) {
					return
				}
			}
		}()
		synctest.Wait() // the reader waits first
		for i := range 100 {
			f.emit(known(i))
		}
		n := 0
		for e := range got {
			if e != known(n) {
				t.Fatalf("event %d is %v", n, e)
			}
			n++
		}
		if n != 100 {
			t.Errorf("%d events came", n)
		}
	})
}

func TestFeedEndsWithCtx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		f := newFeed()
		ended := make(chan error)
		go func() {
			_, err := f.next(ctx)
			ended <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("next: %v", err)
		}
		for range maxUnread {
			f.emit(known(0))
		}
		if err := f.room(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("room: %v", err)
		}
	})
}

// A full feed still takes events, but says that there is no room until its
// reader has gone on.
func TestFeedHoldsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed()
		for range maxUnread + 1 {
			f.emit(known(0))
		}
		room := make(chan error, 1)
		go func() { room <- f.room(t.Context()) }()
		for range 2 {
			synctest.Wait()
			select {
			case err := <-room:
				t.Fatalf("there is room in a full feed: %v", err)
			default:
			}
			if _, err := f.next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-room; err != nil {
			t.Error(err)
		}
	})
}

// forgetful is a feed that notes the keys of what was shown, a transaction an entry.
func forgetful() (*feed, *[]int) {
	f := newFeed()
	forgotten := new([]int)
	f.forget = func(keys []string) { *forgotten = append(*forgotten, len(keys)) }
	return f, forgotten
}

// An event is shown once the next is asked for, and then soon forgotten.
func TestFeedForgetsWhatWasShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, forgotten := forgetful()
		f.emitStored(known(1), "1")
		f.emit(known(2))
		if _, err := f.next(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if len(*forgotten) != 0 {
			t.Error("an event was forgotten while its reader had it")
		}
		if _, err := f.next(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := f.next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("next: %v", err)
		}
		if !slices.Equal(*forgotten, []int{1}) {
			t.Errorf("forgotten in transactions of %d", *forgotten)
		}

		// At the end there is no moment left to wait for.
		f.emitStored(known(3), "3")
		if _, err := f.next(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := f.next(ctx); !errors.Is(err, context.DeadlineExceeded) || len(*forgotten) != 2 {
			t.Errorf("next: %v; forgotten %d", err, *forgotten)
		}
	})
}

// A busy reader pays for few transactions.
func TestFeedForgetsManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, forgotten := forgetful()
		for range 2*maxShown + 2 {
			f.emitStored(known(0), "k")
		}
		for range 2*maxShown + 2 {
			if _, err := f.next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(*forgotten, []int{maxShown, maxShown}) {
			t.Errorf("forgotten in transactions of %d", *forgotten)
		}
	})
}

// A reader that has stopped reading does not let the queue grow: of the numbers
// of relays the last is kept, and why a text waits is left out in the end.
func TestFeedOfNobody(t *testing.T) {
	f := newFeed()
	f.emit(known(1))
	for i := range 10 {
		f.emit(control.RelaysChanged{Known: i})
	}
	if got := drain(f); len(got) != 2 || got[0] != known(1) || got[1] != (control.RelaysChanged{Known: 9}) {
		t.Errorf("unread were %v", got)
	}
	for range 2 * maxUnread {
		f.emit(control.StatusChanged{State: control.Queued})
	}
	f.emit(control.StatusChanged{State: control.Delivered})
	if got := drain(f); len(got) != maxUnread+1 || got[maxUnread] != (control.StatusChanged{State: control.Delivered}) {
		t.Errorf("%d were unread", len(got))
	}
}
