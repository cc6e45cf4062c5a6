package integration

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestSilentNodes counts what nodes do that have nothing to say: it is little, and
// does not become more. It counts by two hours, in which each record is put once.
func TestSilentNodes(t *testing.T) {
	t.Parallel()
	nodes := count(5, 20)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		defer w.stop()
		w.populate(nodes, time.Second)
		time.Sleep(30 * time.Minute) // walks have become rare
		var last, first work
		before := w.work()
		for i := range 3 {
			time.Sleep(2 * time.Hour)
			now := w.work()
			last = now.since(before).hourly(2)
			before = now
			if i == 0 {
				first = last
			}
			t.Logf("hours %d and %d, a node in each: %.1f walks, %.1f look-ups, %.1f puts, %.1f dials, %.2f MB sent",
				2*i+1, 2*i+2, last.walks, last.gets, last.puts, last.dials, last.sent/1e6)
		}
		for _, c := range []struct {
			what              string
			first, last, most float64
		}{
			{"walks", first.walks, last.walks, 3},
			{"look-ups", first.gets, last.gets, 4 * float64(nodes)},
			{"puts", first.puts, last.puts, 5},
			{"dials", first.dials, last.dials, 4 * float64(nodes)},
			{"MB sent", first.sent / 1e6, last.sent / 1e6, 3},
		} {
			if c.last > c.most || c.last > 1.3*c.first+1 {
				t.Errorf("%s in an hour: %.2f, in the first %.2f, at most %.2f", c.what, c.last, c.first, c.most)
			}
		}
	})
}

// work is what a node has done, on average.
type work struct {
	walks, gets, puts, dials float64
	sent                     float64 // bytes in UDP datagrams
}

func (w *world) work() work {
	var sum work
	n := float64(len(w.nodes))
	for _, node := range w.nodes {
		sum.walks += float64(node.table.walks.Load()) / n
		sum.gets += float64(node.table.gets.Load()) / n
		sum.puts += float64(node.table.puts.Load()) / n
		sum.dials += float64(node.table.dials.Load()) / n
		sum.sent += float64(node.end.sent.Load()) / n
	}
	return sum
}

func (a work) since(b work) work {
	return work{a.walks - b.walks, a.gets - b.gets, a.puts - b.puts, a.dials - b.dials, a.sent - b.sent}
}

func (a work) hourly(hours float64) work {
	return work{a.walks / hours, a.gets / hours, a.puts / hours, a.dials / hours, a.sent / hours}
}
