package path

import (
	"time"

	"chatnt/discovery/hashid"
)

// conduct is what became of requests through one relay.
type conduct struct {
	bad, good int                       // neighbours, on either side, next to whom much is lost, and others
	inside    float64                   // losses that are its fault while it stood between relays
	ends      map[hashid.NodeID]float64 // and while it stood next to the end, by end
	chance    float64                   // that a request is lost on it or a link of it
}

// look puts together the conduct of a relay.
func (b *blame) look(now time.Time, h *hearing, s *suspect) conduct {
	r := conduct{ends: make(map[hashid.NodeID]float64)}
	lost, good := make(map[hashid.NodeID]float64), make(map[hashid.NodeID]float64)
	all := 0.0
	for _, i := range s.in {
		end := h.losses[i].way.end
		most := 1 - passes(h.charges[i])
		whole := s.chance / most // of the loss, what is the relay's fault
		share, weight, atEnd := whole, 0.0, false
		for _, c := range h.charges[i] {
			if c.suspect == s {
				weight = c.weight
			}
			if other, ok := c.beside(s.from); ok {
				share += c.chance / most
				lost[other] += c.weight * min(1, whole+c.chance/most)
				atEnd = atEnd || other == end
			}
		}
		share = weight * min(1, share)
		all += share
		if atEnd {
			r.ends[end] += share
		} else {
			r.inside += share
		}
	}
	for c, t := range b.tallies {
		if other, ok := c.beside(s.from); ok {
			good[other] += t.value(now)
		}
	}
	const seen = 0.3 // requests with a neighbour, for it to be one
	for other, x := range lost {
		if x >= seen && x >= badChance*(x+good[other]) {
			r.bad++
			delete(good, other)
		}
	}
	for _, x := range good {
		if x >= seen {
			r.good++
		}
	}
	r.chance = all / (all + s.good)
	return r
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
