package discovery

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

func TestLearn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s, now := newTestDirectory(), newSigner(t), time.Now()
		self := newSigner(t)
		d.self = self.id
		forged := s.sign(now, later(9))
		forged[100] ^= 1
		same, other := s.sign(now, later(1)), s.sign(now, later(1), noRelay)
		if !record.Newer(other, same) {
			same, other = other, same
		}
		for _, step := range []struct {
			name string
			raw  []byte
			news bool
			err  func(error) bool
		}{
			{"the first", s.sign(now), true, nil},
			{"older", s.sign(now.Add(-time.Minute)), false, nil},
			{"newer", same, true, nil},
			{"the same again", same, false, nil},
			{"of equal sequence, with greater bytes", other, true, nil},
			{"of equal sequence, with lesser bytes", same, false, nil},
			{"forged", forged, false, record.IsForged},
			{"cut short", s.sign(now, later(9))[:300], false, record.IsForged},
			{"expired", s.sign(now, later(9), func(d *record.Descriptor) { d.Expires = now.Add(-time.Second) }), false, func(err error) bool { return errors.Is(err, record.ErrExpired) }},
			{"dated ahead", s.sign(now, later(100000)), false, func(err error) bool { return errors.Is(err, record.ErrFuture) }},
			{"withdrawn", s.sign(now, later(2), withdrawn), true, nil},
			{"replayed after the withdrawal", same, false, nil},
			{"this node's own", self.sign(now), false, nil},
		} {
			news, err := d.Learn(step.raw)
			if news != step.news || (step.err == nil) != (err == nil) || step.err != nil && !step.err(err) {
				t.Errorf("%s: news %v, error %v", step.name, news, err)
			}
		}
		if d.Known() != 0 {
			t.Errorf("%d nodes are known, and the only one has left", d.Known())
		}
		if desc, ok := d.Lookup(s.id); !ok || desc.Flags != record.FlagWithdrawn {
			t.Error("the withdrawal is not remembered")
		}
		if _, ok := d.Lookup(self.id); ok {
			t.Error("it keeps its own descriptor")
		}
	})
}

func TestLearnKeepsNoMemoryOfTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDirectory()
		running(t, func(ctx context.Context) error { return d.Run(ctx, newFakeTable()) })
		raw := newSigner(t).sign(time.Now())
		want := slices.Clone(raw)
		learn(t, d, raw)
		synctest.Wait()
		clear(raw)
		if got := d.Snapshot(9); len(got) != 1 || !slices.Equal(got[0], want) {
			t.Error("the directory's copy changed with the caller's")
		}
	})
}

func TestUsableOnceDialled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table := newTestDirectory(), newFakeTable()
		relay, plain, gone := newSigner(t), newSigner(t), newSigner(t)
		learn(t, d, relay.sign(time.Now()))
		learn(t, d, plain.sign(time.Now(), noRelay))
		learn(t, d, gone.sign(time.Now(), withdrawn))
		if d.Known() != 2 || len(d.Usable()) != 0 {
			t.Fatalf("before: %d known, %d usable", d.Known(), len(d.Usable()))
		}
		changed := d.Changed()
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		select {
		case <-changed:
		default:
			t.Error("the change was not told")
		}
		if usable := d.Usable(); len(usable) != 1 || usable[0].ID() != relay.id {
			t.Errorf("%d usable", len(usable))
		}
		if len(table.dialled(plain.id))+len(table.dialled(gone.id)) != 0 {
			t.Error("a node that does not relay was dialled")
		}
		learn(t, d, relay.sign(time.Now(), later(1), withdrawn))
		if len(d.Usable()) != 0 || d.Known() != 1 {
			t.Error("a relay is usable after it has left")
		}
	})
}

func TestRedialBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table, s := newTestDirectory(), newFakeTable(), newSigner(t)
		table.down[s.id] = true
		learn(t, d, s.sign(time.Now()))
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		pass(20 * time.Minute)
		want := []string{"0s", "1s", "3s", "7s", "15s", "31s", "1m3s", "2m7s", "4m15s", "8m31s", "13m31s", "18m31s"}
		if got := table.dialled(s.id); !slices.Equal(got, want) {
			t.Fatalf("dialled at %v, want %v", got, want)
		}
		// A new descriptor may mean that it is back: dial at once.
		table.set(func() { table.down[s.id] = false })
		learn(t, d, s.sign(time.Now(), later(1)))
		synctest.Wait()
		if len(d.Usable()) != 1 {
			t.Error("it is back and not usable")
		}
	})
}

