package path

import (
	"cmp"
	"slices"
	"time"

	"chatnt/discovery"
)

// How the relays of a way are drawn. The third relays, next to the end, come
// first: then each usable relay stands there equally often, our own guards and the
// relays next to them too. Drawn the other way round, these would be missing there
// whenever they serve elsewhere on the same way, and an end that counts could tell
// in time who they are. The guard follows, out of those that may stand on a way
// with both third relays, and the relays next to it last.
//
// Way and way back have the guard in common and, if possible, nothing else: no
// relay but the guard, no pair of relays with a prefix in common. So
//
//   - one guard knows of a request, not two: the guard knows this node anyhow, and
//     with the second one the chance would double that a bad one is there (Tor
//     proposal 236, section 1.1);
//   - no other relay sees a request and its answer, pairs them, and reads off the
//     time between them where on the way it stands;
//   - no relay stands next to this node, or next to its guard, on the one way and
//     next to the end on the other: it would know both by itself;
//   - an end that has relays among the third ones learns of the layer behind them
//     no more by both ways than by two requests.

// draw returns the relays of a way out and back, in the order of the way.
func (c *Chooser) draw(now time.Time, end *relay) (out, back []*relay, err error) {
	hops, usable := c.rules.Hops, len(c.index.all)
	if c.index.byID[end.id] != nil {
		usable--
	}
	if usable < hops {
		return nil, nil, &discovery.ShortageError{Need: hops, Have: usable}
	}
	var p *plan
	relaxed := c.relaxed(now)
	if relaxed {
		p = c.drawFew(now, end)
	} else {
		p = c.drawKept(now, end)
	}
	switch {
	case p != nil:
	case !relaxed && c.tooSoon(now) && len(without(c.index.among(c.keeping.guards), end.clash)) == 0:
		return nil, nil, ErrNoGuard
	default:
		return nil, nil, &PrefixError{Need: hops + 1, Have: c.index.prefixes}
	}
	out = []*relay{p.guard, p.second[0], p.third[0]}[:hops]
	back = []*relay{p.guard, p.second[1], p.third[1]}[:hops]
	slices.Reverse(back)
	return out, back, nil
}

// drawKept draws with the guards on duty that do not rest; or else, because the
// end rules these out, with another.
func (c *Chooser) drawKept(now time.Time, end *relay) *plan {
	s := search{
		Chooser: c, now: now, end: end,
		second: c.choice(now, c.keeping.second, secondOnDuty, secondLeast),
	}
	if len(s.second) == 0 {
		return nil
	}
	all := c.index.among(c.keeping.guards)
	for _, s.guards = range [][]*relay{c.choice(now, c.keeping.guards, guardsOnDuty, 1), all} {
		if len(s.guards) > 0 {
			if p := s.run(); p != nil {
				return p
			}
		}
	}
	// Nothing is picked for an end but where there is no other way: an end that
	// hits upon the prefixes of all guards must not have one picked after another.
	if len(all) == 0 || len(without(all, end.clash)) > 0 {
		return nil
	}
	if r := c.pickPressed(now, end); r != nil {
		s.guards = []*relay{r}
		return s.run()
	}
	return nil
}

// drawFew draws in a network that is too small, or too little known, to pick relays to
// keep: with those that are kept, if that is possible, or else with any.
func (c *Chooser) drawFew(now time.Time, end *relay) *plan {
	s := search{Chooser: c, now: now, end: end}
	guards := c.choice(now, c.keeping.guards, guardsOnDuty, 1)
	second := c.choice(now, c.keeping.second, secondOnDuty, 1)
	for _, s.guards = range [][]*relay{guards, nil} {
		for _, s.second = range [][]*relay{second, nil} {
			if p := s.run(); p != nil {
				return p
			}
		}
	}
	return nil
}

// choice returns those of the relays on duty that do not rest. If they are fewer
// than least, it adds those that do, the least bad first.
func (c *Chooser) choice(now time.Time, list []kept, onDuty, least int) []*relay {
	all := c.index.onDuty(list, onDuty)
	rests := func(r *relay) bool { return c.out[r.id] || c.blame.avoids(now, c.rules.Self, r.id) }
	fresh := without(all, rests)
	resting := without(all, func(r *relay) bool { return !rests(r) })
	slices.SortStableFunc(resting, func(a, b *relay) int { return cmp.Compare(c.blame.badness(a.id), c.blame.badness(b.id)) })
	return append(fresh, resting[:min(len(resting), max(0, least-len(fresh)))]...)
}
