package relay

import (
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/overlay/onion"
)

func TestWaitingRoomIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, end := w.add(1), w.add(2)
		hops := path(time.Second, a, end)
		fill := func(from hashid.NodeID, places int) { // and try three more
			before := a.Stats()
			for range places + 3 {
				a.Handle(from, w.wrap(hops, ""))
			}
			after := a.Stats()
			if after.Waiting-before.Waiting != places || after.NoRoom-before.NoRoom != 3 {
				t.Errorf("a neighbour that may have %d places: %+v, then %+v", places, before, after)
			}
		}
		// One after the other, each as many as it may: half of what is left, until
		// an equal share is more. (The room is full then.)
		neighbours, left := 0, maxWaiting
		for left/2 > maxWaiting/2/(neighbours+1) {
			fill(hashid.NodeID{200, byte(neighbours)}, left/2)
			neighbours++
			left -= left / 2
		}
		for i := range left {
			a.Handle(hashid.NodeID{201, byte(i >> 8), byte(i)}, w.wrap(hops, ""))
		}
		if s, dropped := a.Stats(), 3*neighbours; s.Waiting != maxWaiting || a.freed != dropped {
			t.Errorf("full: %+v, %d freed", s, a.freed)
		}
		a.Handle(sender, w.wrap(path(0, a, end), "at once"))
		if got := end.received(); len(got) != 1 {
			t.Error("a packet without delay did not pass a full waiting room")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := end.received(); len(got) != maxWaiting+1 {
			t.Errorf("%d came out", len(got))
		}

		fill(sender, maxWaiting/2) // who held places before does not matter any more
		before := a.Stats()
		a.stop()
		a.Handle(sender, w.wrap(hops, ""))
		if s := a.Stats(); s.Stopped != maxWaiting/2 || s.Waiting != 0 || s.NoRoom != before.NoRoom+1 ||
			uint64(a.freed) != s.NoRoom+s.Stopped {
			t.Errorf("stopped: %+v, %d freed", s, a.freed)
		}
	})
}

// A neighbour that sends as many packets as it can, to be held for as long as it
// can, does not have those of others dropped.
func TestOneNeighbourDoesNotFillTheWaitingRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, end := w.add(1), w.add(2)
		long, short := path(time.Minute, a, end), path(100*time.Millisecond, a, end)
		for range maxWaiting {
			a.Handle(hashid.NodeID{66}, w.wrap(long, ""))
		}
		dropped := a.Stats().NoRoom
		const honest = 100
		for range honest {
			a.Handle(sender, w.wrap(short, ""))
		}
		if n := a.Stats().NoRoom; n != dropped || n != maxWaiting/2 {
			t.Errorf("dropped %d of the neighbour that floods and %d of the other", dropped, n-dropped)
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if got := end.received(); len(got) != honest {
			t.Errorf("%d of %d came out in time", len(got), honest)
		}
	})
}

// Nor do twenty, that come one after the other so as to leave no place: whoever
// holds little is let in, and what gives way is what they wanted held longest.
func TestManyNeighboursDoNotFillTheWaitingRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q waitingRoom
		q.init()
		begin := time.Now()
		const floods, honest = 20, 50
		dropped := 0
		add := func(from hashid.NodeID, delay time.Duration) (ok bool) {
			p := new(onion.Packet)
			out, ok := q.add(waiting{due: begin.Add(delay), from: from, packet: p})
			if out == p {
				t.Error("a packet gave way to itself")
			}
			if out != nil {
				dropped++
			}
			return ok
		}
		for i := range byte(floods) {
			for add(hashid.NodeID{66, i}, time.Minute) {
			}
		}
		if left := maxWaiting - q.len(); left > maxWaiting/100 {
			t.Fatalf("%d places are left: this shows nothing", left)
		}
		before := dropped
		for i := range honest {
			if !add(sender, time.Duration(i)*time.Millisecond) {
				t.Fatalf("no room for packet %d of %d", i, honest)
			}
		}
		if n := dropped - before; n == 0 || n > honest || q.held[sender] != honest || q.len() > maxWaiting {
			t.Errorf("%d gave way to %d; %d of %d places are taken", n, honest, q.len(), maxWaiting)
		}
		for i := range byte(floods) { // they have what they had, and take nothing back
			for add(hashid.NodeID{66, i}, time.Minute) {
			}
		}
		if q.held[sender] != honest {
			t.Errorf("%d of %d are still there", q.held[sender], honest)
		}
		out := 0
		for w, ok := q.take(begin.Add(time.Second)); ok; w, ok = q.take(begin.Add(time.Second)) {
			if w.from != sender {
				t.Error("another's packet came out too early")
			}
			out++
		}
		if out != honest {
			t.Errorf("%d of %d came out", out, honest)
		}
		sum := 0
		for _, n := range q.held {
			sum += n
		}
		if sum != q.len() {
			t.Errorf("%d places are counted, %d taken", sum, q.len())
		}
	})
}

