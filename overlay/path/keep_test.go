package path

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

var far = &record.Descriptor{Node: [32]byte{9, 9}} // an end without an address

// patiently draws a way, in a network that is known for long; if it is to wait for relays
// that are kept, when it has, and others were reached.
func patiently(c *Chooser, now time.Time, relays []*record.Descriptor, end *record.Descriptor) (*Way, error) {
	if c.growth.began.IsZero() {
		_ = c.Ready(now.Add(-growsAtMost), relays)
	}
	w, err := c.Draw(now, relays, end)
	if errors.Is(err, ErrWaits) {
		c.Reached(now)
		_, _ = c.Draw(now, relays, end)
		w, err = c.Draw(now.Add(keptWait), relays, end)
	}
	return w, err
}

// draw draws a way that there has to be, patiently.
func draw(t testing.TB, c *Chooser, now time.Time, relays []*record.Descriptor, end *record.Descriptor) *Way {
	t.Helper()
	w, err := patiently(c, now, relays, end)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// only leaves those relays out of some that which holds for.
func only(relays []*record.Descriptor, which func(hashid.NodeID) bool) []*record.Descriptor {
	return slices.DeleteFunc(slices.Clone(relays), func(d *record.Descriptor) bool { return !which(d.ID()) })
}

func idsOf(list []kept) []hashid.NodeID {
	var ids []hashid.NodeID
	for _, k := range list {
		ids = append(ids, k.id)
	}
	return ids
}

// TestLifetimes: guards stay 60 to 90 days, each as likely; the relays next to them 1
// to 22 days, the greater of two.
func TestLifetimes(t *testing.T) {
	var guards, second []float64
	relays := apartNodes(t, 30)
	for seed := range count(300, 5000) {
		c := New(Rules{Self: self, Hops: 3, Apart: true, Random: seeded(seed)})
		draw(t, c, start, relays, far)
		if len(c.keeping.guards) != 3 || len(c.keeping.second) != 4 {
			t.Fatalf("it keeps %d and %d", len(c.keeping.guards), len(c.keeping.second))
		}
		for _, k := range c.keeping.guards {
			guards = append(guards, float64(k.until.Sub(start)/time.Second)/86400)
		}
		for _, k := range c.keeping.second {
			second = append(second, float64(k.until.Sub(start)/time.Second)/86400)
		}
	}
	follows(t, "guards", guards, func(x float64) float64 { return (x - 60) / 30 })
	follows(t, "second relays", second, func(x float64) float64 { return (x - 1) * (x - 1) / (21 * 21) })
}

// follows is the Kolmogorov-Smirnov test at one in a thousand.
func follows(t *testing.T, name string, sample []float64, distribution func(float64) float64) {
	t.Helper()
	slices.Sort(sample)
	most, n := 0.0, float64(len(sample))
	for i, x := range sample {
		p := distribution(x)
		if p < 0 || p > 1 {
			t.Fatalf("%s: %v is out of bounds", name, x)
		}
		most = max(most, p-float64(i)/n, float64(i+1)/n-p)
	}
	if limit := 1.95 / math.Sqrt(n); most > limit {
		t.Errorf("%s: Kolmogorov's D is %.4f, at most %.4f", name, most, limit)
	}
}

// TestKeptApart: where there are prefixes enough, none that is kept shares one with
// another, so that any guard goes with any second relay.
func TestKeptApart(t *testing.T) {
	for seed := range count(100, 1000) {
		var relays []*record.Descriptor
		for i := range 100 {
			relays = append(relays, node(t, i, fmt.Sprintf("/ip4/30.%d.%d.1/tcp/1", i%8, i)))
		}
		c := New(Rules{Self: self, Hops: 3, Apart: true, Random: seeded(seed)})
		draw(t, c, start, relays, far)
		var seen []string
		for _, id := range append(idsOf(c.keeping.guards), idsOf(c.keeping.second)...) {
			p := prefixes(c.index.byID[id].desc)[0]
			if slices.Contains(seen, p) {
				t.Fatalf("seed %d: two of %s", seed, p)
			}
			seen = append(seen, p)
		}
	}
}

// The end is never the guard on the way to it, and nothing is picked because of it as
// long as another is usable.
func TestEndIsNoGuard(t *testing.T) {
	relays := apartNodes(t, 40)
	c := New(Rules{Self: self, Hops: 3, Apart: true, Random: seeded(1)})
	draw(t, c, start, relays, far)
	guards := idsOf(c.keeping.guards)
	for i := range 300 {
		end := c.index.byID[guards[i%3]].desc
		if w := draw(t, c, start, relays, end); w.out[0] == end.ID() || !slices.Contains(guards, w.out[0]) {
			t.Fatal("the guard is the end, or none of ours")
		}
	}
	if len(c.keeping.guards) != 3 {
		t.Fatal("a guard was picked because of an end")
	}
	// One left, and a path to it: it takes another one, once.
	up := only(relays, func(id hashid.NodeID) bool { return id != guards[1] && id != guards[2] })
	end := c.index.byID[guards[0]].desc
	for range 100 {
		draw(t, c, start, up, end)
	}
	if len(c.keeping.guards) != 4 {
		t.Errorf("%d guards", len(c.keeping.guards))
	}
}

// Who knows the four relays next to the guard, and has an end claim their prefixes,
// gets no packets there; above all it does not have others picked.
func TestEndDoesNotChooseSecondRelays(t *testing.T) {
	relays := apartNodes(t, 40)
	c := New(Rules{Self: self, Hops: 3, Apart: true, Random: seeded(1)})
	draw(t, c, start, relays, far)
	before := c.State()
	var addrs []string
	for _, k := range c.keeping.second {
		addrs = append(addrs, c.index.byID[k.id].desc.Addrs[0].String())
	}
	_, err := c.Draw(start, relays, node(t, 1000, addrs...))
	if prefix := (*PrefixError)(nil); !errors.As(err, &prefix) {
		t.Errorf("an end in the prefixes of all second relays: %v", err)
	}
	w := draw(t, c, start, relays, node(t, 1000, addrs[:3]...))
	if last := c.keeping.second[3].id; w.out[1] != last || w.back[1] != last {
		t.Error("there was one that fits")
	}
	if string(c.State()) != string(before) {
		t.Error("an end had relays picked")
	}
}

// TestYears: with all relays up, two or three guards are on duty nearly always and one
// at least, four second relays always; each stays its time.
func TestYears(t *testing.T) {
	relays := apartNodes(t, 100)
	days, short, guards := 0, 0, make(map[hashid.NodeID]bool)
	years := count(5, 50)
	for seed := range years {
		c := New(Rules{Self: self, Hops: 3, Random: seeded(seed)})
		for i := range 365 {
			w := draw(t, c, start.Add(time.Duration(i)*day), relays, far)
			guards[w.out[0]] = true
			n := len(c.keeping.guards)
			if n < 1 || n > guardsOnDuty || len(c.keeping.second) != secondOnDuty {
				t.Fatalf("%d guards and %d second relays", n, len(c.keeping.second))
			}
			days++
			if n < 2 {
				short++
			}
		}
		// Three at a time for 75 days each are 15 in a year.
		if len(guards) > 22 {
			t.Errorf("%d guards in a year", len(guards))
		}
		clear(guards)
	}
	if short > days/50 {
		t.Errorf("on %d days of %d there was one guard only", short, days)
	}
}

// TestClock: a clock that was ahead leaves nothing that outlives its time, and one
// that goes back does not have anything picked.
func TestClock(t *testing.T) {
	relays := apartNodes(t, 40)
	c := New(Rules{Self: self, Hops: 3, Random: seeded(1)})
	draw(t, c, start.Add(1000*day), relays, far)
	guards := idsOf(c.keeping.guards)
	draw(t, c, start, relays, far)
	if !slices.Equal(idsOf(c.keeping.guards), guards) {
		t.Error("the clock went back, and others were picked")
	}
	for _, k := range c.keeping.guards {
		if k.since.After(start) || k.until.Sub(start) > 90*day {
			t.Errorf("kept until %v", k.until)
		}
	}
	for _, k := range c.keeping.second {
		if k.until.Sub(start) > 22*day {
			t.Errorf("kept until %v", k.until)
		}
	}
	if _, err := Restore(c.rules, c.State()); err != nil {
		t.Error(err)
	}
}

// TestFew: with fewer than twelve usable relays none are picked, and those that were
// kept when there were more are used.
func TestFew(t *testing.T) {
	relays := apartNodes(t, 40)
	c := New(Rules{Self: self, Hops: 3, Random: seeded(1)})
	for range 50 {
		draw(t, c, start, relays[:11], far)
	}
	if len(c.keeping.guards)+len(c.keeping.second) != 0 {
		t.Fatal("relays are kept in a network of eleven")
	}
	draw(t, c, start, relays[:12], far)
	if len(c.keeping.guards) != 3 || len(c.keeping.second) != 4 {
		t.Fatal("no relays are kept in a network of twelve")
	}
	guards, second := idsOf(c.keeping.guards), idsOf(c.keeping.second)
	has := func(ids ...[]hashid.NodeID) []*record.Descriptor {
		return only(relays[:12], func(id hashid.NodeID) bool {
			return !slices.ContainsFunc(ids, func(list []hashid.NodeID) bool { return slices.Contains(list, id) })
		})
	}
	for range 50 {
		if w := draw(t, c, start, has(guards[:1]), far); !slices.Contains(guards[1:], w.out[0]) || !slices.Contains(second, w.out[1]) || !slices.Contains(second, w.back[1]) {
			t.Fatal("relays that are kept are not used")
		}
		if w := draw(t, c, start, has(guards), far); !slices.Contains(second, w.out[1]) {
			t.Fatal("second relays that are kept are not used")
		}
		if w := draw(t, c, start, has(second), far); !slices.Contains(guards, w.out[0]) {
			t.Fatal("guards that are kept are not used")
		}
		draw(t, c, start, has(guards, second), far)
	}
	if !slices.Equal(idsOf(c.keeping.guards), guards) {
		t.Error("guards were picked")
	}
}
