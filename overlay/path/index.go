package path

import (
	"slices"
	"sort"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// relay is a relay that can be put on a path now, or the end of one.
type relay struct {
	id     hashid.NodeID
	desc   *record.Descriptor
	groups []group // nil where the network has no prefix rule
	seen   int     // the turn of index.same in which it came up
}

// clash reports whether two nodes must not be on one way.
func (r *relay) clash(with *relay) bool {
	return r.id == with.id || overlap(r.groups, with.groups)
}

// index is the usable relays, ready to draw from.
type index struct {
	rules    Rules
	given    []*record.Descriptor // what it was made of, by the caller
	known    map[*record.Descriptor]*relay
	byID     map[hashid.NodeID]*relay
	all      []*relay
	sums     []float64 // of the shares of all[:i+1]; nil: equal shares
	prefixes int       // different groups
	seen     int       // turns of same
}

// see brings the index up to date with the relays of now. What it knows of a
// descriptor it does not work out again.
func (x *index) see(relays []*record.Descriptor) {
	if x.byID != nil && len(relays) == len(x.given) && (len(relays) == 0 || &relays[0] == &x.given[0]) {
		return
	}
	x.given = relays
	if x.byID != nil && x.same(relays) {
		return
	}
	known := make(map[*record.Descriptor]*relay, len(relays))
	for _, desc := range relays {
		r := x.known[desc]
		if r == nil {
			r = x.read(desc)
		}
		known[desc] = r
	}
	x.known = known
	x.build()
}

// same reports whether relays are those that are known, in another order, which says
// nothing.
func (x *index) same(relays []*record.Descriptor) bool {
	if len(relays) != len(x.known) {
		return false
	}
	x.seen++
	for _, desc := range relays {
		r := x.known[desc]
		if r == nil || r.seen == x.seen {
			return false
		}
		r.seen = x.seen
	}
	return true
}

func (x *index) read(desc *record.Descriptor) *relay {
	r := &relay{id: desc.ID(), desc: desc}
	if x.rules.Apart {
		r.groups = groupsOf(desc)
	}
	return r
}

func (x *index) build() {
	x.byID = make(map[hashid.NodeID]*relay, len(x.known))
	x.all = x.all[:0:0]
	for _, desc := range x.given {
		r := x.known[desc]
		if len(desc.Addrs) > 0 && r.id != x.rules.Self && x.byID[r.id] == nil {
			x.byID[r.id] = r
			x.all = append(x.all, r)
		}
	}
	x.sums, x.prefixes = nil, 0
	if !x.rules.Apart {
		return
	}
	groups := make([][]group, len(x.all))
	different := make(map[group]bool, len(x.all))
	for i, r := range x.all {
		groups[i] = r.groups
		for _, g := range r.groups {
			different[g] = true
		}
	}
	x.prefixes = len(different)
	x.sums = fairShares(groups)
	for i := 1; i < len(x.sums); i++ {
		x.sums[i] += x.sums[i-1]
	}
}

// any draws a relay for which fits holds: each equally likely or, where there is
// a prefix rule, by its fair share. It is nil if there is none.
func (x *index) any(d dice, fits func(*relay) bool) *relay {
	// Most relays fit nearly always: this is much cheaper than to ask all.
	const tries = 16
	for range tries {
		if len(x.all) == 0 {
			return nil
		}
		if r := x.all[x.at(d)]; fits(r) {
			return r
		}
	}
	var fit []*relay
	var sums []float64
	sum := 0.0
	for i, r := range x.all {
		if fits(r) {
			sum += x.share(i)
			fit, sums = append(fit, r), append(sums, sum)
		}
	}
	if len(fit) == 0 {
		return nil
	}
	return fit[locate(sums, d.share()*sum)]
}

func (x *index) at(d dice) int {
	if x.sums == nil {
		return d.below(len(x.all))
	}
	return locate(x.sums, d.share()*x.sums[len(x.sums)-1])
}

// share is how often all[i] is drawn, compared with others.
func (x *index) share(i int) float64 {
	switch {
	case x.sums == nil:
		return 1
	case i == 0:
		return x.sums[0]
	}
	return x.sums[i] - x.sums[i-1]
}

// locate returns the first place where sums, ascending, is more than at.
func locate(sums []float64, at float64) int {
	return min(sort.Search(len(sums), func(i int) bool { return sums[i] > at }), len(sums)-1)
}

// among returns those of some nodes that can be used now, in their order.
func (x *index) among(nodes []kept) []*relay {
	var usable []*relay
	for _, k := range nodes {
		if r := x.byID[k.id]; r != nil {
			usable = append(usable, r)
		}
	}
	return usable
}

func without(relays []*relay, drop func(*relay) bool) []*relay {
	return slices.DeleteFunc(slices.Clone(relays), drop)
}
