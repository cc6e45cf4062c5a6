package path

import (
	"slices"
	"testing"
	"time"

	"chatnt/discovery/hashid"
)

// TestBadRelaysLeave: of a request every 0.3 s for a minute and a half, none is lost
// any more after a minute, or less; no good relay rests.
func TestBadRelaysLeave(t *testing.T) {
	type network struct {
		n, bad, ends int
		endsRelay    bool
		hops         int
	}
	for _, test := range []struct {
		name string
		network
		fate   func(*standIn) fate
		within time.Duration // the last loss, in ...
		most   float64       // ... this part of the networks
		losses int           // in as many, at most
	}{
		{"one of ten drops everything", network{10, 1, 1, true, 3}, all, 20 * time.Second, 1, 30},
		{"one of ten drops half", network{10, 1, 1, true, 3}, half, time.Minute, 1, 40},
		{"one of ten corrupts answers", network{10, 1, 1, true, 3}, answers, time.Minute, 1, 40},
		{"one of ten, two hops", network{10, 1, 1, true, 2}, all, time.Minute, 1, 30},
		{"one of ten, one hop", network{10, 1, 1, true, 1}, all, time.Minute, 1, 15},
		{"two of ten", network{10, 2, 1, true, 3}, all, time.Minute, 1, 80},
		{"three of sixteen", network{16, 3, 3, true, 3}, all, time.Minute, 0.9, 130},
		{"one of forty, one end", network{40, 1, 1, false, 3}, all, time.Minute, 0.99, 25},
		{"one of forty, three ends", network{40, 1, 3, false, 3}, all, time.Minute, 0.9, 45},
		{"one of twenty, one hop", network{20, 1, 3, true, 1}, all, time.Minute, 1, 20},
		{"one of ten, on a line that loses 2 %", network{10, 1, 1, true, 3}, all, 20 * time.Second, 1, 30},
	} {
		t.Run(test.name, func(t *testing.T) {
			var last []time.Duration
			var losses []int
			seeds := count(12, 200)
			for seed := range seeds {
				s := newStandIn(t, seed, test.hops, test.n, test.bad, test.ends, test.endsRelay)
				f := test.fate(s)
				if test.name[len(test.name)-1] == '%' {
					f = f.also(func(*Way) bool { return s.r.Float64() > 0.02 })
				}
				var at time.Duration
				n := 0
				s.send(90*time.Second, f, func(w *Way, ok bool) {
					if !ok && slices.ContainsFunc(w.relays(), s.isBad) {
						at = s.now.Sub(start)
						n++
					}
				})
				last, losses = append(last, at), append(losses, n)
				if good, _, _ := s.rests(); good > 0 {
					t.Errorf("seed %d: %d good relays rest", seed, good)
				}
			}
			slices.Sort(last)
			slices.Sort(losses)
			i := int(test.most*float64(seeds)) - 1
			t.Logf("last loss: median %v, %.0f %% %v, all %v; losses: median %d, %.0f %% %d, all %d", last[seeds/2], 100*test.most, last[i], last[seeds-1],
				losses[seeds/2], 100*test.most, losses[i], losses[seeds-1])
			if last[i] > test.within || losses[i] > test.losses {
				t.Errorf("%.0f %% are rid of them after %v and %d losses, want %v and %d", 100*test.most, last[i], losses[i], test.within, test.losses)
			}
		})
	}
}

func all(s *standIn) fate     { return s.dropping(1, true, true) }
func half(s *standIn) fate    { return s.dropping(0.5, true, true) }
func answers(s *standIn) fate { return s.dropping(1, false, true) }

// One of forty that drops half is a third relay in forty: what matters is that it is
// found before long.
func TestSeldomAndHalf(t *testing.T) {
	late, seeds := 0, count(8, 100)
	for seed := range seeds {
		s := newStandIn(t, seed, 3, 40, 1, 3, false)
		s.send(5*time.Minute, half(s))
		before := s.lost
		s.send(4*time.Minute, half(s)) // after its first rest
		late += s.lost - before
		if good, _, _ := s.rests(); good > 0 {
			t.Errorf("seed %d: %d good relays rest", seed, good)
		}
	}
	if late > 10*seeds {
		t.Errorf("%d are lost after five minutes, in %d networks", late, seeds)
	}
}

