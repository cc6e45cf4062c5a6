package integration

import (
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/record"
)

// TestSteadyState lives through hours of a network of real nodes but for their
// messages: libp2p hosts, hash table, gossip, directory, publisher, link and
// relay, on an ether in memory and in virtual time. Clocks differ, keys and
// records are renewed, nodes leave with a farewell or without and come back at
// other addresses with other onion keys, or others come in their place. At no
// time that is looked at is a record missing or older than it may be, or a
// request without an answer, and nothing grows.
func TestSteadyState(t *testing.T) {
	goHome(t)
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // most of the work is short-lived
	nodes, hours := count(7, 8), count(3, 26)
	if underRace { // it would take minutes
		nodes, hours = 6, 2
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		defer w.stop()
		w.populate(nodes, 5*time.Second)
		var ends []census
		for range hours {
			w.live()
			w.rest()
			ends = append(ends, w.census())
		}
		t.Logf("%d nodes ever, %d samples, %d requests, %d of them repeated; the oldest descriptor was %v old, the oldest key record %v",
			w.born, w.samples, w.requests, w.repeats, w.oldest[ofNode].Round(time.Second), w.oldest[ofPerson].Round(time.Second))
		w.expectSteady(ends)
	})
}

// populate lets so many newcomers in, and waits until they have settled.
func (w *world) populate(nodes int, every time.Duration) {
	for range nodes {
		w.add(w.newcomer())
		time.Sleep(every)
	}
	time.Sleep(2 * settled)
}

// live lets the rest of an hour pass, to a minute after the keys of the next.
func (w *world) live() {
	now := time.Now()
	boundary := now.Truncate(time.Hour).Add(time.Hour)
	type deed struct {
		at time.Time
		do func()
	}
	var deeds []deed
	at := func(t time.Time, do func()) { deeds = append(deeds, deed{t, do}) }
	for t := now.Add(time.Minute); t.Before(boundary.Add(-time.Minute)); t = t.Add(sampleEvery) {
		at(t, func() {
			w.check()
			w.request("echo")
			w.request("echo")
		})
	}
	for range changes {
		leave := now.Add(time.Duration(w.rand.Int64N(int64(boundary.Sub(now)))))
		at(leave, w.leave)
		at(leave.Add(time.Duration(w.rand.Int64N(int64(longestAbsence)))), w.come)
	}
	// The keys change while a request is under way, and while its answer is due.
	for _, early := range []time.Duration{2 * time.Second, 60 * time.Millisecond, 0} {
		at(boundary.Add(-early), func() {
			w.request("echo")
			w.request("late")
		})
	}
	at(boundary.Add(time.Minute), w.check)
	slices.SortStableFunc(deeds, func(a, b deed) int { return a.at.Compare(b.at) })
	for _, d := range deeds {
		time.Sleep(time.Until(d.at)) // none if the one before took longer
		d.do()
	}
}

// rest has everybody come back and nothing be asked, until streams have closed.
func (w *world) rest() {
	for len(w.away) > 0 {
		w.come()
	}
	time.Sleep(6 * time.Minute)
}

// leave has a node leave, unless too few would be left for paths.
func (w *world) leave() {
	if len(w.nodes) > fewest {
		w.away = append(w.away, w.remove(w.rand.IntN(len(w.nodes)), w.rand.IntN(2) == 0))
	}
}

// come has one that left come back, or a newcomer in its place.
func (w *world) come() {
	if len(w.away) == 0 {
		return
	}
	who := w.away[0]
	w.away = w.away[1:]
	if w.rand.IntN(4) == 0 {
		who = w.newcomer()
	}
	w.add(who)
}

// census is what is there at the end of an hour, of all nodes together.
type census struct {
	known               int // nodes in directories
	records             int // held for others
	unanswered, waiting int // requests, and packets in relays
	queued              int // packets in links
	streams             int // of links, both ways
	connections         int
	remembered          int // nodes that libp2p remembers
	goroutines          int
	heap                int // bytes in use, after the garbage is collected
}

func (w *world) census() census {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	c := census{goroutines: runtime.NumGoroutine(), heap: int(m.HeapAlloc)}
	for _, n := range w.nodes {
		held, _ := n.table.Held()
		links := n.link.Stats()
		c.known += n.directory.Known()
		c.records += held
		c.unanswered += n.overlay.Pending()
		c.waiting += n.overlay.Stats().Waiting
		c.queued += links.Queued
		c.streams += links.Neighbours + links.Inbound
		c.connections += len(n.host.Network().Conns())
		c.remembered += len(n.host.Peerstore().Peers())
	}
	return c
}

// expectSteady checks that the last hours needed no more than the first: what
// depends on who has been there lately may have become more by as many as have come.
func (w *world) expectSteady(hours []census) {
	w.t.Helper()
	third := max(1, len(hours)/3)
	early, late := hours[:third], hours[len(hours)-third:]
	if len(hours) > 12 { // a descriptor lives for six hours
		early = hours[6:12]
	}
	n := len(w.nodes)
	for _, c := range []struct {
		what  string
		slack int
		get   func(census) int
	}{
		{"nodes known", n * w.born, func(c census) int { return c.known }},
		{"records held", 3 * n * w.born, func(c census) int { return c.records }},
		{"requests unanswered", 0, func(c census) int { return c.unanswered }},
		{"packets in relays", 0, func(c census) int { return c.waiting }},
		{"packets in links", 0, func(c census) int { return c.queued }},
		{"streams of links", n * n, func(c census) int { return c.streams }},
		{"connections", n, func(c census) int { return c.connections }},
		{"nodes remembered", 2 * n, func(c census) int { return c.remembered }},
		{"goroutines", 20 * n, func(c census) int { return c.goroutines }},
		{"bytes in use", 2<<20 + 3*n*w.born*record.MaxKeyRecord, func(c census) int { return c.heap }},
	} {
		was, is := mean(early, c.get), mean(late, c.get)
		w.t.Logf("%s: %d in the early hours, %d in the late", c.what, was, is)
		if is > was+was/10+c.slack {
			w.fail("%s: %d in the early hours, %d in the late", c.what, was, is)
		}
	}
}

func mean(hours []census, get func(census) int) int {
	sum := 0
	for _, c := range hours {
		sum += get(c)
	}
	return sum / len(hours)
}
