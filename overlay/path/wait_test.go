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

// restarted is a Chooser that has kept relays of a network before, and knows of none
// that it is usable now.
func restarted(t *testing.T, seed int, relays []*record.Descriptor) *Chooser {
	t.Helper()
	rules := Rules{Self: self, Hops: 3, Random: seeded(seed)}
	before := New(rules)
	draw(t, before, start, relays, far)
	c, err := Restore(rules, before.State())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestStartsWithItsOwn: while a node that has started learns of one relay after the
// other, in any order, it uses those that it has kept or none, and picks no other.
func TestStartsWithItsOwn(t *testing.T) {
	for seed := range count(100, 2000) {
		relays := apartNodes(t, 40)
		c := restarted(t, seed, relays)
		state := c.State()
		guards, second := idsOf(c.keeping.guards), idsOf(c.keeping.second)
		r := rand.New(rand.NewPCG(uint64(seed), 5))
		r.Shuffle(len(relays), func(i, j int) { relays[i], relays[j] = relays[j], relays[i] })
		waited := false
		for n := range len(relays) + 1 {
			w, err := c.Draw(start.Add(time.Duration(n)*keptWait/50), relays[:n], far)
			ready := c.Ready(start.Add(time.Duration(n)*keptWait/50), relays[:n])
			short := new(discovery.ShortageError)
			switch {
			case errors.Is(err, ErrWaits):
				waited = true
				if n >= 3 && !errors.Is(ready, ErrWaits) {
					t.Fatalf("seed %d: it waits, and is ready: %v", seed, ready)
				}
			case errors.As(err, &short):
			case err != nil:
				t.Fatal(err)
			case !slices.Contains(guards, w.out[0]), n >= few && (!slices.Contains(second, w.out[1]) || !slices.Contains(second, w.back[1])):
				t.Fatalf("seed %d: with %d relays it uses others than its own", seed, n)
			}
		}
		if !waited || string(c.State()) != string(state) {
			t.Errorf("seed %d: it waited: %v; it keeps the same: %v", seed, waited, string(c.State()) == string(state))
		}
	}
}

// TestWaitsNoLonger: those that are kept are waited for fifteen seconds, each time
// that they begin to be missing; then one is picked, or any used in a small network.
func TestWaitsNoLonger(t *testing.T) {
	for _, n := range []int{30, 10} {
		relays := apartNodes(t, 40)
		c := restarted(t, n, relays)
		guards := idsOf(c.keeping.guards)
		up := only(relays, func(id hashid.NodeID) bool { return !slices.Contains(guards, id) })[:n]
		now := start
		for range 3 {
			for _, after := range []time.Duration{0, time.Second, keptWait - 1} {
				if _, err := c.Draw(now.Add(after), up, far); !errors.Is(err, ErrWaits) {
					t.Fatalf("%d relays, after %v: %v", n, after, err)
				}
			}
			if _, err := c.Draw(now.Add(keptWait), up, far); err != nil {
				t.Fatalf("%d relays, after %v: %v", n, keptWait, err)
			}
			if want := 3 + min(1, n/few); len(c.keeping.guards) != want {
				t.Fatalf("%d relays: it has %d guards, want %d", n, len(c.keeping.guards), want)
			}
			// They are back, and go again, with the one that was picked meanwhile.
			now = now.Add(time.Hour)
			if w := draw(t, c, now, relays, far); !slices.Contains(guards, w.out[0]) {
				t.Fatal("those that are back are not used")
			}
			up = only(up, func(id hashid.NodeID) bool { return !holds(c.keeping.guards, id) })
			if n >= few {
				c.keeping.guards = c.keeping.guards[:3]
			}
		}
	}
}

// TestWaitsForSecond: a node waits for those next to its guards just so.
func TestWaitsForSecond(t *testing.T) {
	relays := apartNodes(t, 40)
	c := restarted(t, 1, relays)
	second := idsOf(c.keeping.second)
	for missing, waits := range []bool{false, false, false, true, true} {
		up := only(relays, func(id hashid.NodeID) bool { return !slices.Contains(second[:missing], id) })
		if _, err := c.Draw(start, up, far); errors.Is(err, ErrWaits) != waits {
			t.Errorf("without %d of four: %v", missing, err)
		}
	}
	if len(c.keeping.second) != secondOnDuty {
		t.Errorf("it has %d", len(c.keeping.second))
	}
}
