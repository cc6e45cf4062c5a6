package overlay

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/overlay/onion"
	"chatnt/overlay/path"
)

// testTable is a table of what is awaited, whose reports are counted.
func testTable() (*awaiting, map[Outcome]int) {
	said := make(map[Outcome]int)
	return newAwaiting(func(_ *path.Way, o Outcome) { said[o]++ }), said
}

// entry makes the i-th attempt of a caller, without a packet.
func entry(i int, c *Caller) *awaited {
	var id onion.SURBID
	binary.BigEndian.PutUint64(id[:], uint64(i))
	return &awaited{id: id, caller: c, keys: new(onion.ReplyKeys), answers: make(chan answer, 1)}
}

// However much one caller asks for, others have room: each may have as many
// attempts under way as are left for all.
func TestCallersShareTheRoom(t *testing.T) {
	table, _ := testTable()
	i := 0
	fill := func() (n int, c *Caller) {
		c = new(Caller)
		for ; ; n++ {
			i++
			if err := table.add(entry(i, c), time.Second); errors.Is(err, ErrBusy) {
				return n, c
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	left := maxAttempts
	for caller := range 4 {
		n, _ := fill()
		if n != left/2 {
			t.Errorf("caller %d has %d attempts under way, want %d", caller+1, n, left/2)
		}
		left -= n
	}
	// A thousand callers with little to ask find room for each.
	small := new(Caller)
	for range 100 {
		i++
		if err := table.add(entry(i, small), time.Second); err != nil {
			t.Fatalf("with %d places left: %v", left, err)
		}
	}
	if table.waiting() > maxAttempts {
		t.Errorf("%d attempts are under way", table.waiting())
	}
	// What counts as lost takes nobody's place.
	table.sweep(time.Now().Add(time.Second))
	if n := table.waiting(); n != 0 {
		t.Errorf("%d attempts are under way when all are lost", n)
	}
	if n, _ := fill(); n != maxAttempts/2 {
		t.Errorf("then a caller has %d", n)
	}
}

// What may come late is bounded: the oldest give way.
func TestLateIsBounded(t *testing.T) {
	table, said := testTable()
	now := time.Now()
	total := 0
	for range 3 {
		for range 2 * maxLate / 3 {
			total++
			if err := table.add(entry(total, new(Caller)), 0); err != nil {
				t.Fatal(err)
			}
		}
		table.sweep(now.Add(time.Minute))
		now = now.Add(time.Second)
	}
	if len(table.byID) != maxLate || table.late.Len() != maxLate || len(table.order) != maxLate || said[Lost] != total {
		t.Errorf("of %d lost %d are waited for, in lists of %d and %d, %d reported", total, len(table.byID), table.late.Len(), len(table.order), said[Lost])
	}
	if w, late := table.take(entry(total, nil).id); w == nil || !late {
		t.Error("the last is not waited for")
	}
	if w, _ := table.take(entry(1, nil).id); w != nil {
		t.Error("the first is waited for")
	}
	table.sweep(time.Now().Add(2*time.Minute + lateFor))
	if len(table.byID) != 0 || len(table.order) != 0 || table.late.Len() != 0 {
		t.Errorf("in the end %d are waited for", len(table.byID))
	}
}

// Whoever has come, or is not waited for any more, leaves nothing behind, in
// whatever order that happens.
func TestTableKeepsItsOrder(t *testing.T) {
	table, _ := testTable()
	begin := time.Now()
	all := make(map[int]*awaited)
	x := uint32(1)
	random := func(n int) int { // any order will do, so that it is the same each time
		x = x*1664525 + 1013904223
		return int(x>>8) % n
	}
	callers := []*Caller{new(Caller), new(Caller), new(Caller)}
	for i := range 2000 {
		w := entry(i, callers[random(3)])
		if err := table.add(w, time.Duration(random(1000))*time.Second); err != nil {
			t.Fatal(err)
		}
		all[i] = w
		switch other := random(i + 1); random(4) {
		case 0:
			w, _ := table.take(entry(other, nil).id)
			if (w != nil) != (all[other] != nil) {
				t.Fatalf("entry %d: %v, want %v", other, w, all[other])
			}
			delete(all, other)
		case 1:
			if w := all[other]; w != nil && !table.drop(w) {
				t.Fatalf("entry %d is not there", other)
			}
			delete(all, other)
		}
	}
	last := begin
	for len(table.order) > 0 {
		due := table.order[0].due
		if due.Before(last) {
			t.Fatal("something is due that was due before")
		}
		last = due
		table.sweep(due)
	}
	if len(table.byID) != 0 || table.late.Len() != 0 || table.attempts.Taken() != 0 {
		t.Errorf("%d are left, %d late, %d places", len(table.byID), table.late.Len(), table.attempts.Taken())
	}
}

// When the overlay stops, keys are wiped and nothing is taken in any more.
func TestTableStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, 5, 3, nil)
		caller := n.nodes[0].Caller()
		r, err := caller.Replies(n.nodes[1].id, 2, Fast)
		if err != nil {
			t.Fatal(err)
		}
		n.tap(func(hashid.NodeID, hashid.NodeID, *onion.Packet) bool { return false })
		path, err := n.nodes[0].Draw(n.nodes[1].id)
		if err != nil {
			t.Fatal(err)
		}
		answers := make(chan answer, 1)
		if _, err := caller.attempt(path, "echo", nil, 0, answers); err != nil {
			t.Fatal(err)
		}
		var kept []*awaited
		for _, w := range n.nodes[0].awaited.byID {
			kept = append(kept, w)
		}
		n.stop()
		if _, open := <-r.C; open {
			t.Error("something was pushed")
		}
		for _, w := range kept {
			if _, err := w.keys.Open(new([onion.PayloadSize]byte)); err == nil || err.Error() != "a reply to this reply block was opened already" {
				t.Errorf("keys are left: %v", err)
			}
		}
		if len(kept) != 3 || len(n.nodes[0].awaited.byID) != 0 {
			t.Errorf("of %d entries %d are left", len(kept), len(n.nodes[0].awaited.byID))
		}
		if _, err := caller.attempt(path, "echo", nil, 0, answers); !errors.Is(err, errStopped) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// An answer that nobody waits for is dropped, and a damaged one is the last of
// its reply block.
func TestRepliesInVain(t *testing.T) {
	rec := &recorder{Paths: deaf{}, begun: time.Now()}
	o := New(Config{Link: refusing{}, Paths: rec, Log: slog.New(slog.DiscardHandler)})
	_, id, keys := testSURB(t)
	w := &awaited{id: id, keys: keys, caller: o.Caller(), answers: make(chan answer, 1), way: new(path.Way)}
	if err := o.awaited.add(w, time.Minute); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		o.reply(onion.SURBID{1}, new([onion.PayloadSize]byte))
		if waiting := o.Pending(); i == 0 && waiting != 1 || i > 0 && waiting != 0 {
			t.Errorf("%d wait", waiting)
		}
		o.reply(id, new([onion.PayloadSize]byte))
	}
	if len(rec.said) != 1 || rec.said[0].Outcome != Lost {
		t.Errorf("reported is %+v", rec.said)
	}
}

// deaf are Paths that hear nothing of what became of them.
type deaf struct{ Paths }

func (deaf) Report(*path.Way, Outcome) bool { return false }

func testSURB(t testing.TB) (onion.SURB, onion.SURBID, *onion.ReplyKeys) {
	t.Helper()
	k, err := onion.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	s, id, keys, err := onion.NewSURB([]onion.Hop{{Node: hashid.NodeID{1}, Key: k.Public()}, {Node: hashid.NodeID{2}, Key: k.Public()}})
	if err != nil {
		t.Fatal(err)
	}
	return s, id, keys
}

// mostAtOnce bounds the memory of one request under way: the stack of its goroutine,
// most of it, and what is remembered of its last attempts. 10 kB were seen.
const mostAtOnce = 32 << 10

// A thousand requests at once, of one caller, while no answer comes: all are made,
// all end, and they need little memory. Another caller's goes through.
func TestThousandAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 1000
		n := start(t, 8, 3, echo())
		defer n.stop()
		flood := n.nodes[0].Caller()
		body := make([]byte, MaxRequest)
		before := inUse()
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		for range many {
			wg.Go(func() {
				if _, err := flood.Request(ctx, n.nodes[1].id, "none", body, Fast); !errors.Is(err, ErrNoAnswer) {
					t.Error(err)
				}
			})
		}
		time.Sleep(time.Second) // the links take 64 packets at once, and more a moment later
		if n.nodes[0].Pending() != many {
			t.Errorf("%d requests are under way", n.nodes[0].Pending())
		}
		if answer, err := n.request(0, 2, "echo", "me too", time.Second); err != nil || answer != "re: me too" {
			t.Errorf("another caller: %q, %v", answer, err)
		}
		time.Sleep(10 * time.Second) // four attempts each have gone out
		each := (inUse() - before) / many
		t.Logf("a request under way needs %d bytes", each)
		if each > mostAtOnce {
			t.Error("that is too much")
		}
		cancel()
		wg.Wait()
		n.expectNoneWait()
		lost := 0
		for _, r := range n.nodes[0].reports() {
			if r.Outcome == Lost {
				lost++
			}
		}
		if lost < 4*many {
			t.Errorf("%d attempts were lost, want four of each", lost)
		}
	})
}

func inUse() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

// BenchmarkInFlight reports the memory of one of a thousand requests under way, its
// goroutine included, a body of its own and the relays' memory not.
func BenchmarkInFlight(b *testing.B) {
	const many = 1000
	n := start(b, 8, 3, nil)
	defer n.stop()
	for len(n.nodes[0].dir.Usable()) < 7 {
		<-n.nodes[0].dir.Changed()
	}
	n.tap(func(hashid.NodeID, hashid.NodeID, *onion.Packet) bool { return false })
	body := make([]byte, MaxRequest)
	each := 0
	for b.Loop() {
		before := inUse()
		ctx, cancel := context.WithCancel(b.Context())
		var wg sync.WaitGroup
		for range many {
			caller := n.nodes[0].Caller()
			wg.Go(func() { _, _ = caller.Request(ctx, n.nodes[1].id, "unknown", body, Fast) })
		}
		for n.nodes[0].Pending() < many {
			runtime.Gosched()
		}
		each = max(each, (inUse()-before)/many)
		cancel()
		wg.Wait()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(each), "B/request")
}
