// Package fair shares what is bounded out among those who want it, so that none
// of them, however much it asks for, takes what the others need: [Shares] of
// places that are held and given back, [Budget] of what is used up and comes back
// with time. Both are dynamic thresholds: nobody has a fixed part, so that while
// there is plenty nobody notices (Choudhury and Hahne, IEEE/ACM ToN 6(2), 1998).
package fair

// Shares counts how much of a bounded room each of those that use it holds. One
// may hold as much as is left for all: alone it gets half, and leaves room for
// those that come later. The zero value is ready for use; whoever has it guards it.
type Shares[K comparable] map[K]int

// May reports whether who may have one place more while so many are left.
func (s Shares[K]) May(who K, left int) bool { return s[who] < left }

// Take gives who one place more.
func (s *Shares[K]) Take(who K) {
	if *s == nil {
		*s = make(Shares[K])
	}
	(*s)[who]++
}

// Give takes a place back.
func (s Shares[K]) Give(who K) {
	if s[who]--; s[who] <= 0 {
		delete(s, who)
	}
}

// Room is so many places, of which each that asks gets its share. Whoever has it
// guards it.
type Room[K comparable] struct {
	size, taken int
	held        Shares[K]
}

// NewRoom returns an empty room of so many places.
func NewRoom[K comparable](places int) Room[K] { return Room[K]{size: places} }

// Take gives who a place, or reports that it has its share.
func (r *Room[K]) Take(who K) bool {
	if !r.held.May(who, r.size-r.taken) {
		return false
	}
	r.held.Take(who)
	r.taken++
	return true
}

// Give takes back a place that Take gave.
func (r *Room[K]) Give(who K) {
	r.held.Give(who)
	r.taken--
}

// Taken is the number of places that are taken.
func (r *Room[K]) Taken() int { return r.taken }
