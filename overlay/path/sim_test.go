package path

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// fate decides what becomes of a request in the stand-in network.
type fate func(w *Way) (answered bool)

// standIn is the stand-in network: no packets, just ways and what becomes of them. An
// answer comes after 0.3 s; a loss is noticed after 2 s.
type standIn struct {
	*testing.T
	c      *Chooser
	r      *rand.Rand
	now    time.Time
	relays []*record.Descriptor
	under  []underWay

	ends []*record.Descriptor
	bad  map[hashid.NodeID]bool

	sent, lost int
	rested     map[cause]int // how often each rest began
}

type underWay struct {
	due time.Time
	w   *Way
	ok  bool
}

// newStandIn makes a network of n relays, so many of them bad, and of ends: relays
// that are not bad, or nodes apart from them.
func newStandIn(t *testing.T, seed, hops, n, bad, ends int, endsRelay bool) *standIn {
	s := &standIn{
		T: t, r: rand.New(rand.NewPCG(uint64(seed), 1)), now: start, relays: apartNodes(t, n),
		bad: make(map[hashid.NodeID]bool), rested: make(map[cause]int),
	}
	s.c = New(Rules{Self: self, Hops: hops, Random: seeded(seed)})
	order := s.r.Perm(n)
	for _, i := range order[:bad] {
		s.bad[s.relays[i].ID()] = true
	}
	for i := range ends {
		if endsRelay {
			s.ends = append(s.ends, s.relays[order[bad+i]])
		} else {
			s.ends = append(s.ends, node(t, 1000+i))
		}
	}
	return s
}

// send sends a request every 0.3 s, to one end after the other, for a while.
func (s *standIn) send(d time.Duration, f fate, each ...func(w *Way, ok bool)) {
	s.sendEvery(300*time.Millisecond, d, f, each...)
}

func (s *standIn) sendEvery(step, d time.Duration, f fate, each ...func(w *Way, ok bool)) {
	s.Helper()
	for until := s.now.Add(d); s.now.Before(until); s.now = s.now.Add(step) {
		s.settle()
		w := draw(s, s.c, s.now, s.relays, s.ends[s.sent%len(s.ends)])
		s.note()
		ok := f(w)
		wait := 300 * time.Millisecond
		if !ok {
			wait = 2 * time.Second
			s.lost++
		}
		s.sent++
		s.under = append(s.under, underWay{s.now.Add(wait), w, ok})
		for _, do := range each {
			do(w, ok)
		}
	}
}

// settle reports what is known by now.
func (s *standIn) settle() {
	slices.SortStableFunc(s.under, func(a, b underWay) int { return a.due.Compare(b.due) })
	for len(s.under) > 0 && !s.under[0].due.After(s.now) {
		s.c.Report(s.under[0].due, s.under[0].w, s.under[0].ok)
		s.under = s.under[1:]
	}
}

// note counts rests that have just begun, and holds them against the rule that no
// more than a quarter is left out.
func (s *standIn) note() {
	s.Helper()
	for c, r := range s.c.blame.rests {
		if r.until.Sub(s.now) == r.length {
			s.rested[c]++
		}
	}
	if len(s.c.out) > len(s.relays)/4 {
		s.Fatalf("%d of %d relays are left out", len(s.c.out), len(s.relays))
	}
}

// rests counts the rests of relays, good and bad, and of links.
func (s *standIn) rests() (good, bad, links int) {
	for c, n := range s.rested {
		switch {
		case c.kind == linkKind:
			links += n
		case s.bad[c.from]:
			bad += n
		default:
			good += n
		}
	}
	return good, bad, links
}

func (s *standIn) isBad(id hashid.NodeID) bool { return s.bad[id] }

// dropping is the fate where bad relays lose a part of what passes them, on the way
// out, back, or both.
func (s *standIn) dropping(part float64, out, back bool) fate {
	return func(w *Way) bool {
		lost := false
		for i, way := range [][]hashid.NodeID{w.out, w.back} {
			for _, id := range way {
				if s.bad[id] && (i == 0 && out || i == 1 && back) && s.r.Float64() < part {
					lost = true
				}
			}
		}
		return !lost
	}
}

// also is the fate where both have to let a request through.
func (f fate) also(g fate) fate { return func(w *Way) bool { a, b := f(w), g(w); return a && b } }

// links calls do for each step of a request and its answer.
func (w *Way) links(do func(from, to hashid.NodeID)) {
	nodes := append(append([]hashid.NodeID{self}, w.out...), w.End)
	nodes = append(append(nodes, w.back...), self)
	for i, id := range nodes[1:] {
		do(nodes[i], id)
	}
}

func (w *Way) relays() []hashid.NodeID { return append(slices.Clone(w.out), w.back...) }
