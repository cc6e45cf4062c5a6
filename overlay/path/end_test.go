package path

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// TestEnds: ends are drawn by the shares that third relays have, of those that may be
// drawn. This node is the first of ten relays that have prefixes of their own; forty
// share one.
func TestEnds(t *testing.T) {
	relays := apartNodes(t, 10)
	for i := range 40 {
		relays = append(relays, node(t, 100+i, fmt.Sprintf("/ip4/66.66.%d.1/tcp/1", i)))
	}
	both := []*record.Descriptor{relays[1], relays[10]}
	for _, rule := range []bool{false, true} {
		c := New(Rules{Self: relays[0].ID(), Hops: 3, Apart: rule, Random: seeded(3)})
		for _, test := range []struct {
			name    string
			apart   []*record.Descriptor
			without []hashid.NodeID
			may     func(i int) bool
		}{
			{"any", nil, nil, func(i int) bool { return i > 0 }},
			{"but those named", nil, []hashid.NodeID{both[0].ID(), both[1].ID()}, func(i int) bool { return i > 1 && i != 10 }},
			{"apart from some", both, nil, func(i int) bool { return i > 1 && i != 10 && (!rule || i < 10) }},
		} {
			got, want, sum := make([]int, len(relays)), make([]float64, len(relays)), 0.0
			for i := range want {
				if test.may(i) {
					want[i] = 1
					if rule && i >= 10 {
						want[i] = 1.0 / 40
					}
				}
				sum += want[i]
			}
			for i := range want {
				want[i] /= sum
			}
			for range count(20_000, 200_000) {
				end, err := c.End(relays, test.apart, test.without...)
				if err != nil {
					t.Fatal(err)
				}
				got[slices.Index(relays, end)]++
			}
			fitsShares(t, fmt.Sprintf("%s, prefix rule %v", test.name, rule), got, want)
		}
		short := new(discovery.ShortageError)
		if _, err := c.End(relays[:2], relays[1:2]); !errors.As(err, &short) {
			t.Errorf("when there is no other: %v", err)
		}
	}
}

// TestClash: two ends are one, or count as one.
func TestClash(t *testing.T) {
	a, b, c := node(t, 1, "/ip4/1.2.3.4/tcp/5"), node(t, 2, "/ip4/1.2.9.9/tcp/5", "/dns4/b/tcp/5"), node(t, 3, "/dns4/c/tcp/5")
	for _, rule := range []bool{false, true} {
		x := New(Rules{Self: self, Hops: 3, Apart: rule})
		if !x.Clash(a, a) || x.Clash(a, b) != rule || x.Clash(b, c) != rule || x.Clash(a, c) {
			t.Errorf("prefix rule %v: %v %v %v %v", rule, x.Clash(a, a), x.Clash(a, b), x.Clash(b, c), x.Clash(a, c))
		}
	}
}
