package path

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"chatnt/discovery"
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
			if _, err := c.Draw(now, up, far); errors.Is(err, ErrWaits) {
				now = now.Add(keptWait)
				draw(t, c, now, up, far)
			} else if err != nil {
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
			w := draw(t, c, start.Add(time.Duration(hour)*time.Hour), only(relays, func(id hashid.NodeID) bool { return !slices.Contains(off, id) }), far)
			seen[w.out[0]] = true
		}
		if want := max(guardsOnDuty, hold+2); len(seen) > want {
			t.Errorf("with %d off at a time %d relays were guards in a month, more than %d", hold, len(seen), want)
		}
	}
}

// When this node's own connection fails, its guards are the first that it finds to be
// away. Some are picked in vain, and once it is back the old ones serve.
func TestGuardsReturn(t *testing.T) {
	relays := apartNodes(t, 40)
	c := New(Rules{Self: self, Hops: 3, Random: seeded(1)})
	draw(t, c, start, relays, far)
	guards, second := idsOf(c.keeping.guards), idsOf(c.keeping.second)
	up := relays
	for i := range 100 {
		now := start.Add(time.Duration(i) * time.Second)
		w, err := patiently(c, now, up, far)
		if _, short := errors.AsType[*discovery.ShortageError](err); short {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		up = only(up, func(id hashid.NodeID) bool { return id != w.out[0] && id != w.out[1] })
	}
	if len(up) >= 3 {
		t.Fatal("the connection did not fail")
	}
	if len(c.keeping.guards) <= 3 || len(c.keeping.guards) > maxGuards || len(c.keeping.second) <= 4 || len(c.keeping.second) > maxSecond {
		t.Fatalf("%d guards and %d second relays are remembered: this shows nothing", len(c.keeping.guards), len(c.keeping.second))
	}
	for i := range 200 {
		w := draw(t, c, start.Add(time.Hour+time.Duration(i)*time.Second), relays, far)
		if !slices.Contains(guards, w.out[0]) || !slices.Contains(second, w.out[1]) || !slices.Contains(second, w.back[1]) {
			t.Fatal("those that were picked in vain serve")
		}
	}
}

// With all twenty off the network, another is picked once a day.
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
	if len(c.keeping.guards) != maxGuards || len(picked) < maxGuards+8 || len(picked) > maxGuards+10 || failed == 0 {
		t.Errorf("%d guards were picked in ten days, %d remembered, %d draws failed", len(picked), len(c.keeping.guards), failed)
	}
}
