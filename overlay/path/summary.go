package path

import (
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// Summary is what a Chooser keeps and knows.
type Summary struct {
	Relays   int // usable, this node left out
	Prefixes int // that they are in; 0 where the network has no prefix rule
	Resting  int // relays left out for a while because they lose packets
	Avoided  int // pairs of neighbours that are not put next to each other, for the same reason

	Guards []Kept
	Second []Kept // the relays next to them

	// Lost is the part of the requests of the last minutes that was lost, by where:
	// at the guard, at each relay after it, and last at the end or for a reason that
	// is not known.
	Lost []float64

	// Meaning says in sentences what all this is good for.
	Meaning string
}

// Kept is a relay that is kept.
type Kept struct {
	ID           hashid.NodeID
	Since, Until time.Time
	Usable       bool // now
	OnDuty       bool // it is one of those drawn from
	Rests        bool // but for a while it is left out
}

// Summary returns what there is to know at now, with these relays usable: see Draw.
func (c *Chooser) Summary(now time.Time, relays []*record.Descriptor) Summary {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look(now, relays)
	s := Summary{
		Relays: len(c.index.all), Prefixes: c.index.prefixes,
		Resting: len(c.out), Avoided: c.blame.avoided(now),
		Guards: c.list(c.keeping.guards, guardsOnDuty),
		Second: c.list(c.keeping.second, secondOnDuty),
		Lost:   c.blame.places(now, len(c.index.all), c.rules.Hops),
	}
	s.Meaning = c.meaning(now, &s)
	return s
}

func (c *Chooser) list(list []kept, n int) []Kept {
	all := make([]Kept, 0, len(list))
	for _, k := range list {
		usable := c.index.byID[k.id] != nil
		all = append(all, Kept{ID: k.id, Since: k.since, Until: k.until, Usable: usable, OnDuty: usable && n > 0, Rests: c.out[k.id]})
		if usable {
			n--
		}
	}
	return all
}

// avoided is the number of links that rest.
func (b *blame) avoided(now time.Time) int {
	n := 0
	for c, r := range b.rests {
		if c.kind == linkKind && r.until.After(now) {
			n++
		}
	}
	return n
}

// places shares the losses of the last minutes out: among the relays of a way, by
// how far they are, and its end.
func (b *blame) places(now time.Time, usable, hops int) []float64 {
	places := make([]float64, hops+1)
	h := b.hear(now, usable)
	for i, l := range h.losses {
		sum := 0.0
		for _, c := range h.charges[i] {
			sum += c.chance
		}
		for _, c := range h.charges[i] {
			places[l.way.place(c.cause)] += fade(now.Sub(l.way.drawn)) * c.chance / sum
		}
	}
	sum, all := 0.0, 0.0
	for _, l := range b.losses.all {
		all += fade(now.Sub(l.way.drawn))
	}
	for _, x := range places {
		sum += x
	}
	places[hops] += all - sum // what does not count against relays
	lost, sent := b.lost.value(now), b.sent.value(now)
	for i := range places {
		if all > 0 && sent > 0 {
			places[i] *= lost / sent / all
		}
	}
	return places
}

// place is how far from this node a cause is: 0 the guard, and so on to the end. A
// link is where the farther of its nodes is.
func (w *Way) place(c cause) int {
	at := func(id hashid.NodeID) int {
		for i := range w.out {
			if w.out[i] == id || w.back[len(w.back)-1-i] == id {
				return i
			}
		}
		if id == w.End {
			return len(w.out)
		}
		return 0 // this node, which is not farther than anybody
	}
	switch c.kind {
	case relayKind:
		return at(c.from)
	case linkKind:
		return max(at(c.from), at(c.to))
	}
	return len(w.out)
}
