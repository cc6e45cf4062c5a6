package relay

import "chatnt/discovery/hashid"

// shares counts how much of a bounded room each neighbour holds. A neighbour may
// hold as much as is left for all: alone it gets half, and leaves room for those
// that come later (dynamic thresholds: Choudhury and Hahne, IEEE/ACM ToN 6(2),
// 1998). The zero value is ready for use; whoever has it guards it.
type shares map[hashid.NodeID]int

// take gives a neighbour one place more, or reports that it may not have one
// while so many are left.
func (s *shares) take(from hashid.NodeID, left int) bool {
	if *s == nil {
		*s = make(shares)
	}
	held := (*s)[from]
	if held >= left {
		return false
	}
	(*s)[from] = held + 1
	return true
}

// give takes a place back.
func (s shares) give(from hashid.NodeID) {
	if s[from]--; s[from] <= 0 {
		delete(s, from)
	}
}
