package path

import (
	"bytes"
	"slices"
	"time"

	"chatnt/discovery/hashid"
)

// conduct is what became of requests through one relay.
type conduct struct {
	bad, good int     // relays that stood next to it, with whom much is lost, and little
	lost      float64 // requests, by its fault or a link's of it
	inside    float64 // of them, those for which it stood between relays
	ends      []atEnd // and those for which it stood next to the end
	chance    float64 // that a request is lost
}

// atEnd is what was lost by a relay's fault next to an end.
type atEnd struct {
	end  hashid.NodeID
	lost float64
}

// look puts the conduct of a relay together.
func (b *blame) look(now time.Time, h *hearing, s *suspect) conduct {
	var r conduct
	lost := make(map[cause]float64) // by link
	ends := make(map[hashid.NodeID]float64)
	for _, i := range s.in {
		end, next := h.losses[i].way.End, false
		fault, alone, weight := h.fault(i, s)
		for _, c := range h.charges[i] {
			switch other, ok := c.beside(s.from); {
			case !ok || other == b.self:
			case other == end:
				next = true
			default:
				// Its own part, and some of what may be the doing of the link on the other
				// side: where a relay loses some packets only, the one is seen now and the
				// other then.
				own := min(1, alone+c.chance/h.lost(i))
				lost[c.cause] += c.weight * (own + max(0, fault-own)/3)
			}
		}
		r.lost += weight * fault
		if next {
			ends[end] += weight * fault
		} else {
			r.inside += weight * fault
		}
	}
	for end, x := range ends {
		r.ends = append(r.ends, atEnd{end, x})
	}
	slices.SortFunc(r.ends, func(p, q atEnd) int { return bytes.Compare(p.end[:], q.end[:]) })
	r.chance = r.lost / (r.lost + s.good)
	r.bad, r.good = b.neighbours(now, s.from, lost, ends)
	return r
}

// neighbours counts the relays next to one: those with a link to it, either way, on
// which much is lost, and those with whom several requests were answered, so that it
// is not by luck that little is. Ends do not count.
func (b *blame) neighbours(now time.Time, id hashid.NodeID, lost map[cause]float64, ends map[hashid.NodeID]float64) (bad, good int) {
	much, answered := make(map[hashid.NodeID]bool), make(map[hashid.NodeID]float64)
	for c, t := range b.tallies {
		other, ok := c.beside(id)
		if _, end := ends[other]; !ok || end || other == b.self {
			continue
		}
		x, y := lost[c], t.value(now)
		much[other] = much[other] || isMuch(x, y)
		answered[other] += y
	}
	for other, is := range much {
		if is {
			bad++
		} else if answered[other] >= several {
			good++
		}
	}
	return bad, good
}

// How many requests there have to be for a judgement: that much is lost of them, or
// that little is.
const (
	some    = 0.7
	several = 1.5
)

// isMuch reports whether much is lost, of requests that are there for a judgement.
func isMuch(lost, good float64) bool { return lost >= some && lost >= badChance*(lost+good) }

// fault is the part of a loss that is the fault of a relay or one of its links, the
// part that is the relay's alone, and the weight of the loss.
func (h *hearing) fault(loss int, s *suspect) (all, alone, weight float64) {
	lost := h.lost(loss)
	for _, c := range h.charges[loss] {
		if c.suspect == s {
			weight, alone = c.weight, c.chance/lost
		}
		if c.partOf(s) {
			all += c.chance / lost
		}
	}
	return min(1, all), alone, weight
}

// beside returns the other end of a link, if c is a link of id.
func (c cause) beside(id hashid.NodeID) (other hashid.NodeID, ok bool) {
	switch {
	case c.kind != linkKind:
		return other, false
	case c.from == id:
		return c.to, true
	}
	return c.from, c.to == id
}
