package discovery

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/record"
)

// After a sleep no relay is used before it has been dialled, and it is at once:
// also one that failed often before, and while dials of before wait in vain.
func TestRedial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table := newTestDirectory(), newFakeTable()
		up, down := newSigner(t), newSigner(t)
		table.down[down.id] = true
		learn(t, d, up.sign(time.Now()))
		learn(t, d, down.sign(time.Now()))
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		pass(10 * time.Minute)
		if len(d.Usable()) != 1 {
			t.Fatalf("%d relays are usable, want 1", len(d.Usable()))
		}
		before := [2]int{len(table.dialled(up.id)), len(table.dialled(down.id))}

		// The network is not there yet: dials hang.
		table.set(func() {
			table.hold = func(ctx context.Context) { <-ctx.Done() }
			table.down[up.id] = true
		})
		d.Redial()
		synctest.Wait()
		if len(d.Usable()) != 0 {
			t.Error("a relay is used before it has been dialled")
		}
		pass(time.Second)
		table.set(func() { table.hold = nil; clear(table.down) })
		d.Redial()
		synctest.Wait()
		if len(d.Usable()) != 2 {
			t.Errorf("%d relays are usable, want 2", len(d.Usable()))
		}
		for i, s := range []*signer{up, down} {
			if n := len(table.dialled(s.id)) - before[i]; n != 2 {
				t.Errorf("a relay was dialled %d times, want once for each Redial", n)
			}
		}
	})
}

// A walk comes at once, though the next was not due for long, and gets the
// descriptors in the place of those that have expired meanwhile.
func TestRedialWalks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table := newTestDirectory(), newFakeTable()
		s := newSigner(t)
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		pass(5 * time.Hour)
		walked := len(table.walked())
		table.set(func() {
			table.nodes = append(table.nodes, s.id)
			table.values[record.DescriptorKey(s.id)] = s.sign(time.Now())
		})
		d.Redial()
		synctest.Wait()
		if len(table.walked()) != walked+1 || len(d.Usable()) != 1 {
			t.Errorf("%d walks, %d usable relays", len(table.walked())-walked, len(d.Usable()))
		}
	})
}

// A node that was not to be found is looked up at once after a sleep.
func TestFinderRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, table := newTestFinder(t)
		s := newSigner(t)
		if _, err := f.Find(t.Context(), s.id); !errors.Is(err, ErrNoDescriptor) {
			t.Fatalf("got %v", err)
		}
		table.values[record.DescriptorKey(s.id)] = s.sign(time.Now())
		f.Retry()
		if _, err := f.Find(t.Context(), s.id); err != nil {
			t.Error(err)
		}
	})
}

// A put that hangs does not keep what is new from being published, and those that
// failed do not put it off.
func TestRenewLeavesAPutUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dead bool
		table := &fakePutter{stored: map[string]int{"a": 0}, hold: func(ctx context.Context) {
			if dead {
				<-ctx.Done()
			}
		}}
		p, announced := publishing(t, table, "a")
		pass(10*time.Minute + time.Second) // retries are a minute apart
		table.take()
		dead = true
		p.Renew()
		pass(time.Second)
		dead = false
		table.mu.Lock()
		clear(table.stored)
		table.mu.Unlock()
		p.Renew()
		pass(2 * time.Second)
		got := table.take()
		if want := "10m2s a v17"; len(got) == 0 || !slices.Contains(got, want) {
			t.Errorf("put %v, want %s among them", got, want)
		}
		if said := announced(); !strings.HasSuffix(said, "v17") {
			t.Errorf("announced %q, want v17 last", said)
		}
	})
}

// A relay that started anew meanwhile has other keys, which gossip told of while
// nobody here listened: it is asked for.
func TestRedialAsksForNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table := newTestDirectory(), newFakeTable()
		s := newSigner(t)
		learn(t, d, s.sign(time.Now()))
		table.nodes = append(table.nodes, s.id)
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		pass(time.Minute)
		table.set(func() { table.values[record.DescriptorKey(s.id)] = s.sign(time.Now(), later(100)) })
		d.Redial()
		synctest.Wait()
		if desc, ok := d.Lookup(s.id); !ok || desc.Sequence < uint64(time.Now().Unix())+100 {
			t.Error("the relay's news was not asked for")
		}
	})
}
