package path

import "container/heap"

// fairShares returns for each member how often it is to be drawn, given the groups
// that it belongs to (at least one): the max-min fair shares (Bertsekas and
// Gallager, Data Networks, section 6.5.2) where the members of a group have 1
// among them. So a group of 1,000 is drawn as often as a group of one.
//
// Nobody has checked all the addresses that a relay claims. Where each relay has
// one group the shares are those of drawing a group first and a relay in it then.
// Where relays have several, that rule would pay for claims: a swarm in one group
// would multiply by claiming others besides, or crowd out the few that are in
// them. Here a member has its share where it has the least, and what it claims
// elsewhere takes no more than that from others: a swarm whose true addresses lie
// in k groups has k in all, and takes at most 3k from everybody else.
func fairShares(members [][]group) []float64 {
	rooms := make(map[group]*room, len(members))
	for i, groups := range members {
		for _, g := range groups {
			if rooms[g] == nil {
				rooms[g] = &room{left: 1}
			}
			rooms[g].members = append(rooms[g].members, i)
		}
	}
	shares := make([]float64, len(members))
	order := make(byLevel, 0, len(rooms))
	for _, r := range rooms {
		r.waiting = len(r.members)
		r.level = 1 / float64(r.waiting)
		order = append(order, r)
	}
	heap.Init(&order)
	for len(order) > 0 {
		// A level never falls: whoever leaves took no more than its part of it.
		r := order[0]
		if r.waiting == 0 {
			heap.Pop(&order)
			continue
		}
		if level := r.left / float64(r.waiting); level > r.level {
			r.level = level
			heap.Fix(&order, 0)
			continue
		}
		heap.Pop(&order)
		for _, i := range r.members {
			if shares[i] > 0 {
				continue
			}
			shares[i] = r.level
			for _, g := range members[i] {
				rooms[g].left -= r.level
				rooms[g].waiting--
			}
		}
	}
	return shares
}

// room is a group while its members get their shares.
type room struct {
	members []int
	left    float64 // of 1
	waiting int     // members without a share
	level   float64 // what each of them would get, when last looked at
}

// byLevel is a heap, the least first.
type byLevel []*room

func (h byLevel) Len() int           { return len(h) }
func (h byLevel) Less(i, j int) bool { return h[i].level < h[j].level }
func (h byLevel) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *byLevel) Push(x any)        { *h = append(*h, x.(*room)) }
func (h *byLevel) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
