package path

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// TestGuardChurn has an attacker take any relays off the network as it likes, and
// holds what is picked against the rules: a new guard is the first, or a week after
// the last, or none of those remembered is usable.
func TestGuardChurn(t *testing.T) {
	for seed := range count(6, 300) {
		r := rand.New(rand.NewPCG(uint64(seed), 3))
		relays := apartNodes(t, 60)
		c := New(Rules{Self: self, Hops: 3, Random: seeded(seed)})
		last, lastPick := []kept(nil), time.Time{}
		now := start
		for range 3000 {
			now = now.Add(time.Duration(r.Int64N(int64(4 * time.Hour))))
			hold := r.IntN(8)
			up := only(relays, func(id hashid.NodeID) bool {
				return !slices.Contains(idsOf(last)[:min(hold, len(last))], id) // the attacker knows the guards
			})
			_, err := c.Draw(now, up, far)
			if errors.Is(err, ErrWaits) {
				c.Reached(now)
				_, _ = c.Draw(now, up, far)
				now = now.Add(keptWait)
				_, err = c.Draw(now, up, far)
			}
			if err != nil && !errors.Is(err, ErrNoGuard) {
				t.Fatal(err)
			}
			usable := 0
			for _, k := range last {
				if now.Before(k.until) && slices.ContainsFunc(up, func(d *record.Descriptor) bool { return d.ID() == k.id }) {
					usable++
				}
			}
			left := slices.DeleteFunc(slices.Clone(last), func(k kept) bool { return !now.Before(k.until) })
			list := c.keeping.guards
			if soon := now.Sub(lastPick) < pressedAfter(len(left)); (err != nil) != (usable == 0 && len(left) > 0 && soon) {
				t.Fatalf("seed %d: with %d of %d guards usable, %v after the last was picked: %v", seed, usable, len(left), now.Sub(lastPick), err)
			}
			if !slices.Equal(list[:len(left)], left) {
				t.Fatalf("seed %d: the list was %v and is %v", seed, left, list)
			}
			switch n := len(list) - len(left); {
			case n == 0:
			case len(left) == 0 && n <= guardsOnDuty:
				lastPick = now
			case n == 1 && usable == 0:
				lastPick = now
			case n == 1 && usable == 1 || n == 1 && len(left) < guardsOnDuty:
				if now.Sub(lastPick) < 7*day {
					t.Fatalf("seed %d: a guard is picked %v after the last", seed, now.Sub(lastPick))
				}
				lastPick = now
			default:
				t.Fatalf("seed %d: %d guards are picked and %d were usable", seed, n, usable)
			}
			last = slices.Clone(list)
		}
	}
}

// An attacker that holds k guards off the network at a time, now these and now those,
// has not more than k+2 picked in a month: then two of them are usable at any time.
func TestHoldingGuardsOff(t *testing.T) {
	for hold := range 8 {
		relays := apartNodes(t, 60)
		c := New(Rules{Self: self, Hops: 3, Random: seeded(hold)})
		seen := make(map[hashid.NodeID]bool)
		for hour := range 30 * 24 {
			var off []hashid.NodeID
			if guards := idsOf(c.keeping.guards); len(guards) > 0 {
				for i := range min(hold, len(guards)) {
					off = append(off, guards[(hour+i)%len(guards)])
				}
			}
			w, err := patiently(c, start.Add(time.Duration(hour)*time.Hour), only(relays, func(id hashid.NodeID) bool { return !slices.Contains(off, id) }), far)
			switch {
			case err == nil:
				seen[w.out[0]] = true
			case !errors.Is(err, ErrNoGuard):
				t.Fatal(err)
			}
		}
		if want := max(guardsOnDuty, hold+2); len(seen) > want {
			t.Errorf("with %d off at a time %d relays were guards in a month, more than %d", hold, len(seen), want)
		}
	}
}

