package path

import (
	"maps"
	"time"

	"chatnt/discovery/hashid"
)

// liars are the ends next to whom too many relays lose packets: more than could be
// left out. It is they who lose them then, be it by who brings them, and whatever is
// lost on a way to them says nothing.
func (b *blame) liars(now time.Time, h *hearing, usable int) map[hashid.NodeID]bool {
	type pair struct{ relay, end hashid.NodeID }
	lost := make(map[pair]float64)
	for i, l := range h.losses {
		last, first := l.way.out[len(l.way.out)-1], l.way.back[0]
		for _, c := range h.charges[i] {
			if c.kind == relayKind && (c.from == last || c.from == first) {
				fault, _, weight := h.fault(i, c.suspect)
				lost[pair{c.from, l.way.End}] += weight * fault
			}
		}
	}
	bad := make(map[hashid.NodeID]int)
	for p, x := range lost {
		good := b.good(now, p.relay, p.end) + b.good(now, p.end, p.relay)
		if isMuch(x, good) {
			bad[p.end]++
		}
	}
	maps.DeleteFunc(bad, func(_ hashid.NodeID, n int) bool { return n <= max(badNeighbours, usable/part) })
	liars := make(map[hashid.NodeID]bool)
	for end := range bad {
		liars[end] = true
	}
	return liars
}

// good is how many requests passed a link and were answered.
func (b *blame) good(now time.Time, from, to hashid.NodeID) float64 {
	if t := b.tallies[cause{kind: linkKind, from: from, to: to}]; t != nil {
		return t.value(now)
	}
	return 0
}
