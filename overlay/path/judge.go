package path

import (
	"math"
	"time"
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

// hear gathers the losses that count, and judges.
func (b *blame) hear(now time.Time) *hearing {
	h := &hearing{}
	known := make(map[cause]*suspect)
	meet := func(c cause) *suspect {
		s := known[c]
		if s == nil {
			lost, not := c.kind.prior()
			s = &suspect{cause: c, chance: lost / (lost + not)}
			if t := b.tallies[c]; t != nil {
				s.good = t.value(now)
			}
			known[c] = s
			h.suspects = append(h.suspects, s)
		}
		s.in = append(s.in, len(h.losses))
		return s
	}
	var heard []*loss
	gaps := make(map[cause]int) // losses in each
	for _, l := range b.losses.all {
		if l.counts() && now.Sub(l.way.drawn) <= lossFor {
			heard = append(heard, l)
			gaps[l.gap()]++
		}
	}
	for _, l := range heard {
		age := now.Sub(l.way.drawn)
		charges := make([]charge, 0, len(l.causes)+1)
		for i, c := range l.causes {
			weight := fade(age) * min(1, gapFull/float64(gaps[l.gap()]))
			if t := b.tallies[c]; t != nil && t.seen > l.seen[i] {
				weight *= math.Pow(1-1/c.kind.memory(), float64(t.seen-l.seen[i]))
			}
			charges = append(charges, charge{meet(c), weight})
		}
		charges = append(charges, charge{meet(l.gap()), fade(age)})
		for _, c := range charges {
			c.suspect.weight += c.weight
		}
		h.losses, h.charges = append(h.losses, l), append(h.charges, charges)
	}
	h.judge()
	return h
}

// judge finds the chances of all suspects.
func (h *hearing) judge() {
	for range rounds {
		for _, s := range h.suspects {
			s.share = 0
		}
		for _, charges := range h.charges {
			lost := 1 - passes(charges)
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

// passes is the chance that a request gets past all causes of a loss.
func passes(charges []charge) float64 {
	p := 1.0
	for _, c := range charges {
		p *= 1 - c.chance
	}
	return p
}

// evidence is by how much what was seen of a suspect is likelier if there is
// something about it than if all of it was others' doing, as a logarithm. It counts
// losses of requests drawn after a time only. A relay stands for its links too.
func (h *hearing) evidence(of *suspect, after time.Time) float64 {
	sum := 0.0
	cleared := make(map[*suspect]bool)
	for _, i := range of.in {
		with, others, weight := 1.0, 1.0, 0.0
		for _, c := range h.charges[i] {
			if !c.partOf(of.cause) {
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

// partOf reports whether c is other or, if other is a relay, a link of it.
func (c cause) partOf(other cause) bool {
	if c == other {
		return true
	}
	_, link := c.beside(other.from)
	return link && other.kind == relayKind
}
