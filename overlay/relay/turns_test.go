package relay

import (
	"crypto/rand"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/overlay/onion"
)

// Garbage, which costs a relay two openings or three, waits for a turn for each:
// a packet that came later and costs one is handled in between.
func TestTurnsGoRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, end := w.add(1), w.add(2)
		if _, _, err := a.Keys(time.Now().Add(-record.EpochLength)); err != nil { // the last epoch's key is tried too
			t.Fatal(err)
		}
		a.cpu = make(chan struct{}, 1)
		good := w.wrap(path(0, a, end), "good")
		var garbage onion.Packet
		_, _ = rand.Read(garbage[:])

		a.cpu <- struct{}{} // until all stand in line
		go a.Handle(hashid.NodeID{66}, &garbage)
		synctest.Wait()
		go a.Handle(sender, good)
		synctest.Wait()
		last := make(chan struct{})
		go func() { a.cpu <- struct{}{}; close(last) }()
		synctest.Wait()
		<-a.cpu
		<-last // the turn that came third
		synctest.Wait()
		if s := a.Stats(); s != (Stats{Forwarded: 1}) {
			t.Errorf("after two turns: %+v", s)
		}
		<-a.cpu
		synctest.Wait()
		if s := a.Stats(); s != (Stats{Forwarded: 1, Unreadable: 1}) {
			t.Errorf("in the end: %+v", s)
		}
	})
}

// A service that takes its time holds back the neighbour whose packet it has, and
// no other.
func TestSlowServiceHoldsBackItsNeighbour(t *testing.T) {
	w := newWorld(t)
	a, end := w.add(1), w.add(2)
	begun, release := make(chan struct{}), make(chan struct{})
	a.cfg.Deliver = func(hashid.NodeID, []byte) { begun <- struct{}{}; <-release }
	other := w.wrap(path(0, a, end), "other")
	var done sync.WaitGroup
	for range cap(a.cpu) { // as many as there are turns
		p := w.wrap(path(0, a), "")
		done.Go(func() { a.Handle(hashid.NodeID{66}, p) })
		<-begun
	}
	a.Handle(sender, other)
	if got := end.received(); len(got) != 1 {
		t.Error("another neighbour's packet did not pass")
	}
	close(release)
	done.Wait()
}