func TestNewAddressesAreDialled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table, s := newTestDirectory(), newFakeTable(), newSigner(t)
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		learn(t, d, s.sign(time.Now()))
		synctest.Wait()
		learn(t, d, s.sign(time.Now(), later(1)))
		if len(d.Usable()) != 1 {
			t.Error("new onion keys at old addresses made it unusable")
		}
		learn(t, d, s.sign(time.Now(), later(2), at("/ip4/127.0.0.1/tcp/4002")))
		if len(d.Usable()) != 0 {
			t.Error("it is usable at addresses that nobody has dialled")
		}
		synctest.Wait()
		if len(d.Usable()) != 1 || len(table.dialled(s.id)) != 2 {
			t.Errorf("%d usable after the dials at %v", len(d.Usable()), table.dialled(s.id))
		}
	})
}

// A descriptor that arrives while the relay is being dialled at its old
// addresses does not profit from that dial.
func TestReplacedWhileDialled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table, s := newTestDirectory(), newFakeTable(), newSigner(t)
		dialling := make(chan struct{})
		table.hold = func(context.Context) { <-dialling }
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		learn(t, d, s.sign(time.Now()))
		synctest.Wait()
		learn(t, d, s.sign(time.Now(), later(1), at("/ip4/127.0.0.1/tcp/4002")))
		table.set(func() { table.down[s.id] = true })
		close(dialling)
		synctest.Wait()
		if len(d.Usable()) != 0 || len(table.dialled(s.id)) != 2 {
			t.Errorf("%d usable after the dials at %v", len(d.Usable()), table.dialled(s.id))
		}
	})
}

func TestSuspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table, s := newTestDirectory(), newFakeTable(), newSigner(t)
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		d.Suspect(s.id) // nobody knows it: no matter
		learn(t, d, s.sign(time.Now()))
		synctest.Wait()

		// It can be dialled and yet fails those who use it, again and again.
		for range 4 {
			changed := d.Changed()
			d.Suspect(s.id)
			d.Suspect(s.id) // by another who used it at the time
			select {
			case <-changed:
			default:
				t.Error("the change was not told")
			}
			if len(d.Usable()) != 0 {
				t.Error("it may be used before it has been dialled again")
			}
			synctest.Wait()
			for len(d.Usable()) == 0 {
				pass(100 * time.Millisecond)
			}
		}
		want := []string{"0s", "0s", "1s", "3s", "7s"}
		if got := table.dialled(s.id); !slices.Equal(got, want) {
			t.Errorf("dialled at %v, want %v", got, want)
		}

		// After a good minute it has a clean slate.
		pass(probeForget)
		d.Suspect(s.id)
		synctest.Wait()
		if len(d.Usable()) != 1 {
			t.Error("it was not dialled at once")
		}
	})
}

// Few are dialled at once, and made-up relays that nobody can dial hold up a real
// one only once each.
func TestFewDialsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table := newTestDirectory(), newFakeTable()
		table.hold = func(ctx context.Context) {
			select {
			case <-time.After(5 * time.Second):
			case <-ctx.Done():
			}
		}
		for range 40 {
			s := newSigner(t)
			table.down[s.id] = true
			learn(t, d, s.sign(time.Now()))
		}
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		real := newSigner(t)
		learn(t, d, real.sign(time.Now()))
		pass((40/maxProbes + 1) * 5 * time.Second)
		if table.most > maxProbes {
			t.Errorf("dialled %d at once", table.most)
		}
		if len(d.Usable()) != 1 {
			t.Error("the real one was not reached within the time of all others")
		}
	})
}

func TestExpiredIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDirectory()
		running(t, func(ctx context.Context) error { return d.Run(ctx, newFakeTable()) })
		s := newSigner(t)
		learn(t, d, s.sign(time.Now()))
		synctest.Wait()
		changed := d.Changed()
		pass(record.DescriptorLifetime)
		if _, ok := d.Lookup(s.id); ok || d.Known() != 0 || len(d.Usable()) != 0 {
			t.Error("it is still known")
		}
		pass(probeLast)
		select {
		case <-changed:
		default:
			t.Error("the change was not told")
		}
		if len(d.entries) != 0 {
			t.Error("it is still kept")
		}
	})
}

// usable fills a directory with n relays that can be used.
func usable(t *testing.T, d *Directory, n int) []hashid.NodeID {
	t.Helper()
	var ids []hashid.NodeID
	for range n {
		s := newSigner(t)
		learn(t, d, s.sign(time.Now()))
		d.entries[s.id].up = true
		ids = append(ids, s.id)
	}
	return ids
}

