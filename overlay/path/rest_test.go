package path

import (
	"slices"
	"testing"
	"time"

	"chatnt/discovery/hashid"
)

// TestRests: a relay that goes on dropping rests ever longer, and costs ever less; one
// that has become good is forgiven.
func TestRests(t *testing.T) {
	s := newStandIn(t, 1, 3, 10, 1, 1, true)
	var lengths []time.Duration
	last := time.Duration(0)
	f := all(s)
	watch := func(*Way, bool) {
		for c, r := range s.c.blame.rests {
			if c.kind == relayKind && r.length != last {
				last = r.length
				lengths = append(lengths, r.length)
			}
		}
	}
	s.sendEvery(time.Second, 8*time.Hour, f, watch)
	want := []time.Duration{5 * time.Minute, 20 * time.Minute, 80 * time.Minute, 320 * time.Minute, 6 * time.Hour}
	if !slices.Equal(lengths, want) {
		t.Errorf("it rested %v, want %v", lengths, want)
	}
	if s.lost > 60 {
		t.Errorf("%d requests lost in eight hours", s.lost)
	}
	s.sendEvery(time.Minute, 40*time.Hour, func(*Way) bool { return true })
	s.c.blame.forget(s.now)
	if len(s.c.blame.rests) != 0 {
		t.Errorf("%v is not forgiven", s.c.blame.rests)
	}
}

// TestGuardRests: a guard that drops everything is left out and not replaced; when all
// rest the least bad is used.
func TestGuardRests(t *testing.T) {
	for seed := range count(5, 50) {
		s := newStandIn(t, seed, 3, 40, 0, 2, false)
		draw(s, s.c, s.now, s.relays, s.ends[0])
		guards := idsOf(s.c.keeping.guards)
		s.bad[guards[1]] = true
		s.send(time.Minute, all(s))
		s.send(2*time.Minute, all(s), func(w *Way, _ bool) {
			if s.bad[w.out[0]] {
				t.Fatalf("seed %d: it is used", seed)
			}
		})
		for _, id := range guards {
			s.c.blame.rest(s.now, cause{kind: relayKind, from: id}, map[bool]float64{true: 0.5, false: 0.9}[id == guards[2]])
		}
		s.send(time.Minute, func(*Way) bool { return true }, func(w *Way, _ bool) {
			if w.out[0] != guards[2] {
				t.Fatalf("seed %d: all guards rest, and another is used than the least bad", seed)
			}
		})
		if !slices.Equal(idsOf(s.c.keeping.guards), guards) {
			t.Fatalf("seed %d: a guard was replaced", seed)
		}
	}
}

// TestBounds has requests lost and answered at random, in a large network that changes
// and with many ends: what is remembered stays within its bounds, and there is always
// a way.
func TestBounds(t *testing.T) {
	s := newStandIn(t, 1, 3, 2000, 0, 200, false)
	relays := s.relays
	for range count(30, 500) {
		at := 40 + s.r.IntN(1900)
		s.relays = append(relays[:40:40], relays[at:at+s.r.IntN(60)]...)
		s.sendEvery(time.Duration(50+s.r.IntN(2000))*time.Millisecond, 100*time.Second, func(w *Way) bool {
			return (int(w.out[0][3])+int(w.End[3])+int(w.out[2][2]))%5 > 0
		})
		b := &s.c.blame
		if len(b.tallies) > maxTallies || len(b.losses.all) > maxLosses || len(b.hits.all) > maxHits || len(b.rests) > maxRests {
			t.Fatalf("%d tallies, %d losses, %d answers, %d rests", len(b.tallies), len(b.losses.all), len(b.hits.all), len(b.rests))
		}
	}
	b := &s.c.blame
	if len(b.losses.all) < maxLosses || len(b.hits.all) < maxHits || len(b.tallies) < maxTallies/2 {
		t.Errorf("%d tallies, %d losses, %d answers: the bounds were not reached", len(b.tallies), len(b.losses.all), len(b.hits.all))
	}
}

// TestAvoidedLinks: next to one node no more links rest at once than a quarter of the
// relays, on either side of it.
func TestAvoidedLinks(t *testing.T) {
	const usable = 20
	one := hashid.NodeID{1}
	for _, link := range []func(other hashid.NodeID) (from, to hashid.NodeID){
		func(other hashid.NodeID) (from, to hashid.NodeID) { return one, other },
		func(other hashid.NodeID) (from, to hashid.NodeID) { return other, one },
	} {
		b := newBlame(self)
		resting := func(now time.Time) (n int) {
			for i := range usable {
				if from, to := link(hashid.NodeID{2, byte(i)}); b.avoids(now, from, to) {
					n++
				}
			}
			return n
		}
		for i := range usable {
			from, to := link(hashid.NodeID{2, byte(i)})
			b.avoid(start, from, to, 1, usable)
		}
		b.avoid(start, hashid.NodeID{3}, hashid.NodeID{4}, 1, usable)
		if n := resting(start); n != usable/part || !b.avoids(start, hashid.NodeID{3}, hashid.NodeID{4}) {
			t.Errorf("%d of %d links of one node rest", n, usable)
		}
		later := start.Add(restFirst)
		from, to := link(hashid.NodeID{2, usable - 1})
		if b.avoid(later, from, to, 1, usable); resting(later) != 1 || !b.avoids(later, from, to) {
			t.Errorf("when their time is over, %d links rest", resting(later))
		}
	}
}

// TestRoomForRests: the one that is over first gives way.
func TestRoomForRests(t *testing.T) {
	b := newBlame(self)
	for i := range maxRests + 10 {
		b.rest(start.Add(time.Duration(i)*time.Second), cause{kind: relayKind, from: hashid.NodeID{1, byte(i >> 8), byte(i)}}, 1)
	}
	if _, first := b.rests[cause{kind: relayKind, from: hashid.NodeID{1, 0, 9}}]; len(b.rests) != maxRests || first {
		t.Errorf("%d rests, the first among them: %v", len(b.rests), first)
	}
}
