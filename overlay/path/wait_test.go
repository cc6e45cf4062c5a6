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

// TestWaitsNoLonger: at a start those that are kept are waited for until others were
// reached and enough of these are usable for five seconds; later, until others were
// reached. Then one is picked.
func TestWaitsNoLonger(t *testing.T) {
	relays := apartNodes(t, 40)
	c := restarted(t, 30, relays)
	guards := idsOf(c.keeping.guards)
	up := only(relays, func(id hashid.NodeID) bool { return !slices.Contains(guards, id) })[:30]
	now := start
	for i, step := range []struct {
		after   time.Duration
		usable  int
		reached bool
		err     error
		guards  int
	}{
		{0, few - 1, true, ErrWaits, 3}, // the node has started
		{keptLess, few - 1, true, ErrWaits, 3},
		{keptLess, few, true, ErrWaits, 3},
		{keptLess - 1, 30, true, ErrWaits, 3},
		{1, 30, true, nil, 4},
		{time.Hour, 40, false, nil, 4}, // all are back,
		{0, 30, false, ErrWaits, 4},    // and go again, with the one picked meanwhile
		{time.Hour, 30, false, ErrWaits, 4},
		{time.Second, 30, true, ErrWaits, 4},
		{keptAgain - 1, 30, false, ErrWaits, 4},
		{1, 30, false, nil, 5},
	} {
		now = now.Add(step.after)
		if step.reached {
			c.Reached(now)
		}
		some := relays
		if step.usable < len(relays) {
			some = only(up[:step.usable], func(id hashid.NodeID) bool { return !holds(c.keeping.guards, id) })
		}
		if _, err := c.Draw(now, some, far); !errors.Is(err, step.err) || len(c.keeping.guards) != step.guards {
			t.Fatalf("step %d: it has %d guards, and says %v", i, len(c.keeping.guards), err)
		}
	}
}

// TestFewOthersAreWaitedForLonger: where only some others answer, the kept ones are
// waited for fifteen seconds at a start.
func TestFewOthersAreWaitedForLonger(t *testing.T) {
	relays := apartNodes(t, 40)
	c := restarted(t, 1, relays)
	up := only(relays, func(id hashid.NodeID) bool { return !holds(c.keeping.guards, id) })[:few-1]
	for _, after := range []time.Duration{0, keptLess, keptWait - 1} {
		c.Reached(start.Add(after))
		if _, err := c.Draw(start.Add(after), up, far); !errors.Is(err, ErrWaits) {
			t.Errorf("after %v: %v", after, err)
		}
	}
	if _, err := c.Draw(start.Add(keptWait), up, far); err != nil {
		t.Error(err)
	}
}

// TestSmallNetworkWaitsForNobody: in a network that is known to be small any relay stands
// first at once, and those that are kept again when they are back; a guard is picked only
// when others were reached.
func TestSmallNetworkWaitsForNobody(t *testing.T) {
	for _, n := range []int{few, small - 1, small} {
		relays := apartNodes(t, n)
		c := New(Rules{Self: self, Hops: 3, Random: seeded(n)})
		draw(t, c, start, relays, far)
		c.Reached(start)
		guards, second := idsOf(c.keeping.guards), idsOf(c.keeping.second)
		up := only(relays, func(id hashid.NodeID) bool { return !slices.Contains(guards, id) })
		now := start.Add(time.Minute)
		for range 30 {
			now = now.Add(time.Second)
			w, err := c.Draw(now, up, far)
			if n >= small {
				if !errors.Is(err, ErrWaits) {
					t.Fatalf("%d relays: %v", n, err)
				}
				continue
			}
			if err != nil || !slices.Contains(second, w.out[1]) {
				t.Fatalf("%d relays: second relays are not used: %v", n, err)
			}
		}
		if len(c.keeping.guards) != 3 {
			t.Errorf("%d relays: a guard was picked, and nobody was reached", n)
		}
		c.Reached(now)
		_, _ = c.Draw(now, up, far)
		now = now.Add(keptAgain)
		want := 3
		if len(up) >= few {
			want++
		}
		if draw(t, c, now, up, far); len(c.keeping.guards) != want {
			t.Errorf("%d relays: it has %d guards, want %d", n, len(c.keeping.guards), want)
		}
		if w := draw(t, c, now, relays, far); !slices.Contains(guards, w.out[0]) {
			t.Error("those that are back are not used")
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
