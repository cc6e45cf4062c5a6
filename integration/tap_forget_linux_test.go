package integration

import (
	mathrand "math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"chatnt/overlay/onion"
)

// TestRelayForgetsWhoWroteToWhom has a relay hold many packets at once that one
// neighbour sends to another. They stand side by side, as whence and whither, in
// every packet that waits; when all have gone there is next to nothing of that in
// the relay's memory: what the last few left on the stacks of those who had them.
func TestRelayForgetsWhoWroteToWhom(t *testing.T) {
	goHome(t)
	relays, guide := bystanders(t, 1)
	between := relays[0]
	const packets = 500
	came := make(chan struct{}, packets)
	from, to := newLoner(t, guide), newLoner(t, guide)
	to.deliver = func([]byte) {
		select {
		case came <- struct{}{}:
		default: // more than are waited for
		}
	}
	from.meet(between.id)
	to.meet(between.id)

	send := func(n int) {
		for range n {
			hops := []onion.Hop{from.hopOf(between.id, 500*time.Millisecond+mathrand.N(500*time.Millisecond)), to.hop()}
			p := from.link.Get()
			if err := onion.Wrap(p, hops, nil); err != nil {
				t.Fatal(err)
			}
			if err := from.link.Send(between.id, p); err != nil {
				t.Fatal(err)
			}
			for from.link.Stats().Queued > 16 { // a neighbour's queue is bounded
				runtime.Gosched()
			}
		}
	}
	send(packets)
	for have, again := 0, 0; have < packets; {
		select {
		case <-came:
			have++
		case <-time.After(5 * time.Second):
			// A relay that stood still has more due at once than its queue takes.
			if again++; again == 10 {
				t.Fatal("packets are lost")
			}
			send(packets - have)
		}
	}

	s := new(traces)
	s.add("whence and whither", slices.Concat(from.self[:], to.self[:]))
	s.addNode("the sender", from, between.id)
	f := s.finder()
	pairs, known := 0, 0
	lookThrough(t, between.process.Process.Pid, func(piece []byte) {
		f.find(piece, func(m match) {
			switch {
			case len(s.of(m).known) > 0:
				known++
			case m.length == 64:
				pairs++
			}
		})
	})
	t.Logf("%d packets: the sender's node is in the relay's memory %d times, beside the recipient's %d times", packets, known, pairs)
	if known == 0 {
		t.Error("the relay does not know its neighbour: this shows nothing")
	}
	if pairs > packets/10 {
		t.Errorf("of %d packets that a relay has passed on, it still knows of %d whence and whither", packets, pairs)
	}
}
