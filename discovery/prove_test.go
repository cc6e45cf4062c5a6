package discovery

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/hashid"
)

// answering is a table of relays that answer for their descriptors, unless they are down.
type answering struct {
	*fakeTable
	raws map[hashid.NodeID][]byte
}

func (a answering) Ask(_ context.Context, id hashid.NodeID) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.down[id] || a.raws[id] == nil {
		return nil, errFake
	}
	return a.raws[id], nil
}

// cut has all relays be away, or be back.
func (a answering) cut(away bool) {
	a.set(func() {
		for id := range a.raws {
			a.down[id] = away
		}
	})
}

func (a answering) count() (dials int) {
	for id := range a.raws {
		dials += len(a.dialled(id))
	}
	return dials
}

// directoryOf is one of n relays that answer, all of which are in use.
func directoryOf(t *testing.T, n int) (*Directory, answering) {
	t.Helper()
	d, table := newTestDirectory(), answering{newFakeTable(), make(map[hashid.NodeID][]byte)}
	for range n {
		s := newSigner(t)
		table.raws[s.id] = s.sign(time.Now())
		learn(t, d, table.raws[s.id])
	}
	running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
	pass(time.Minute)
	if len(d.Usable()) != n {
		t.Fatalf("%d are in use", len(d.Usable()))
	}
	return d, table
}

// That a relay can be dialled, which may be connected to what is no more, proves nothing;
// its answer does. One relay is asked.
func TestProve(t *testing.T) {
	for _, n := range []int{4, plenty + 8} {
		synctest.Test(t, func(t *testing.T) {
			d, table := directoryOf(t, n)
			if !d.Proved().IsZero() {
				t.Error("dials have proved something")
			}
			before := table.count()
			d.Prove()
			synctest.Wait()
			if d.Proved() != time.Now() || table.count() != before+1 {
				t.Errorf("proved at %v, with %d dials", d.Proved(), table.count()-before)
			}
			pass(time.Minute)
			table.set(func() { clear(table.raws) })
			d.Prove()
			pass(time.Second)
			if d.Proved() != time.Now().Add(-time.Minute-time.Second) {
				t.Error("it is proved by a relay that does not answer")
			}
		})
	}
}

// While there is no network few relays are dialled in vain, and when it is back all of
// these are in use again at once, though others were all the time.
func TestProveFindsNetworkBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table := directoryOf(t, 200)
		before := table.count()
		table.cut(true)
		for range 10 * 60 {
			d.Prove()
			pass(time.Second)
		}
		lost, dials := 200-len(d.Usable()), table.count()-before
		if lost < 10 || lost > 30 || dials > 300 || time.Since(d.Proved()) < 10*time.Minute {
			t.Errorf("%d dials, and %d relays are taken to be away", dials, lost)
		}
		table.cut(false)
		for range int(proveLast/time.Second) + 5 {
			d.Prove()
			pass(time.Second)
		}
		if n := len(d.Usable()); n != 200 {
			t.Errorf("%d relays are in use", n)
		}
	})
}

// A node that connects proves it, too.
func TestMetProves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := directoryOf(t, 1)
		d.Met(newSigner(t).id)
		if d.Proved() != time.Now() {
			t.Errorf("proved at %v", d.Proved())
		}
	})
}

// Those that are named are among the first that are dialled after a sleep, but so are as
// many others, and those named are not the first of them.
func TestRedialHastens(t *testing.T) {
	const n, named = 120, 8
	firsts, rounds := 0, 40
	for range rounds {
		synctest.Test(t, func(t *testing.T) {
			d, table := directoryOf(t, n)
			var ids []hashid.NodeID
			for id := range table.raws {
				if len(ids) < named {
					ids = append(ids, id)
				}
			}
			var order []hashid.NodeID
			table.set(func() {
				table.hold = func(context.Context) { time.Sleep(time.Second) }
			})
			d.Redial(ids...)
			for len(order) < 3*named {
				order = order[:0]
				pass(time.Second)
				for _, r := range d.Usable() {
					order = append(order, r.ID())
				}
				if len(order) == maxProbes {
					for _, id := range ids {
						if uses(d, id) {
							firsts++
						}
					}
				}
			}
			got := 0
			for _, id := range ids {
				if uses(d, id) {
					got++
				}
			}
			// Sixteen are dialled first, and one of four dials goes to who has been due for longest.
			if got < named || len(order) > 4*named {
				t.Errorf("of the first %d that are in use %d were named", len(order), got)
			}
			pass(2 * time.Minute)
		})
	}
	if mean := float64(firsts) / float64(rounds); mean < 1.5 || mean > 5 {
		t.Errorf("of the first eight %.1f were named on average: that tells who was", mean)
	}
}
