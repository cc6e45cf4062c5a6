package path

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"chatnt/discovery/hashid"
)

// When a relay or a link is left out of paths, and for how long.
const (
	judgeEvery    = time.Second / 2
	evidenceFirst = 8.0  // e^8 to 1, or 3,000 to 1, that it loses packets
	evidenceAgain = 4.0  // after a rest
	badNeighbours = 3    // at least, and more than good ones, for a relay to rest
	badChance     = 0.25 // that a packet is lost next to a bad neighbour, at least
	linkChance    = 0.5  // the same for a link to rest

	restFirst  = 5 * time.Minute
	restLonger = 4 // times the last one
	restLast   = 6 * time.Hour
	restForget = time.Hour // in use for as long, and for restLonger times the rest, its rests are forgotten
	maxRests   = 1024      // remembered

	part = 4 // at most one relay in so many is left out

	// Losses that are a relay's fault, for a judgement.
	between  = 1.5 // while it stood between relays: these do not see enough to frame it
	nearOne  = 1.5 // next to one end, for it to be avoided there
	nearMany = 1.0 // next to each of several ends
)

// rest is a time in which a relay or a link is left out.
type rest struct {
	until  time.Time
	length time.Duration
	chance float64 // that it loses a packet, as last found
}

// judge looks at losses that it has not seen yet and has those rest that they are
// the fault of. Usable is how many relays are, and guards are kept ones.
//
// Evidence against a relay is losses with different neighbours: what is lost next
// to one of them only may as well be that one's doing, and their link alone is
// avoided. What is lost next to the end may be the end's doing, which sees who
// comes: that alone has a relay rest only if several ends agree, and otherwise it
// is avoided next to that end.
func (b *blame) judge(now time.Time, usable int, guards []kept) {
	if since := now.Sub(b.judged); !b.fresh || (since >= 0 && since < judgeEvery) {
		return
	}
	b.fresh, b.judged = false, now
	b.forget(now)
	h := b.hear(now, usable)
	for _, s := range h.suspects {
		switch {
		case s.kind == relayKind && b.convinced(now, h, s):
			b.sentence(now, h, s, usable, holds(guards, s.from))
		case s.kind == linkKind && s.chance >= linkChance && b.convinced(now, h, s):
			b.avoid(now, s.from, s.to, s.chance, usable)
		}
	}
}

// convinced reports whether there is enough evidence for a suspect to rest that
// does not do so already: evidence since its last rest.
func (b *blame) convinced(now time.Time, h *hearing, s *suspect) bool {
	last, ever := b.rests[s.cause]
	switch {
	case !ever:
		return h.evidence(s, time.Time{}) >= evidenceFirst
	case last.until.After(now):
		return false
	}
	return h.evidence(s, last.until) >= evidenceAgain
}

// sentence has a relay rest, or some links of it.
func (b *blame) sentence(now time.Time, h *hearing, s *suspect, usable int, guard bool) {
	r := b.look(now, h, s)
	if g := b.asGuard(now, h, s); guard && g.lost > r.lost/2 {
		switch {
		case g.guilty:
			b.rest(now, s.cause, r.chance)
		default:
			for _, other := range g.failing {
				b.avoidBoth(now, s.from, other, r.chance, usable)
			}
		}
		return
	}
	witnesses := 0
	for _, end := range r.ends {
		if end.lost >= nearMany {
			witnesses++
		}
	}
	bad := r.bad
	if len(h.losses[s.in[0]].way.out) < 3 { // a relay has few relays next to it, and many ends
		bad += witnesses
	}
	switch {
	case r.chance >= badChance && bad >= badNeighbours && bad > r.good && (r.inside >= between || witnesses >= 2):
		b.rest(now, s.cause, r.chance)
	case r.inside < between/3: // or else more will be known of it
		for _, end := range r.ends {
			if end.lost >= nearOne {
				b.avoidBoth(now, s.from, end.end, r.chance, usable)
			}
		}
	}
}

// avoidBoth has both links of two neighbours rest.
func (b *blame) avoidBoth(now time.Time, p, q hashid.NodeID, chance float64, usable int) {
	b.avoid(now, p, q, chance, usable)
	b.avoid(now, q, p, chance, usable)
}

// avoid has a link rest, unless a node has too many such links already.
func (b *blame) avoid(now time.Time, from, to hashid.NodeID, chance float64, usable int) {
	link := cause{kind: linkKind, from: from, to: to}
	after, before := 0, 0
	for c, r := range b.rests {
		if c.kind != linkKind || !r.until.After(now) || c == link {
			continue
		}
		if c.from == from {
			after++
		}
		if c.to == to {
			before++
		}
	}
	if max(after, before) < usable/part {
		b.rest(now, link, chance)
	}
}

// rest begins a rest, longer than the last one.
func (b *blame) rest(now time.Time, c cause, chance float64) {
	last, ever := b.rests[c]
	if ever && last.until.After(now) {
		return
	}
	if !ever && len(b.rests) >= maxRests {
		var first cause
		for other, r := range b.rests {
			if f, some := b.rests[first]; !some || r.until.Before(f.until) {
				first = other
			}
		}
		delete(b.rests, first)
	}
	length := min(max(restFirst, last.length*restLonger), restLast)
	b.rests[c] = rest{now.Add(length), length, chance}
}

// forget drops rests that are long over.
func (b *blame) forget(now time.Time) {
	for c, r := range b.rests {
		if now.Sub(r.until) > max(restForget, restLonger*r.length) {
			delete(b.rests, c)
		}
	}
}

// resting reports whether a relay rests, if it were for blame alone.
func (b *blame) resting(now time.Time, id hashid.NodeID) bool {
	return b.rests[cause{kind: relayKind, from: id}].until.After(now)
}

// avoids reports whether the link between two neighbours rests.
func (b *blame) avoids(now time.Time, from, to hashid.NodeID) bool {
	r, some := b.rests[cause{kind: linkKind, from: from, to: to}]
	return some && r.until.After(now)
}

// badness is what is held against a relay, for comparison.
func (b *blame) badness(id hashid.NodeID) float64 {
	return b.rests[cause{kind: relayKind, from: id}].chance
}

// excluded returns the relays that rest: the worst, if they are more than a quarter
// of all.
func (b *blame) excluded(now time.Time, x *index) map[hashid.NodeID]bool {
	var ids []hashid.NodeID
	for c, r := range b.rests {
		if c.kind == relayKind && r.until.After(now) && x.byID[c.from] != nil {
			ids = append(ids, c.from)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	slices.SortFunc(ids, func(p, q hashid.NodeID) int {
		return cmp.Or(cmp.Compare(b.badness(q), b.badness(p)), bytes.Compare(p[:], q[:]))
	})
	out := make(map[hashid.NodeID]bool)
	for _, id := range ids[:min(len(ids), len(x.all)/part)] {
		out[id] = true
	}
	return out
}
