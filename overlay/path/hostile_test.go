package path

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// TestHostileEndSeesFourRelays: of fifty relays a fifth belong to whoever has the end,
// too. Of 5,000 requests within a day they see no more than four relays next to the
// guard, and no guard but from there.
func TestHostileEndSeesFourRelays(t *testing.T) {
	for seed := range count(3, 100) {
		s := newStandIn(t, seed, 3, 50, 10, 1, false)
		seen := make(map[hashid.NodeID]bool)   // next to the guard, by third relays
		guards := make(map[hashid.NodeID]bool) // by those
		s.sendEvery(day/5000, day, func(*Way) bool { return true }, func(w *Way, _ bool) {
			if s.bad[w.out[2]] {
				seen[w.out[1]] = true
			}
			if s.bad[w.back[0]] {
				seen[w.back[1]] = true
			}
			if s.bad[w.out[1]] || s.bad[w.back[1]] {
				guards[w.out[0]] = true
			}
		})
		bad := slices.ContainsFunc(idsOf(s.c.keeping.second), s.isBad)
		if s.sent != 5000 || len(seen) != 4 {
			t.Errorf("seed %d: %d of %d requests, and they saw %d relays next to the guard", seed, s.sent, 5000, len(seen))
		}
		if bad == (len(guards) == 0) || len(guards) > 3 {
			t.Errorf("seed %d: they are next to the guard: %v, and saw %d guards", seed, bad, len(guards))
		}
	}
}

// TestThirdRelayIsAnyRelay: next to the end each relay stands equally often, guards and
// second relays as well, both ways.
func TestThirdRelayIsAnyRelay(t *testing.T) {
	for _, endsRelay := range []bool{false, true} {
		for _, n := range []int{10, 40} {
			s := newStandIn(t, 5, 3, n, 0, 1, endsRelay)
			var got [2][]int
			place := make(map[hashid.NodeID]int)
			for i, d := range s.relays {
				place[d.ID()] = i
			}
			for i := range got {
				got[i] = make([]int, n)
			}
			s.sendEvery(time.Second, time.Duration(count(40_000, 400_000))*time.Second/10, func(*Way) bool { return true }, func(w *Way, _ bool) {
				got[0][place[w.out[2]]]++
				got[1][place[w.back[0]]]++
			})
			shares := make([]float64, n)
			for i, d := range s.relays {
				switch {
				case !endsRelay:
					shares[i] = 1 / float64(n)
				case d != s.ends[0]:
					shares[i] = 1 / float64(n-1)
				}
			}
			for i, name := range []string{"out", "back"} {
				fitsShares(t, fmt.Sprintf("%d relays, the end is one: %v, %s", n, endsRelay, name), got[i], shares)
			}
		}
	}
}

// TestEndThatChooses: an end that answers only what comes by its friends among the
// relays has no good relay rest, and does not see its friends more often for it.
func TestEndThatChooses(t *testing.T) {
	for _, test := range []struct{ hostile, ends int }{{1, 1}, {1, 2}, {2, 2}, {2, 4}} {
		friends, thirds, rests, lost, sent := 0, 0, 0, 0, 0
		for seed := range count(1, 30) {
			s := newStandIn(t, seed, 3, 40, 8, test.ends, false)
			s.send(8*time.Minute, func(w *Way) bool {
				hostile := slices.ContainsFunc(s.ends[:test.hostile], func(d *record.Descriptor) bool { return d.ID() == w.End })
				return !hostile || s.bad[w.out[2]] || s.bad[w.back[0]]
			}, func(w *Way, _ bool) {
				thirds++
				if s.bad[w.out[2]] {
					friends++
				}
			})
			good, _, _ := s.rests()
			rests, lost, sent = rests+good, lost+s.lost, sent+s.sent
		}
		share := float64(friends) / float64(thirds)
		t.Logf("%d of %d ends: %.3f of the third relays are friends, %d good relays rest, %.2f lost", test.hostile, test.ends, share, rests, float64(lost)/float64(sent))
		if share > 0.22 || rests > 0 {
			t.Errorf("%d of %d ends: %.3f of the third relays are friends, %d good relays rest", test.hostile, test.ends, share, rests)
		}
	}
}

// TestEndThatChoosesAFew: an end that refuses what comes by a few good relays has them
// avoided next to it, and nowhere else.
func TestEndThatChoosesAFew(t *testing.T) {
	for seed := range count(3, 30) {
		s := newStandIn(t, seed, 3, 40, 0, 2, false)
		refused := make(map[hashid.NodeID]bool)
		for _, d := range s.relays[:6] {
			refused[d.ID()] = true
		}
		var atEnds, late [2]int // refused third relays, by end
		s.send(20*time.Minute, func(w *Way) bool {
			return w.End != s.ends[0].ID() || !refused[w.out[2]] && !refused[w.back[0]]
		}, func(w *Way, _ bool) {
			i := 0
			if w.End != s.ends[0].ID() {
				i = 1
			}
			if refused[w.out[2]] && s.now.Sub(start) > 10*time.Minute {
				atEnds[i]++
			}
			late[i]++
		})
		if good, _, links := s.rests(); good > 0 || links == 0 || atEnds[0] > late[0]/30 || atEnds[1] < late[1]/20 {
			t.Errorf("seed %d: %d relays and %d links rest; they stood %d times next to the one end, %d times next to the other, of %d", seed, good, links, atEnds[0], atEnds[1], late)
		}
	}
}