// When this node's own connection fails, its guards are the first that it finds to be
// away, then others. As long as nobody was reached none is picked in their place, however
// long that is, and once it is back they serve.
func TestOutageSpendsNothing(t *testing.T) {
	relays := apartNodes(t, 40)
	c := New(Rules{Self: self, Hops: 3, Random: seeded(1)})
	draw(t, c, start, relays, far)
	guards, second, state := idsOf(c.keeping.guards), idsOf(c.keeping.second), c.State()
	up := only(relays, func(id hashid.NodeID) bool { return !slices.Contains(guards, id) })
	for i := range 600 {
		if _, err := c.Draw(start.Add(time.Duration(i)*time.Second), up, far); !errors.Is(err, ErrWaits) {
			t.Fatalf("after %d s: %v", i, err)
		}
		if i%30 == 0 {
			up = up[:len(up)-1]
		}
	}
	c.Reached(start.Add(-time.Second)) // that was before
	if _, err := c.Draw(start.Add(time.Hour), up, far); !errors.Is(err, ErrWaits) || !c.Missing() {
		t.Fatalf("after an hour: %v, and nobody needs to be reached: %v", err, !c.Missing())
	}
	for i := range 200 {
		w := draw(t, c, start.Add(time.Hour+time.Duration(i)*time.Second), relays, far)
		if !slices.Contains(guards, w.out[0]) || !slices.Contains(second, w.out[1]) || !slices.Contains(second, w.back[1]) {
			t.Fatal("strangers serve")
		}
	}
	if string(c.State()) != string(state) || c.Missing() {
		t.Error("others were picked")
	}
}

// That a request was answered shows that there is a network.
func TestAnswerShowsNetwork(t *testing.T) {
	relays := apartNodes(t, 40)
	c := New(Rules{Self: self, Hops: 3, Random: seeded(1)})
	w := draw(t, c, start, relays, far)
	up := only(relays, func(id hashid.NodeID) bool { return !holds(c.keeping.guards, id) })
	for _, test := range []struct {
		after    time.Duration
		answered bool
		err      error
	}{{0, false, ErrWaits}, {time.Minute, false, ErrWaits}, {time.Minute, true, ErrWaits}, {time.Minute + keptAgain, false, nil}} {
		c.Report(start.Add(test.after), w, test.answered)
		if _, err := c.Draw(start.Add(test.after), up, far); !errors.Is(err, test.err) {
			t.Errorf("after %v, answered: %v: %v", test.after, test.answered, err)
		}
	}
	if len(c.keeping.guards) != 4 {
		t.Errorf("it has %d guards", len(c.keeping.guards))
	}
}

// The guards that are picked in place of those that somebody takes off the network come
// ever later: of two days these are all.
func TestPressedOnesComeLater(t *testing.T) {
	relays := apartNodes(t, 200)
	c := New(Rules{Self: self, Hops: 3, Random: seeded(1)})
	draw(t, c, start, relays, far)
	last := start
	var gaps []time.Duration
	for minute := range 48 * 60 {
		now := start.Add(time.Duration(minute) * time.Minute)
		n := len(c.keeping.guards)
		_, err := patiently(c, now, only(relays, func(id hashid.NodeID) bool { return !holds(c.keeping.guards, id) }), far)
		if err != nil && !errors.Is(err, ErrNoGuard) {
			t.Fatal(err)
		}
		if len(c.keeping.guards) > n {
			gaps = append(gaps, now.Sub(last).Round(5*time.Minute))
			last = now
		}
	}
	want := []time.Duration{0, 5 * time.Minute, time.Hour}
	for len(want) < 14 {
		want = append(want, 4*time.Hour)
	}
	if !slices.Equal(gaps, want) {
		t.Errorf("picked after %v", gaps)
	}
}

// With all off the network there are twenty in three days, then another once a day.
func TestAllGuardsOff(t *testing.T) {
	relays := apartNodes(t, 200)
	c := New(Rules{Self: self, Hops: 3, Random: seeded(1)})
	now, picked, failed := start, make(map[hashid.NodeID]bool), 0
	for range 10 * 24 {
		w, err := patiently(c, now, only(relays, func(id hashid.NodeID) bool { return !picked[id] }), far)
		switch {
		case err == nil:
			picked[w.out[0]] = true
			for _, k := range c.keeping.guards {
				picked[k.id] = true
			}
		case errors.Is(err, ErrNoGuard):
			failed++
		default:
			t.Fatal(err)
		}
		now = now.Add(time.Hour)
	}
	if len(c.keeping.guards) != maxGuards || len(picked) < maxGuards+6 || len(picked) > maxGuards+8 || failed == 0 {
		t.Errorf("%d guards were picked in ten days, %d remembered, %d draws failed", len(picked), len(c.keeping.guards), failed)
	}
}
