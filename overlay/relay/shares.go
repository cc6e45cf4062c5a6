package relay

import "chatnt/discovery/hashid"

// shares counts how much of a bounded room each neighbour holds. A neighbour may
// hold as much as is left for all: alone it gets half, and leaves room for those
// that come later (dynamic thresholds: Choudhury and Hahne, IEEE/ACM ToN 6(2),
// 1998). The zero value is ready for use; whoever has it guards it.
type shares map[hashid.NodeID]int

// may reports whether a neighbour may have one place more while so many are left.
func (s shares) may(from hashid.NodeID, left int) bool { return s[from] < left }

// take gives a neighbour one place more.
func (s *shares) take(from hashid.NodeID) {
	if *s == nil {
		*s = make(shares)
	}
	(*s)[from]++
}

// give takes a place back.
func (s shares) give(from hashid.NodeID) {
	if s[from]--; s[from] <= 0 {
		delete(s, from)
	}
}