// TestSecondRelaysThatSteer: bad relays next to the guards, up to two of four, lose
// what does not come by the one bad guard. No good guard is left out for it, and the
// bad one is used little more.
func TestSecondRelaysThatSteer(t *testing.T) {
	for bad := 1; bad <= 2; bad++ {
		byBad, requests, rests, lost := 0, 0, 0, 0
		for seed := range count(6, 60) {
			s := newStandIn(t, seed, 3, 40, 0, 2, false)
			draw(s, s.c, s.now, s.relays, s.ends[0])
			guard := s.c.keeping.guards[0].id
			s.bad[guard] = true
			for _, k := range s.c.keeping.second[:bad] {
				s.bad[k.id] = true
			}
			s.send(15*time.Minute, func(w *Way) bool {
				return w.out[0] == guard || !s.bad[w.out[1]] && !s.bad[w.back[1]]
			}, func(w *Way, _ bool) {
				requests++
				if w.out[0] == guard {
					byBad++
				}
			})
			for _, k := range s.c.keeping.guards {
				rests += s.rested[cause{kind: relayKind, from: k.id}]
			}
			lost += s.lost
		}
		share := float64(byBad) / float64(requests)
		t.Logf("%d of four: %.3f by the bad guard of three, guards rest %d times, %.3f lost", bad, share, rests, float64(lost)/float64(requests))
		if share > 0.38 || rests > 0 || lost > requests/20 {
			t.Errorf("%d of four: %.3f by the bad guard of three, guards rest %d times, %d of %d lost", bad, share, rests, lost, requests)
		}
	}
}

// TestSecondRelaysThatDrop: it is they who rest, and nothing is lost after half a minute,
// though with two of four bad ones five of six ways have one.
func TestSecondRelaysThatDrop(t *testing.T) {
	for seed := range count(6, 60) {
		for bad := 1; bad <= 2; bad++ {
			s := newStandIn(t, seed, 3, 40, 0, 2, false)
			draw(s, s.c, s.now, s.relays, s.ends[0])
			for _, k := range s.c.keeping.second[:bad] {
				s.bad[k.id] = true
			}
			s.send(30*time.Second, all(s))
			early := s.lost
			s.send(time.Minute, all(s))
			if good, rests, _ := s.rests(); good > 0 || rests != bad || s.lost > early {
				t.Errorf("seed %d: %d good and %d of %d bad relays rest, %d are lost, and %d after half a minute", seed, good, rests, bad, early, s.lost-early)
			}
		}
	}
}

// TestConspiracy: a fifth of the relays lose whatever comes from a good one: they rest.
// Or they lose what comes from one good relay, or goes to it: it stays.
func TestConspiracy(t *testing.T) {
	for _, n := range []int{10, 20, 40} {
		late, lateSent, bads := 0, 0, 0
		for seed := range count(4, 40) {
			s := newStandIn(t, seed, 3, n, n/5, 3, n == 10)
			f := func(w *Way) bool {
				ok := true
				w.links(func(from, to hashid.NodeID) { ok = ok && (s.bad[from] || !s.bad[to]) })
				return ok
			}
			s.send(4*time.Minute, f)
			before, sent := s.lost, s.sent
			s.send(time.Minute, f)
			good, bad, _ := s.rests()
			late, lateSent, bads = late+s.lost-before, lateSent+s.sent-sent, bads+bad
			if good > 0 {
				t.Errorf("%d relays, seed %d: %d good ones rest", n, seed, good)
			}
		}
		t.Logf("%d relays: %d rests of bad ones, %d of %d lost in the fifth minute", n, bads, late, lateSent)
		if late > lateSent/4 {
			t.Errorf("%d relays: %d of %d are lost in the fifth minute", n, late, lateSent)
		}
	}
	victims := 0
	seeds := count(8, 100)
	for seed := range seeds {
		s := newStandIn(t, seed, 3, 20, 4, 3, false)
		victim := s.relays[slices.IndexFunc(s.relays, func(d *record.Descriptor) bool { return !s.bad[d.ID()] })].ID()
		s.send(4*time.Minute, func(w *Way) bool {
			ok := true
			w.links(func(from, to hashid.NodeID) {
				ok = ok && (from != victim || !s.bad[to]) && (to != victim || !s.bad[from])
			})
			return ok
		})
		if good, _, _ := s.rests(); good > 0 {
			victims++
		}
	}
	if victims > seeds/20 {
		t.Errorf("a good relay rests in %d of %d networks", victims, seeds)
	}
}

// TestNeverMoreThanAQuarter: whoever answers or not, by whatever whim, there is always
// a way and no more than a quarter is left out (which every request in this package's
// stand-in network is held against); here with as many culprits as relays.
func TestNeverMoreThanAQuarter(t *testing.T) {
	for seed := range count(8, 300) {
		r := seeded(seed).Uint64()
		n := 3 + int(r%60)
		s := newStandIn(t, seed, 1+int(r>>8%3), n, n/2, 0, false)
		for i := range 1 + r>>16%4 {
			s.ends = append(s.ends, node(t, 1000+int(i)))
		}
		part := float64(r>>24%100) / 100
		s.send(3*time.Minute, s.dropping(part, r>>32%4 > 0, r>>34%4 > 0))
		for _, d := range s.relays { // and if all were found guilty
			s.c.blame.rest(s.now, cause{kind: relayKind, from: d.ID()}, s.r.Float64())
		}
		s.send(10*time.Second, func(*Way) bool { return true })
		if len(s.c.out) != n/4 {
			t.Errorf("seed %d: %d of %d are left out", seed, len(s.c.out), n)
		}
		// Also when most of the network goes.
		s.relays = s.relays[n/2:]
		if len(s.relays) >= 3 {
			s.send(10*time.Second, func(*Way) bool { return true })
		}
	}
}
