package path

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"chatnt/discovery/hashid"
)

// guardConduct is what became of requests through one relay as the guard.
type guardConduct struct {
	lost    float64         // as in conduct
	guilty  bool            // whoever else stood next to it
	failing []hashid.NodeID // with whom everything is lost, while with others it is not
}

// pair is the two relays next to a guard, in order, or one twice.
type pair [2]hashid.NodeID

// asGuard looks at a guard. Next to it there are few others, and always two at a
// time: bad ones among these could lose what a good guard sends, until it rests and
// a bad one is used instead. So losses are held against a guard only if there are
// some with each two of those that may still stand next to it. As long as two of four
// are good, there are two with whom nothing is lost.
func (b *blame) asGuard(now time.Time, h *hearing, s *suspect) guardConduct {
	var g guardConduct
	lost, won := make(map[pair]float64), make(map[pair]float64)
	for _, i := range s.in {
		if p, ok := h.losses[i].way.besideGuard(s.from); ok {
			fault, _, weight := h.fault(i, s)
			lost[p] += weight * fault
			g.lost += weight * fault
		}
	}
	for _, w := range b.hits.all {
		if p, ok := w.besideGuard(s.from); ok {
			won[p] += fade(now.Sub(w.drawn))
		}
	}
	good := make(map[hashid.NodeID]bool) // with whom something was answered
	for p := range lost {
		good[p[0]], good[p[1]] = false, false
	}
	for p := range won {
		good[p[0]], good[p[1]] = true, true
	}
	some := slices.Contains(slices.Collect(maps.Values(good)), true)
	var others []hashid.NodeID
	for id, is := range good {
		if b.resting(now, id) || b.avoids(now, s.from, id) || b.avoids(now, id, s.from) {
			continue
		}
		others = append(others, id)
		if some && !is {
			g.failing = append(g.failing, id)
		}
	}
	g.guilty = true
	for i, p := range others {
		for _, q := range others[i:] {
			both := pairOf(p, q)
			if (p != q || len(others) == 1) && !isMuch(lost[both], won[both]) {
				g.guilty = false
			}
		}
	}
	slices.SortFunc(g.failing, func(p, q hashid.NodeID) int { return bytes.Compare(p[:], q[:]) })
	return g
}

func pairOf(p, q hashid.NodeID) pair {
	if bytes.Compare(p[:], q[:]) > 0 {
		p, q = q, p
	}
	return pair{p, q}
}

// besideGuard returns who stood next to a guard, if it was that of the way and not
// next to the end as well.
func (w *Way) besideGuard(guard hashid.NodeID) (pair, bool) {
	if len(w.out) < 2 || w.out[0] != guard {
		return pair{}, false
	}
	return pairOf(w.out[1], w.back[len(w.back)-2]), true
}