func TestDraw(t *testing.T) {
	d := newTestDirectory()
	ids := usable(t, d, 10)
	for range 1000 {
		path, err := d.Draw(3, ids[0], ids[1], hashid.NodeID{1})
		if err != nil {
			t.Fatal(err)
		}
		seen := make(map[hashid.NodeID]bool)
		for _, r := range path {
			seen[r.ID()] = true
		}
		if len(path) != 3 || len(seen) != 3 || seen[ids[0]] || seen[ids[1]] {
			t.Fatalf("drew %d relays, %d different", len(path), len(seen))
		}
	}
	if path, err := d.Draw(10); err != nil || len(path) != 10 {
		t.Errorf("drew %d of 10: %v", len(path), err)
	}
	var short *ShortageError
	_, err := d.Draw(10, ids[3], ids[4])
	if !errors.As(err, &short) || *short != (ShortageError{Need: 10, Have: 8}) {
		t.Errorf("got %v", err)
	}
	if want := "a path needs 10 relays and 8 can be used now: 2 missing"; short.Error() != want {
		t.Errorf("it says %q, want %q", short, want)
	}
	if _, err := newTestDirectory().Draw(1); !errors.As(err, &short) || short.Have != 0 {
		t.Errorf("from an empty directory: %v", err)
	}
}

// Every relay is as likely as every other at every place of a path. Chi-square
// with 9 degrees of freedom exceeds 60 once in a billion samples.
func TestDrawIsUniform(t *testing.T) {
	const (
		relays, hops, draws = 10, 3, 5000
		bound               = 60
	)
	d := newTestDirectory()
	ids := usable(t, d, relays)
	var counts [hops][relays]float64
	for range draws {
		path, err := d.Draw(hops)
		if err != nil {
			t.Fatal(err)
		}
		for place, r := range path {
			counts[place][slices.Index(ids, r.ID())]++
		}
	}
	const want = float64(draws) / relays
	for place := range counts {
		chi := 0.0
		for _, got := range counts[place] {
			chi += (got - want) * (got - want) / want
		}
		if chi > bound {
			t.Errorf("place %d: chi-square %.1f from %v", place, chi, counts[place])
		}
	}
}

func TestFullDirectory(t *testing.T) {
	d := newTestDirectory()
	desc, err := record.ParseDescriptor(testNetwork, newSigner(t).sign(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxKnown {
		var id hashid.NodeID
		binary.BigEndian.PutUint32(id[:], uint32(i))
		d.entries[id] = &entry{desc: desc, up: true}
	}
	s := newSigner(t)
	raw := s.sign(time.Now())
	if news, err := d.Learn(raw); news || !errors.Is(err, ErrFull) {
		t.Errorf("among relays in use: news %v, error %v", news, err)
	}
	for _, e := range d.entries {
		e.up, e.failures = false, 1
	}
	if news, err := d.Learn(raw); !news || err != nil {
		t.Errorf("among unreachable ones: news %v, error %v", news, err)
	}
	if len(d.entries) != maxKnown || d.entries[s.id] == nil {
		t.Errorf("keeps %d, the new one: %v", len(d.entries), d.entries[s.id] != nil)
	}
	if news, err := d.Learn(s.sign(time.Now(), later(1))); !news || err != nil {
		t.Errorf("a newer one of a known relay: news %v, error %v", news, err)
	}
}

func TestFullDirectoryDropsTheExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDirectory()
		desc, err := record.ParseDescriptor(testNetwork, newSigner(t).sign(time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		for i := range maxKnown {
			var id hashid.NodeID
			binary.BigEndian.PutUint32(id[:], uint32(i))
			d.entries[id] = &entry{desc: desc, up: true}
		}
		time.Sleep(record.DescriptorLifetime)
		learn(t, d, newSigner(t).sign(time.Now()))
		if len(d.entries) != maxKnown {
			t.Errorf("keeps %d", len(d.entries))
		}
	})
}

func TestSnapshot(t *testing.T) {
	d := newTestDirectory()
	ids := usable(t, d, 5)
	down := newSigner(t)
	learn(t, d, down.sign(time.Now()))
	raws := d.Snapshot(10)
	if len(raws) != 5 {
		t.Fatalf("%d descriptors, want those of 5 relays in use", len(raws))
	}
	next := newTestDirectory()
	for _, raw := range raws {
		learn(t, next, raw)
	}
	for _, id := range ids {
		if _, ok := next.Lookup(id); !ok {
			t.Error("a relay is missing")
		}
	}
	if n := len(d.Snapshot(2)); n != 2 {
		t.Errorf("%d descriptors, want 2", n)
	}
}

func TestWalkFetchesUnknownNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table := newTestDirectory(), newFakeTable()
		stranger, known, plain, moved := newSigner(t), newSigner(t), newSigner(t), newSigner(t)
		silent := newSigner(t) // has no descriptor
		for _, s := range []*signer{stranger, known, plain, moved, silent} {
			table.nodes = append(table.nodes, s.id)
		}
		table.nodes = append(table.nodes, d.self)
		table.values[record.DescriptorKey(stranger.id)] = stranger.sign(time.Now())
		learn(t, d, known.sign(time.Now()))
		learn(t, d, plain.sign(time.Now(), noRelay))
		d.entries[known.id].up = true
		// The table has a newer descriptor of one that cannot be reached any more.
		learn(t, d, moved.sign(time.Now()))
		table.down[moved.id] = true
		table.values[record.DescriptorKey(moved.id)] = moved.sign(time.Now(), later(1), at("/ip4/127.0.0.1/tcp/4002"))

		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		if _, ok := d.Lookup(stranger.id); !ok || len(d.Usable()) != 2 {
			t.Errorf("after a walk %d relays are usable", len(d.Usable()))
		}
		if desc, ok := d.Lookup(moved.id); !ok || desc.Addrs[0].String() != "/ip4/127.0.0.1/tcp/4002" {
			t.Error("it did not hear that a relay has moved")
		}
		for name, id := range map[string]hashid.NodeID{"a relay in use": known.id, "a node that does not relay": plain.id, "this node": d.self} {
			if table.looked(id) != 0 {
				t.Errorf("it asked for %s", name)
			}
		}
		if table.looked(silent.id) != 1 {
			t.Errorf("it asked %d times for a node without a descriptor", table.looked(silent.id))
		}
	})
}

