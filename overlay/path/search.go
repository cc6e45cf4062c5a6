package path

import (
	"time"

	"chatnt/discovery/hashid"
)

// tries is how often a way is drawn in the hope of one without a blemish. Then the
// best of them will do.
const tries = 32

// A blemish is what a way should not have if another can be had.
const (
	blemishPrefix = 1   // relays of both ways share a prefix
	blemishTwice  = 10  // a relay other than the guard stands on both ways
	blemishLink   = 100 // packets are lost between two neighbours
)

// plan is the relays of a way and its way back by their place; nil where there is
// no hop for them.
type plan struct {
	guard         *relay
	second, third [2]*relay // out, back
}

// search is the drawing of one way.
type search struct {
	*Chooser
	now    time.Time
	end    *relay
	guards []*relay // to choose from; nil: any relay
	second []*relay // the same
	rested bool     // where any relay will do, one that rests will
}

// run draws a way; nil if there is none.
func (s *search) run() *plan {
	for _, s.rested = range []bool{false, true} {
		var best *plan
		least := 0
		for range tries {
			p, blemish := s.try()
			if p != nil && (best == nil || blemish < least) {
				best, least = p, blemish
			}
			if best != nil && least == 0 {
				break
			}
		}
		if best == nil {
			best = s.scan()
		}
		if best != nil {
			return best
		}
	}
	return nil
}

// try draws once: the third relays, a guard and the relays next to it. It returns
// the blemishes that other third relays might not have. A guard is not drawn again
// because of the relays next to it: whoever has some of them could choose among
// the guards.
func (s *search) try() (*plan, int) {
	var p plan
	if s.rules.Hops > 2 {
		for i := range p.third {
			if p.third[i] = s.index.any(s.dice, s.fits); p.third[i] == nil {
				return nil, 0
			}
		}
	}
	p.guard = s.one(s.guards, func(r *relay) bool { return apart(r, p.third[0]) && apart(r, p.third[1]) })
	if p.guard == nil {
		return nil, 0
	}
	if s.rules.Hops > 1 && !s.between(&p) {
		return nil, 0
	}
	inner, outer := s.blemishes(&p)
	if s.second == nil {
		return &p, inner + outer
	}
	if s.rules.Hops == 2 {
		return &p, 0 // there is nothing else to draw
	}
	return &p, outer
}

// between draws the relays next to the guard, with the least blemish where there
// are only a few. It reports whether there are any.
func (s *search) between(p *plan) bool {
	fits := func(way int) func(*relay) bool {
		return func(r *relay) bool { return apart(r, p.guard) && apart(r, p.third[way]) }
	}
	if s.second == nil {
		p.second = [2]*relay{s.one(nil, fits(0)), s.one(nil, fits(1))}
		return p.second[0] != nil && p.second[1] != nil
	}
	best, least, equal := p.second, 0, 0
	for _, out := range s.second {
		if out.clash(s.end) || !fits(0)(out) {
			continue
		}
		for _, back := range s.second {
			if back.clash(s.end) || !fits(1)(back) {
				continue
			}
			p.second = [2]*relay{out, back}
			inner, outer := s.blemishes(p)
			switch sum := inner + outer; {
			case equal == 0 || sum < least:
				best, least, equal = p.second, sum, 1
			case sum == least:
				if equal++; s.dice.below(equal) == 0 {
					best = p.second
				}
			}
		}
	}
	p.second = best
	return equal > 0
}

// one draws one of some relays, or of all if they are nil, that may stand on a way
// to the end and fits.
func (s *search) one(of []*relay, fits func(*relay) bool) *relay {
	if of == nil {
		return s.index.any(s.dice, func(r *relay) bool { return s.fits(r) && fits(r) })
	}
	fit := without(of, func(r *relay) bool { return r.clash(s.end) || !fits(r) })
	if len(fit) == 0 {
		return nil
	}
	return fit[s.dice.below(len(fit))]
}

// fits reports whether a relay that is not kept may stand on a way to the end.
func (s *search) fits(r *relay) bool { return (s.rested || !s.out[r.id]) && !r.clash(s.end) }

// apart reports whether two relays, of which there may be none, do not clash.
func apart(a, b *relay) bool { return a == nil || b == nil || !a.clash(b) }

// blemishes adds up what is wrong about a plan: between this node and the relays
// next to its guard, and from there on.
func (s *search) blemishes(p *plan) (inner, outer int) {
	shared := func(a, b *relay) int {
		switch {
		case apart(a, b):
			return 0
		case a.id == b.id:
			return blemishTwice
		}
		return blemishPrefix
	}
	inner = shared(p.second[0], p.second[1])
	outer = shared(p.third[0], p.third[1]) + shared(p.third[0], p.second[1]) + shared(p.second[0], p.third[1])
	if len(s.blame.rests) == 0 {
		return inner, outer
	}
	self, guard := s.rules.Self, p.guard.id
	inner += s.lossy(self, guard) + s.lossy(guard, self)
	last := [2]hashid.NodeID{guard, guard}
	for i, r := range p.second {
		if r != nil {
			inner += s.lossyWay(i, last[i], r.id)
			last[i] = r.id
		}
	}
	for i, r := range p.third {
		if r != nil {
			outer += s.lossyWay(i, last[i], r.id)
			last[i] = r.id
		}
		outer += s.lossyWay(i, last[i], s.end.id)
	}
	return inner, outer
}

// lossyWay is lossy for two neighbours on the way out or, the other way round,
// back.
func (s *search) lossyWay(way int, near, far hashid.NodeID) int {
	if way == 0 {
		return s.lossy(near, far)
	}
	return s.lossy(far, near)
}

func (s *search) lossy(from, to hashid.NodeID) int {
	if s.blame.avoids(s.now, from, to) {
		return blemishLink
	}
	return 0
}

// scan looks through all relays for a way, with whatever blemishes; nil if there
// is none.
func (s *search) scan() *plan {
	guards := s.guards
	if guards == nil {
		guards = without(s.index.all, func(r *relay) bool { return !s.fits(r) })
	}
	for _, guard := range s.turned(guards) {
		p := plan{guard: guard}
		if !guard.clash(s.end) && s.complete(&p, 0) && s.complete(&p, 1) {
			return &p
		}
	}
	return nil
}

// complete puts relays on a way, out or back, behind its guard.
func (s *search) complete(p *plan, way int) bool {
	if s.rules.Hops == 1 {
		return true
	}
	second, third := s.second, s.turned(s.index.all)
	if second == nil {
		second = without(s.index.all, func(r *relay) bool { return !s.fits(r) })
	}
	for _, r := range s.turned(second) {
		if r.clash(s.end) || r.clash(p.guard) {
			continue
		}
		p.second[way] = r
		if s.rules.Hops == 2 {
			return true
		}
		for _, r := range third {
			if s.fits(r) && !r.clash(p.guard) && !r.clash(p.second[way]) {
				p.third[way] = r
				return true
			}
		}
	}
	return false
}

// turned returns relays in the same order from another beginning.
func (s *search) turned(relays []*relay) []*relay {
	if len(relays) < 2 {
		return relays
	}
	at := s.dice.below(len(relays))
	return append(relays[at:len(relays):len(relays)], relays[:at]...)
}