// TestFramed has one relay lose whatever comes from another, goes to it, or both: the
// other one stays, and the two are not put next to each other.
func TestFramed(t *testing.T) {
	for _, test := range []struct {
		name      string
		n, ends   int
		endsRelay bool
		from, to  bool
	}{
		{"ten, from it", 10, 1, true, true, false},
		{"ten, to it", 10, 3, true, false, true},
		{"ten, both", 10, 3, true, true, true},
		{"sixteen, both", 16, 3, true, true, true},
		{"forty, both", 40, 3, false, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			framed, rested, late, lateSent := 0, 0, 0, 0
			seeds := count(15, 100)
			for seed := range seeds {
				s := newStandIn(t, seed, 3, test.n, 0, test.ends, test.endsRelay)
				draw(s, s.c, s.now, s.relays, s.ends[0])
				// Where relays are kept, one next to the guard frames a guard.
				victim, framer := s.relays[8].ID(), s.relays[9].ID()
				if test.n >= few {
					victim, framer = s.c.keeping.guards[0].id, s.c.keeping.second[0].id
				}
				s.bad[framer] = true
				f := func(w *Way) bool {
					ok := true
					w.links(func(from, to hashid.NodeID) {
						if test.from && from == victim && to == framer || test.to && from == framer && to == victim {
							ok = false
						}
					})
					return ok
				}
				s.send(90*time.Second, f)
				if s.lost > 2 {
					framed++
				}
				before, n := s.lost, s.sent
				s.send(90*time.Second, f)
				late, lateSent = late+s.lost-before, lateSent+s.sent-n
				if good, _, _ := s.rests(); good > 0 {
					rested++
				}
			}
			t.Logf("a good relay rests in %d of %d; %.1f %% lost in the second half", rested, seeds, 100*float64(late)/float64(lateSent))
			if rested > seeds/100 {
				t.Errorf("a good relay rests in %d of %d", rested, seeds)
			}
			if framed < seeds/2 {
				t.Errorf("it happened in %d of %d only", framed, seeds)
			}
			if late > lateSent/50 {
				t.Errorf("%d of %d are lost in the second half", late, lateSent)
			}
		})
	}
}

// TestNobodyIsToBlame: nothing rests when the loss is not a relay's doing.
func TestNobodyIsToBlame(t *testing.T) {
	for _, n := range []int{10, 40} {
		for _, test := range []struct {
			name string
			fate func(s *standIn) fate
		}{
			{"nothing is lost", func(*standIn) fate { return func(*Way) bool { return true } }},
			{"5 % are lost", func(s *standIn) fate { return func(*Way) bool { return s.r.Float64() >= 0.05 } }},
			{"10 % are lost", func(s *standIn) fate { return func(*Way) bool { return s.r.Float64() >= 0.1 } }},
			{"away for 2 s", func(s *standIn) fate { return s.away(2 * time.Second) }},
			{"away for 20 s", func(s *standIn) fate { return s.away(20 * time.Second) }},
			{"away for 100 s", func(s *standIn) fate { return s.away(100 * time.Second) }},
			{"away for good", func(s *standIn) fate { return func(*Way) bool { return s.now.Sub(start) < time.Minute } }},
			{"never there", func(*standIn) fate { return func(*Way) bool { return false } }},
			{"an end never answers", func(s *standIn) fate { return func(w *Way) bool { return w.End != s.ends[0].ID() } }},
			{"two of three ends never answer", func(s *standIn) fate { return func(w *Way) bool { return w.End == s.ends[0].ID() } }},
			{"an end goes", func(s *standIn) fate {
				return func(w *Way) bool { return w.End != s.ends[0].ID() || s.now.Sub(start) < 2*time.Minute }
			}},
			{"an end comes and goes", func(s *standIn) fate {
				away := s.away(20 * time.Second)
				return func(w *Way) bool { return w.End != s.ends[0].ID() || away(w) }
			}},
			{"an end drops half", func(s *standIn) fate {
				return func(w *Way) bool { return w.End != s.ends[0].ID() || s.r.Float64() < 0.5 }
			}},
		} {
			relays, links, sent := 0, 0, 0
			for seed := range count(1, 50) {
				s := newStandIn(t, seed, 3, n, 0, 3, n == 10)
				s.send(5*time.Minute, test.fate(s))
				good, _, l := s.rests()
				relays, links, sent = relays+good, links+l, sent+s.sent
			}
			if relays > 0 || links > sent/1000 {
				t.Errorf("%d relays, %s: %d relays and %d links rest, of %d requests", n, test.name, relays, links, sent)
			}
		}
	}
}

// away is the fate where nothing gets through for a time in every two minutes.
func (s *standIn) away(d time.Duration) fate {
	return func(*Way) bool { return s.now.Sub(start)%(2*time.Minute) >= d }
}

// TestSparse: one message in 20 s, and once more after 2 s if it was lost, is enough
// to find who drops them.
func TestSparse(t *testing.T) {
	for seed := range count(5, 50) {
		s := newStandIn(t, seed, 3, 10, 1, 1, true)
		for range 120 {
			before := s.lost
			s.sendEvery(2*time.Second, 2*time.Second, all(s))
			for s.lost > before {
				before = s.lost
				s.sendEvery(2*time.Second, 2*time.Second, all(s))
			}
			s.now = s.now.Add(20 * time.Second)
		}
		good, bad, _ := s.rests()
		if good > 0 || bad == 0 || s.lost > 30 {
			t.Errorf("seed %d: %d good and %d bad relays rest, %d of %d are lost", seed, good, bad, s.lost, s.sent)
		}
	}
}
