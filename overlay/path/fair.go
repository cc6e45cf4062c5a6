package path

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
	f := filling{room: make(map[group]int), members: members}
	for i, groups := range members {
		for _, g := range groups {
			n, known := f.room[g]
			if !known {
				n = len(f.in)
				f.room[g] = n
				f.in = append(f.in, nil)
			}
			f.in[n] = append(f.in[n], i)
		}
	}
	for _, in := range f.in {
		f.left = append(f.left, 1)
		f.waiting = append(f.waiting, len(in))
		f.level = append(f.level, 1/float64(len(in)))
		f.order = append(f.order, len(f.order))
	}
	return f.run()
}

// filling is the drawing up of fair shares: all members get ever more, until the
// group with the least for each is used up and its members have their shares.
type filling struct {
	members [][]group
	room    map[group]int // where a group stands in the lists that follow
	in      [][]int       // its members
	left    []float64     // of its 1
	waiting []int         // its members without a share
	level   []float64     // what each of them would get, when last looked at
	order   []int         // groups, a heap: the lowest level first
}

func (f *filling) run() []float64 {
	shares := make([]float64, len(f.members))
	for i := len(f.order)/2 - 1; i >= 0; i-- {
		f.sink(i)
	}
	for len(f.order) > 0 {
		g := f.order[0]
		// A level never falls: whoever leaves took no more than its part of it.
		if f.waiting[g] > 0 && f.left[g]/float64(f.waiting[g]) > f.level[g] {
			f.level[g] = f.left[g] / float64(f.waiting[g])
			f.sink(0)
			continue
		}
		last := len(f.order) - 1
		f.order[0] = f.order[last]
		f.order = f.order[:last]
		f.sink(0)
		if f.waiting[g] == 0 {
			continue
		}
		for _, i := range f.in[g] {
			if shares[i] > 0 {
				continue
			}
			shares[i] = f.level[g]
			for _, other := range f.members[i] {
				n := f.room[other]
				f.left[n] -= shares[i]
				f.waiting[n]--
			}
		}
	}
	return shares
}

// sink moves a group down the heap to its place.
func (f *filling) sink(i int) {
	for {
		least := i
		for _, child := range []int{2*i + 1, 2*i + 2} {
			if child < len(f.order) && f.level[f.order[child]] < f.level[f.order[least]] {
				least = child
			}
		}
		if least == i {
			return
		}
		f.order[i], f.order[least] = f.order[least], f.order[i]
		i = least
	}
}
