package integration

import (
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/record"
)

// afterOutage is how soon after the network is back everything works again.
const afterOutage = 10 * time.Second

// TestNetworkGoneAndBack takes the network away, from everybody and from one
// node alone, for less time than it takes a connection to break and for more than a
// descriptor lives. Once it is back, every node can use every relay within
// seconds, and is answered.
func TestNetworkGoneAndBack(t *testing.T) {
	t.Parallel()
	all, one := []time.Duration{20 * time.Second, 20 * time.Minute}, []time.Duration{20 * time.Minute}
	if count(0, 1) == 1 {
		all = append(all, time.Minute, 3*time.Hour, 8*time.Hour)
		one = append(one, 20*time.Second, time.Minute, 3*time.Hour)
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		defer w.stop()
		w.populate(7, time.Second)
		for _, long := range all {
			w.outage("everybody", long, w.ether.setDown)
		}
		for _, long := range one {
			w.outage("one node", long, w.nodes[w.rand.IntN(len(w.nodes))].end.cut.Store)
		}
	})
}

// outage has the network be down for a while, for all or one, and waits until all
// is well again.
func (w *world) outage(whose string, long time.Duration, down func(bool)) {
	w.t.Helper()
	time.Sleep(2 * time.Minute)
	down(true)
	time.Sleep(long)
	down(false)
	back := time.Now()
	for !w.whole() {
		if time.Since(back) > afterOutage {
			w.fail("cut off for %v, %s: still not whole %v after it", long, whose, afterOutage)
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	took := time.Since(back)
	for i, n := range w.nodes {
		other := w.nodes[(i+1)%len(w.nodes)]
		if err := ask(w.t.Context(), n, other, "echo"); err != nil {
			w.fail("cut off for %v, %s: a request after it: %v", long, whose, err)
		}
		if _, err := n.table.Get(w.t.Context(), record.KeyRecordKeys(other.person())[0]); err != nil {
			w.fail("cut off for %v, %s: a look-up after it: %v", long, whose, err)
		}
	}
	w.t.Logf("cut off for %v, %s: whole again after %v", long, whose, took.Round(100*time.Millisecond))
}

// whole reports whether every node can use every other as a relay, and has
// somebody to ask for records.
func (w *world) whole() bool {
	for _, n := range w.nodes {
		if len(n.directory.Usable()) < len(w.nodes)-1 || n.table.Size() == 0 {
			return false
		}
	}
	return true
}