// TestHeap holds the waiting room against what a sort would do.
func TestHeap(t *testing.T) {
	var q waitingRoom
	q.init()
	base := time.Unix(1_700_000_000, 0)
	x := uint32(1)
	for range 500 {
		x = x*1664525 + 1013904223 // any order will do, so that it is the same each time
		q.add(waiting{due: base.Add(time.Duration(x>>20) * time.Millisecond)})
		if x>>30 == 0 {
			q.take(base.Add(time.Hour))
		}
	}
	last, n := base, q.len()
	for range n {
		w, ok := q.take(base.Add(time.Hour))
		if !ok || w.due.Before(last) {
			t.Fatalf("%v after %v", w.due, last)
		}
		last = w.due
	}
	if _, ok := q.take(base.Add(time.Hour)); ok || n == 0 {
		t.Fatal("more came out than went in, or nothing did")
	}
}

// A packet that waits goes out in its time also when the key that opened it is
// gone by then, with what it told of the relay's next hop.
func TestDelayOutlivesItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, end := w.add(1), w.add(2)
		key := a.key(0)
		time.Sleep(untilNextEpoch(time.Now()) + record.EpochLength - time.Second) // the last second in which it serves
		hops := []onion.Hop{{Node: a.id, Key: key, Delay: onion.MaxDelay}, {Node: end.id, Key: end.key(0)}}
		a.Handle(sender, w.wrap(hops, "late"))
		again := w.wrap(hops, "later")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		a.Handle(sender, again)
		if s := a.Stats(); s.Waiting != 1 || s.Unreadable != 1 {
			t.Fatalf("when the key is gone: %+v", s)
		}
		time.Sleep(onion.MaxDelay)
		synctest.Wait()
		if got := end.received(); len(got) != 1 || string(got[0]) != "late" {
			t.Errorf("%q came out", got)
		}
	})
}

// Neighbours that have packets held for as long as they can, and send more all the
// time, leave room for others: in ten minutes nobody that sends little loses any.
func TestFloodOfLongDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q waitingRoom
		q.init()
		const floods, rate, honest = 20, 50, 5 // packets a second of each
		lost, out := 0, 0
		begin := time.Now()
		for second := range 600 {
			now := begin.Add(time.Duration(second) * time.Second)
			for {
				w, ok := q.take(now)
				if !ok {
					break
				}
				if w.from == sender {
					out++
				}
			}
			for i := range byte(floods) {
				for range rate {
					q.add(waiting{due: now.Add(onion.MaxDelay), from: hashid.NodeID{66, i}, packet: new(onion.Packet)})
				}
			}
			for range honest { // for more than twice as long as slow ones on average
				if _, ok := q.add(waiting{due: now.Add(5 * time.Second), from: sender, packet: new(onion.Packet)}); !ok {
					lost++
				}
			}
		}
		if lost > 0 || out != honest*595 || q.len() > maxWaiting {
			t.Errorf("%d of %d were lost, %d came out, %d wait", lost, honest*600, out, q.len())
		}
	})
}
