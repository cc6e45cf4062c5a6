package discovery

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

func newTestFinder(t *testing.T) (*Finder, *Directory, *fakeTable) {
	t.Helper()
	d, table := newTestDirectory(), newFakeTable()
	f, err := NewFinder(d, table)
	if err != nil {
		t.Fatal(err)
	}
	return f, d, table
}

func TestFind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, d, table := newTestFinder(t)
		known, stranger, gone := newSigner(t), newSigner(t), newSigner(t)
		learn(t, d, known.sign(time.Now()))
		table.values[record.DescriptorKey(stranger.id)] = stranger.sign(time.Now(), noRelay)
		for _, s := range []*signer{known, stranger, stranger} {
			if desc, err := f.Find(t.Context(), s.id); err != nil || desc.ID() != s.id {
				t.Errorf("got %v", err)
			}
		}
		if desc, ok := f.Known(known.id); !ok || desc.ID() != known.id {
			t.Error("a node in the directory is not known")
		}
		if table.looked(known.id) != 0 || table.looked(stranger.id) != 1 {
			t.Errorf("looked up %d and %d times", table.looked(known.id), table.looked(stranger.id))
		}

		// One that has left is asked for: it may be back.
		learn(t, d, gone.sign(time.Now(), withdrawn))
		if _, ok := f.Known(gone.id); ok {
			t.Error("a node that has left is known")
		}
		if _, err := f.Find(t.Context(), gone.id); !errors.Is(err, ErrNoDescriptor) {
			t.Errorf("got %v", err)
		}
		table.values[record.DescriptorKey(gone.id)] = gone.sign(time.Now(), later(1))
		pass(missesAfter)
		if desc, err := f.Find(t.Context(), gone.id); err != nil || desc.Flags != record.FlagRelay {
			t.Errorf("it is back: %v", err)
		}
	})
}

func TestFindForgedOrExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, table := newTestFinder(t)
		forged, expired := newSigner(t), newSigner(t)
		raw := forged.sign(time.Now())
		raw[60] ^= 1
		table.values[record.DescriptorKey(forged.id)] = raw
		table.values[record.DescriptorKey(expired.id)] = expired.sign(time.Now().Add(-2 * record.DescriptorLifetime))
		for _, s := range []*signer{forged, expired} {
			if _, err := f.Find(t.Context(), s.id); !errors.Is(err, ErrNoDescriptor) {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestFindsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, table := newTestFinder(t)
		s := newSigner(t)
		table.values[record.DescriptorKey(s.id)] = s.sign(time.Now())
		table.hold = func(context.Context) { time.Sleep(time.Second) }
		found := make(chan error)
		for range 50 {
			go func() {
				_, err := f.Find(t.Context(), s.id)
				found <- err
			}()
		}
		for range 50 {
			if err := <-found; err != nil {
				t.Error(err)
			}
		}
		if table.looked(s.id) != 1 {
			t.Errorf("looked up %d times", table.looked(s.id))
		}
		if len(f.searches) != 0 {
			t.Errorf("%d searches are left", len(f.searches))
		}
	})
}

// Whoever waits for another's look-up is not called off with it.
func TestFindOutlivesItsFirstCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, table := newTestFinder(t)
		s := newSigner(t)
		table.hold = func(ctx context.Context) {
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { _, err := f.Find(ctx, s.id); first <- err }()
		synctest.Wait()
		go func() { _, err := f.Find(t.Context(), s.id); second <- err }()
		synctest.Wait()
		table.set(func() { table.values[record.DescriptorKey(s.id)] = s.sign(time.Now()) })
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("the one that was called off: %v", err)
		}
		if err := <-second; err != nil {
			t.Errorf("the one that was not: %v", err)
		}
		if table.looked(s.id) != 2 {
			t.Errorf("looked up %d times", table.looked(s.id))
		}
	})
}

func TestMissesAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, table := newTestFinder(t)
		s := newSigner(t)
		for range 5 {
			if _, err := f.Find(t.Context(), s.id); !errors.Is(err, ErrNoDescriptor) {
				t.Errorf("got %v", err)
			}
		}
		if table.looked(s.id) != 1 {
			t.Errorf("looked up %d times", table.looked(s.id))
		}
		table.values[record.DescriptorKey(s.id)] = s.sign(time.Now())
		time.Sleep(missesAfter)
		if _, err := f.Find(t.Context(), s.id); err != nil {
			t.Errorf("later: %v", err)
		}
	})
}

func TestFewSearchesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, table := newTestFinder(t)
		table.hold = func(context.Context) { time.Sleep(time.Second) }
		const made = missesKept + 10
		done := make(chan struct{})
		for i := range made {
			var id hashid.NodeID
			binary.BigEndian.PutUint32(id[:], uint32(i))
			go func() {
				_, _ = f.Find(t.Context(), id)
				done <- struct{}{}
			}()
		}
		for range made {
			<-done
		}
		if table.most > maxSearches {
			t.Errorf("%d look-ups at once", table.most)
		}
		if f.misses.Len() != missesKept || len(f.searches) != 0 {
			t.Errorf("keeps %d misses and %d searches", f.misses.Len(), len(f.searches))
		}
	})
}

// The end of a path is found even when the directory has no room for it.
func TestFindWithAFullDirectory(t *testing.T) {
	f, d, table := newTestFinder(t)
	crowd(t, d, maxKnown, newSigner(t).sign(time.Now()), inUseAll)
	s := newSigner(t)
	table.values[record.DescriptorKey(s.id)] = s.sign(time.Now())
	if desc, err := f.Find(t.Context(), s.id); err != nil || desc.ID() != s.id {
		t.Errorf("got %v", err)
	}
}
