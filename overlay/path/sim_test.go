package path

import (
	"math/rand/v2"
	"slices"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// verdict is what an attempt comes to in the stand-in network.
type verdict func(w *Way, r *rand.Rand) (answered bool)

// sim is a stand-in network: no packets, just ways and what becomes of them. An
// answer comes after 0.3 s, and a loss is noticed after 2 s.
type sim struct {
	c      *Chooser
	r      *rand.Rand
	now    time.Time
	relays []*record.Descriptor
	under  []pendingWay // way, by when

	sent, lost int
	ways       []*Way
}

type pendingWay struct {
	due time.Time
	w   *Way
	ok  bool
}

func newSim(seed int, rules Rules, relays []*record.Descriptor) *sim {
	rules.Self, rules.Random = self, seeded(seed)
	return &sim{
		c: New(rules), r: rand.New(rand.NewPCG(uint64(seed), 1)), now: start, relays: relays,
	}
}

// send sends one request to end.
func (s *sim) send(end *record.Descriptor, v verdict) (*Way, bool) {
	w, err := s.c.Draw(s.now, s.relays, end)
	if err != nil {
		panic(err)
	}
	ok := v(w, s.r)
	wait := 300 * time.Millisecond
	if !ok {
		wait = 2 * time.Second
		s.lost++
	}
	s.sent++
	s.under = append(s.under, pendingWay{s.now.Add(wait), w, ok})
	return w, ok
}

// pass lets time go by.
func (s *sim) pass(d time.Duration) {
	s.now = s.now.Add(d)
	slices.SortStableFunc(s.under, func(a, b pendingWay) int { return a.due.Compare(b.due) })
	for len(s.under) > 0 && !s.under[0].due.After(s.now) {
		p := s.under[0]
		s.under = s.under[1:]
		s.c.Report(p.due, p.w, p.ok)
	}
}

func (w *Way) relays() []hashid.NodeID { return append(slices.Clone(w.out), w.back...) }

func (w *Way) has(id hashid.NodeID) bool { return slices.Contains(w.relays(), id) }
