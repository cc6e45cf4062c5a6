package integration

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestGuards: in a network of fourteen the first relay of every path is one of three
// that a node has picked, and is one of the same three after it was started anew,
// from the first message on.
func TestGuards(t *testing.T) {
	goHome(t)
	net := newNetwork(t, false)
	alice := newOnDisk(t, "alice", net)
	people := append(newPeople(t, net, 13), alice.person)
	bob := people[0]
	introduce(t, alice.person, bob)
	start(t, people, len(people)-1)

	firsts := make(map[string]bool)
	talk := func(round string) {
		for i := range count(10, 100) {
			id := alice.send(bob, fmt.Sprint(round, i))
			alice.awaitState(id, "delivered")
			path, err := alice.node.LastPath()
			if err != nil {
				t.Fatal(err)
			}
			if path.Relays[0] == path.End {
				t.Error("the end node is the guard on the way to it")
			}
			firsts[path.Relays[0]] = true
		}
	}
	kept := func() (until []time.Time) {
		paths := alice.node.Status().Paths
		for _, g := range slices.Concat(paths.Guards, paths.Beside) {
			until = append(until, g.Until)
		}
		return until
	}
	// They are picked once the number of relays does not grow any more.
	for known := time.Now(); len(kept()) == 0; {
		if time.Since(known) > time.Minute {
			t.Fatal("no guards are picked in a minute")
		}
		alice.awaitState(alice.send(bob, "not yet"), "delivered")
		time.Sleep(time.Second)
	}
	clear(firsts)
	talk("first")
	before := kept()
	if len(before) != 7 {
		t.Fatalf("%d relays are kept, want three guards and four beside them", len(before))
	}
	for range 2 {
		alice.stop()
		alice.restart(people[1])
		began := time.Now()
		talk("again")
		t.Logf("%.1f s after a restart all is delivered", time.Since(began).Seconds())
	}
	if after := kept(); !slices.EqualFunc(before, after, time.Time.Equal) {
		t.Errorf("relays were kept until %v, and after restarts until %v", before, after)
	}
	if len(firsts) > 3 {
		t.Errorf("%d different relays stood first", len(firsts))
	}
}
