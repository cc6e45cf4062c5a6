package path

import (
	"strings"
	"testing"
	"time"

	"chatnt/discovery/hashid"
)

// TestFirstReachedAreNotGuards: whoever has the first twelve relays that a new node reaches
// has its guards no more often than with any other twelve.
func TestFirstReachedAreNotGuards(t *testing.T) {
	relays := apartNodes(t, 400)
	early, rounds := 0, count(200, 4000)
	for seed := range rounds {
		c := New(Rules{Self: self, Hops: 3, Apart: true, Random: seeded(seed)})
		now := start
		for _, n := range []int{4, 8, 12, 13, 100, 200, 399, 400} {
			now = now.Add(calmAfter - time.Second)
			if _, err := c.Draw(now, relays[:n:n], far); err != nil {
				t.Fatal(err)
			}
			if len(c.keeping.guards)+len(c.keeping.second) > 0 {
				t.Fatalf("with %d relays some are kept", n)
			}
		}
		if says := c.Summary(now, relays).Meaning; !strings.Contains(says, "no guards are picked") {
			t.Fatalf("it says %q", says)
		}
		if _, err := c.Draw(now.Add(calmAfter), relays, far); err != nil {
			t.Fatal(err)
		}
		if len(c.keeping.guards) != guardsOnDuty || len(c.keeping.second) != secondOnDuty {
			t.Fatal("none are kept in the end")
		}
		for _, d := range relays[:12] {
			if holds(c.keeping.guards, d.ID()) {
				early++
			}
		}
	}
	if share := float64(early) / float64(guardsOnDuty*rounds); share > 0.06 {
		t.Errorf("%.3f of the guards are of the first twelve, and 0.03 of the relays", share)
	}
}

// TestGrowthIsNotWaitedForForever: in a network that always grows guards are picked after
// some minutes; by a node that never runs for so long, after an hour.
func TestGrowthIsNotWaitedForForever(t *testing.T) {
	relays := apartNodes(t, 400)
	c := New(Rules{Self: self, Hops: 3, Random: seeded(1)})
	for i := range 100 {
		after := time.Duration(i) * 10 * time.Second
		if _, err := c.Draw(start.Add(after), relays[:50+i], far); err != nil {
			t.Fatal(err)
		}
		if picked := len(c.keeping.guards) > 0; picked != (after >= growsAtMost) {
			t.Fatalf("after %v guards are picked: %v", after, picked)
		}
	}
	c = New(c.rules)
	for i := range 20 {
		after := time.Duration(i) * 4 * time.Minute
		again, err := Restore(c.rules, c.State())
		if err != nil {
			t.Fatal(err)
		}
		c = again
		if _, err := c.Draw(start.Add(after), relays, far); err != nil {
			t.Fatal(err)
		}
		if picked := len(c.keeping.guards) > 0; picked != (after >= putOffLast) {
			t.Fatalf("in a run after %v guards are picked: %v", after, picked)
		}
	}
}

// TestGrowsAgain: a node that slept, or whose guards' time is over, does not pick others out
// of the first that it reaches then.
func TestGrowsAgain(t *testing.T) {
	relays := apartNodes(t, 100)
	c := New(Rules{Self: self, Hops: 3, Random: seeded(1)})
	draw(t, c, start, relays, far)
	now := start.Add(100 * day)
	for _, n := range []int{3, 12, 40, 90} {
		now = now.Add(time.Second)
		if _, err := c.Draw(now, relays[:n], far); err != nil {
			t.Fatal(err)
		}
		if n >= few && len(c.keeping.guards)+len(c.keeping.second) != 0 {
			t.Fatalf("with %d relays it keeps some", n)
		}
	}
	if _, err := c.Draw(now.Add(calmAfter), relays[:90], far); err != nil || len(c.keeping.guards) != guardsOnDuty {
		t.Errorf("it has %d guards in the end: %v", len(c.keeping.guards), err)
	}
}

// TestClockAhead: a clock that is months ahead for a moment, when no relay or few are
// usable, loses nothing.
func TestClockAhead(t *testing.T) {
	relays := apartNodes(t, 40)
	c := New(Rules{Self: self, Hops: 3, Random: seeded(1)})
	draw(t, c, start, relays, far)
	state := c.State()
	for _, n := range []int{0, 4, few - 1} {
		ahead := start.Add(100 * day)
		_ = c.Ready(ahead, relays[:n])
		_, _ = c.Draw(ahead, relays[:n], far)
		c.Reached(ahead)
	}
	_ = c.Ready(start.Add(100*day), relays)
	if string(c.State()) != string(state) {
		t.Error("what is kept has changed")
	}
	up := only(relays, func(id hashid.NodeID) bool { return !holds(c.keeping.guards, id) })
	if _, err := c.Draw(start.Add(time.Minute), up, far); err == nil || !c.Missing() {
		t.Error("who was reached then counts now")
	}
}