// Walks are frequent at first and become hourly; each that brings news, and
// growth, make them frequent again. Growth without end does not.
func TestWhenToWalk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table := newTestDirectory(), newFakeTable()
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		pass(10 * time.Second)
		if n := len(table.walked()); n < 3 || n > 6 {
			t.Errorf("%d walks in the first ten seconds", n)
		}
		pass(12 * time.Hour)
		walks := table.walked()
		if gap := walks[len(walks)-1] - walks[len(walks)-2]; gap < 48*time.Minute || gap > 72*time.Minute {
			t.Errorf("%v between walks after half a day", gap)
		}

		d.Grown()
		pass(walkGrown)
		if len(table.walked()) != len(walks)+1 {
			t.Error("no walk after growth")
		}

		// News: the next walk comes soon.
		s := newSigner(t)
		table.set(func() {
			table.nodes = append(table.nodes, s.id)
			table.values[record.DescriptorKey(s.id)] = s.sign(time.Now())
		})
		d.Grown()
		pass(walkGrown)
		before := len(table.walked())
		pass(walkFirst + walkFirst/5)
		if len(table.walked()) != before+1 {
			t.Error("no walk soon after news")
		}

		before = len(table.walked())
		for range 100 {
			d.Grown()
			pass(walkGrown / 4)
		}
		if n := len(table.walked()) - before; n < 15 || n > 30 {
			t.Errorf("%d walks in five seconds of growth", n)
		}
	})
}

func TestRunEndsInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table := newTestDirectory(), newFakeTable()
		table.hold = func(ctx context.Context) { <-ctx.Done() }
		for i := range 20 {
			s := newSigner(t)
			if i%2 == 0 {
				learn(t, d, s.sign(time.Now()))
			}
			table.nodes = append(table.nodes, s.id)
		}
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		if table.busy == 0 {
			t.Error("nothing is under way")
		}
	})
}

func TestAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAlarm()
		defer a.off()
		start := time.Now()
		var moved []bool
		for _, d := range []time.Duration{time.Minute, time.Hour, time.Second, time.Second} {
			moved = append(moved, a.within(d))
		}
		if want := []bool{true, false, true, false}; !reflect.DeepEqual(moved, want) {
			t.Errorf("moved %v, want %v", moved, want)
		}
		<-a.timer.C
		if got := time.Since(start); got != time.Second {
			t.Errorf("rang after %v", got)
		}
		a.off()
		a.within(time.Minute)
		a.off()
		select {
		case <-a.timer.C:
			t.Error("rang although it was off")
		case <-time.After(time.Hour):
		}
		if got := fmt.Sprint(a.at.IsZero()); got != "true" {
			t.Error("it is set")
		}
	})
}
