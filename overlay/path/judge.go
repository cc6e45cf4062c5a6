package path

import (
	"math"
	"time"

	"chatnt/discovery/hashid"
)

// How losses are shared out. A request is lost if any of the causes on its way
// loses it, each with a chance of its own (a noisy OR: Pearl, Probabilistic
// Reasoning in Intelligent Systems, 1988, section 4.3.2). The chances that explain
// best what was seen are found by expectation maximisation (Dempster, Laird and
// Rubin, 1977): each loss is shared out among its causes by how likely each is to
// have lost it; a cause's chance is its share of the requests it was on; and again.
// So a relay on many answered requests is cleared, and what it was on and was lost
// falls to the others there; a relay that loses whatever passes it explains all
// that by itself; and where packets are lost between two relays only, their link
// explains more than either.
const rounds = 40

// gapFull is how many losses one after the other, of requests to one end, count in
// full. More have as much weight together, for they may have one cause, elsewhere.
const gapFull = 16

// prior is what is believed of a cause before anything is seen: that it was on so
// many requests that it lost, and so many that it did not.
func (k kind) prior() (lost, not float64) {
	switch k {
	case linkKind:
		return 0.02, 2 // there are many: each must not explain the little seen of it
	case endKind:
		return 0.1, 1
	case gapKind:
		return 0.2, 4 // a loss or two in a row are no gap, twenty are
	}
	return 0.05, 1
}

// suspect is a cause while it is judged.
type suspect struct {
	cause
	good   float64 // answered requests
	weight float64 // all its losses
	chance float64 // that it loses a request
	share  float64 // of its losses, in a round
	in     []int   // its losses, by their place in hearing
}

// charge is one cause of one loss.
type charge struct {
	*suspect
	weight float64 // of the loss for the cause: the longer ago, the less
}

// hearing is all losses that count, each with what may have caused it.
type hearing struct {
	losses   []*loss
	charges  [][]charge // of each loss
	suspects []*suspect // all, in the order of appearance
}

// hear gathers the losses that count and finds the chances of all suspects. It does
// so again without the ends that cannot be believed.
func (b *blame) hear(now time.Time, usable int) *hearing {
	h := b.gather(now, nil)
	h.judge()
	if liars := b.liars(now, h, usable); len(liars) > 0 {
		h = b.gather(now, liars)
		h.judge()
	}
	return h
}

// gather gathers the losses that count, but not those of some ends.
func (b *blame) gather(now time.Time, but map[hashid.NodeID]bool) *hearing {
	h := &hearing{}
	gaps := make(map[cause]*tally)
	size := make(map[cause]int) // losses in each gap
	for _, l := range b.losses.all {
		if l.counts() && !but[l.way.End] && now.Sub(l.way.drawn) <= lossFor {
			h.losses = append(h.losses, l)
			size[l.gap()]++
		}
	}
	meet := func(i int, t *tally) *suspect {
		s := t.suspect
		if s == nil {
			lost, not := t.kind.prior()
			s = &suspect{cause: t.cause, good: t.value(now), chance: lost / (lost + not)}
			t.suspect = s
			h.suspects = append(h.suspects, s)
		}
		s.in = append(s.in, i)
		return s
	}
	for i, l := range h.losses {
		fresh := fade(now.Sub(l.way.drawn))
		part := fresh * min(1, gapFull/float64(size[l.gap()]))
		charges := make([]charge, 0, len(l.marks)+1)
		for _, m := range l.marks {
			weight := part * math.Pow(1-1/m.kind.memory(), float64(m.seen-m.then))
			charges = append(charges, charge{meet(i, m.tally), weight})
		}
		gap := gaps[l.gap()]
		if gap == nil {
			gap = &tally{cause: l.gap(), at: now}
			gaps[l.gap()] = gap
		}
		charges = append(charges, charge{meet(i, gap), fresh})
		for _, c := range charges {
			c.suspect.weight += c.weight
		}
		h.charges = append(h.charges, charges)
	}
	for _, l := range h.losses {
		for _, m := range l.marks {
			m.suspect = nil
		}
	}
	return h
}

// judge finds the chances of all suspects.
func (h *hearing) judge() {
	for range rounds {
		for _, s := range h.suspects {
			s.share = 0
		}
		for _, charges := range h.charges {
			lost := chanceOf(charges)
			for _, c := range charges {
				c.share += c.weight * c.chance / lost
			}
		}
		for _, s := range h.suspects {
			lost, not := s.kind.prior()
			s.chance = min((lost+s.share)/(lost+not+s.good+s.weight), 0.999)
		}
	}
}

// chanceOf is the chance that a request is lost by one of the causes of a loss.
func chanceOf(charges []charge) float64 {
	passes := 1.0
	for _, c := range charges {
		passes *= 1 - c.chance
	}
	return 1 - passes
}

// lost is how likely a loss was.
func (h *hearing) lost(loss int) float64 { return chanceOf(h.charges[loss]) }

// evidence is by how much what was seen of a suspect is likelier if there is
// something about it than if all of it was others' doing, as a logarithm. It counts
// losses of requests drawn after a time only. A relay stands for its links too.
func (h *hearing) evidence(of *suspect, after time.Time) float64 {
	sum := 0.0
	cleared := make(map[*suspect]bool)
	for _, i := range of.in {
		with, others, weight := 1.0, 1.0, 0.0
		for _, c := range h.charges[i] {
			if !c.partOf(of) {
				others *= 1 - c.chance
				continue
			}
			with *= 1 - c.chance
			weight = max(weight, c.weight)
			if !cleared[c.suspect] {
				cleared[c.suspect] = true
				sum += c.good * math.Log(1-c.chance)
			}
		}
		if h.losses[i].way.drawn.After(after) {
			sum += weight * math.Log((1-with*others)/(1-others))
		}
	}
	return sum
}

// partOf reports whether s is other or, if other is a relay, a link of it.
func (s *suspect) partOf(other *suspect) bool {
	if s == other {
		return true
	}
	return other.kind == relayKind && s.kind == linkKind && (s.from == other.from || s.to == other.from)
}
