package overlay

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/overlay/path"
)

// saver stores states, or cannot.
type saver struct {
	states [][]byte
	fails  bool
	tried  int
}

func (s *saver) save(state []byte) error {
	s.tried++
	if s.fails {
		return errors.New("the disk is full")
	}
	s.states = append(s.states, state)
	return nil
}

// known has a node know its network for long enough to pick guards.
func known(t *testing.T, g *Guarded) *Guarded {
	t.Helper()
	if err := g.Ready(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute)
	return g
}

// A node's guards are stored once, before anything goes by them, and are its guards
// again when it starts with what was stored.
func TestGuardsAreStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, 20, 3, echo())
		defer n.stop()
		rules := path.Rules{Self: n.nodes[0].id, Hops: 3}
		var disk saver
		first := known(t, NewGuarded(n.nodes[0].dir, path.New(rules), time.Now, disk.save))
		end, _ := n.nodes[0].dir.Lookup(n.nodes[1].id)
		for range 100 {
			if _, err := first.Draw(end); err != nil {
				t.Fatal(err)
			}
		}
		if len(disk.states) != 1 || disk.tried != 1 {
			t.Fatalf("for a hundred ways the state was stored %d times", disk.tried)
		}
		chooser, err := path.Restore(rules, disk.states[0])
		if err != nil {
			t.Fatal(err)
		}
		again := NewGuarded(n.nodes[0].dir, chooser, time.Now, disk.save)
		if kept := again.Keeps(); len(kept) != 7 || !slices.Equal(kept, first.Keeps()) {
			t.Errorf("it keeps %v, and before %v", kept, first.Keeps())
		}
		guards := first.Keeps()[:3]
		for range 100 {
			way, err := again.Draw(end)
			if err != nil {
				t.Fatal(err)
			}
			if out, back := way.IDs(); !slices.Contains(guards, out[0]) || back[2] != out[0] {
				t.Fatalf("%v is no guard", out[0])
			}
		}
		if disk.tried != 1 {
			t.Error("what has not changed is stored again")
		}
	})
}

// What cannot be stored is used, and tried again once a minute.
func TestGuardsThatCannotBeStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, 20, 3, echo())
		defer n.stop()
		disk := saver{fails: true}
		g := known(t, NewGuarded(n.nodes[0].dir, path.New(path.Rules{Self: n.nodes[0].id, Hops: 3}), time.Now, disk.save))
		end, _ := n.nodes[0].dir.Lookup(n.nodes[1].id)
		for range 10 * 60 {
			if _, err := g.Draw(end); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if disk.tried != 10 {
			t.Errorf("it was tried %d times in ten minutes", disk.tried)
		}
		disk.fails = false
		for range 2 * 60 {
			if _, err := g.Draw(end); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if len(disk.states) != 1 {
			t.Errorf("it was stored %d times then", len(disk.states))
		}
	})
}

// An answer that comes late does not clear a relay that holds packets back, and an
// attempt that never left says nothing.
func TestWhatCountsForBlame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, 6, 3, echo())
		defer n.stop()
		g := n.nodes[0].guarded
		end, _ := n.nodes[0].dir.Lookup(n.nodes[1].id)
		for _, test := range []struct {
			outcome Outcome
			doubt   bool
			lost    float64 // of all so far
		}{
			{Lost, false, 1}, // an end that was never there
			{Unsent, false, 1},
			{Late, false, 1},
			{Answered, false, 0.5},
			{Lost, true, 2.0 / 3},
			{Late, false, 2.0 / 3},
		} {
			way, err := g.Draw(end)
			if err != nil {
				t.Fatal(err)
			}
			doubt, lost := g.Report(way, test.outcome), 0.0
			for _, part := range g.Summary().Lost {
				lost += part
			}
			if doubt != test.doubt || lost < test.lost-0.01 || lost > test.lost+0.01 {
				t.Errorf("after outcome %d there is doubt: %v, and %.2f are lost, want %.2f", test.outcome, doubt, lost, test.lost)
			}
		}
	})
}
