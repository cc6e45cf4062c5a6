package path

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"chatnt/discovery/record"
)

func TestGroups(t *testing.T) {
	for _, test := range []struct {
		addr string
		want group
	}{
		{"/ip4/1.2.3.4/tcp/5", groupIPv4 | 0x0102},
		{"/ip4/1.2.255.4/udp/5/quic-v1", groupIPv4 | 0x0102},
		{"/ip4/1.3.3.4/tcp/5", groupIPv4 | 0x0103},
		{"/ip6/2001:db8:1::1/tcp/5", groupIPv6 | 0x20010db8},
		{"/ip6/2001:db9::1/tcp/5", groupIPv6 | 0x20010db9},
		{"/dns4/a.example/tcp/5", groupName},
		{"/dns6/b.example/udp/5/quic-v1", groupName},
	} {
		if got := groupsOf(node(t, 1, test.addr)); !slices.Equal(got, []group{test.want}) {
			t.Errorf("%s is in %x, want %x", test.addr, got, test.want)
		}
	}
	many := groupsOf(node(t, 1, "/ip4/1.2.3.4/tcp/5", "/ip6/1::2/tcp/5", "/dns4/a/tcp/5", "/ip4/1.2.9.9/tcp/6"))
	if want := []group{groupIPv4 | 0x0102, groupIPv6 | 0x10000, groupName}; !slices.Equal(many, want) {
		t.Errorf("four addresses are in %x, want %x", many, want)
	}
	here := groupsOf(node(t, 7, "/ip4/127.0.0.1/tcp/5", "/ip6/::1/tcp/5"))
	if other := groupsOf(node(t, 8, "/ip4/127.0.0.1/tcp/6")); len(here) != 1 || len(other) != 1 || overlap(here, other) {
		t.Errorf("two nodes of this machine are in %x and %x", here, other)
	}
	if both := groupsOf(node(t, 7, "/ip4/127.0.0.1/tcp/5", "/ip4/1.2.3.4/tcp/5")); !slices.Equal(both, []group{groupIPv4 | 0x0102}) {
		t.Errorf("who names an address of its own machine, too, is in %x", both)
	}
	if overlap(many, []group{groupIPv4 | 0x0103}) || !overlap(many, []group{5, groupName}) || overlap(nil, nil) {
		t.Error("overlap")
	}
}

// Where each member has one group, a group has 1, in equal parts.
func TestFairSharesOfSingleGroups(t *testing.T) {
	members := [][]group{{1}}
	for range 1000 {
		members = append(members, []group{2})
	}
	members = append(members, []group{3}, []group{3})
	shares := fairShares(members)
	for i, want := range map[int]float64{0: 1, 1: 0.001, 1000: 0.001, 1001: 0.5, 1002: 0.5} {
		if math.Abs(shares[i]-want) > 1e-12 {
			t.Errorf("member %d has %v, want %v", i, shares[i], want)
		}
	}
}

// Max-min fairness, by its definition: no group has more than 1, and each member has
// as much as any other in some group of its own that is used up.
func TestFairShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		member := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) group { return group(rapid.IntRange(0, 8).Draw(t, "group")) }), 1, 4, rapid.ID[group])
		members := rapid.SliceOfN(member, 0, 30).Draw(t, "members")
		shares := fairShares(members)
		sum, most := make(map[group]float64), make(map[group]float64)
		for i, groups := range members {
			for _, g := range groups {
				sum[g] += shares[i]
				most[g] = max(most[g], shares[i])
			}
		}
		for g, x := range sum {
			if x > 1+1e-9 {
				t.Fatalf("group %d has %v", g, x)
			}
		}
		for i, groups := range members {
			if !slices.ContainsFunc(groups, func(g group) bool { return sum[g] > 1-1e-9 && shares[i] > most[g]-1e-9 }) {
				t.Fatalf("member %d could have more than %v", i, shares[i])
			}
		}
	})
}

// A swarm in two groups claims three others each, of a thousand honest ones.
func TestClaimsAreWorthLittle(t *testing.T) {
	var members [][]group
	const honest, swarm = 1000, 9000
	for i := range honest {
		members = append(members, []group{group(i)})
	}
	for i := range swarm {
		members = append(members, []group{group(honest + i%2), group(3 * i % honest), group((3*i + 1) % honest), group((3*i + 2) % honest)})
	}
	shares := fairShares(members)
	theirs, ours := 0.0, 0.0
	for i, x := range shares {
		if i < honest {
			ours += x
		} else {
			theirs += x
		}
	}
	if theirs > 2+1e-9 || ours < honest-3*2-1e-9 {
		t.Errorf("a swarm in 2 groups has %v, and has left %v of %d to others", theirs, ours, honest)
	}
}

// TestPrefixBeforeRelay: relays are drawn by their shares, whichever way of drawing
// is used, and all the same where there is no prefix rule.
func TestPrefixBeforeRelay(t *testing.T) {
	var relays []*record.Descriptor
	for i := range 4 {
		relays = append(relays, node(t, i, fmt.Sprintf("/ip4/30.%d.0.1/tcp/1", i)))
	}
	for i := range 20 {
		relays = append(relays, node(t, 100+i, fmt.Sprintf("/ip4/40.0.%d.1/tcp/1", i)))
	}
	for i := range 10 {
		relays = append(relays, node(t, 200+i, fmt.Sprintf("/dns4/n%d.example/tcp/1", i)))
	}
	for _, apart := range []bool{false, true} {
		x := index{rules: Rules{Self: self, Apart: apart}}
		x.see(relays)
		draws := count(40_000, 1_000_000)
		for name, fits := range map[string]func(*relay) bool{
			"all":     func(*relay) bool { return true },
			"scanned": onlyAfter(16), // the quick draws are all refused
		} {
			got := make([]int, len(relays))
			d := dice{seeded(7)}
			for range draws {
				r := x.any(d, fits)
				got[slices.Index(relays, r.desc)]++
			}
			want := make([]float64, len(relays))
			for i := range want {
				switch {
				case !apart:
					want[i] = 1.0 / 34
				case i < 4:
					want[i] = 1.0 / 6
				case i < 24:
					want[i] = 1.0 / 6 / 20
				default:
					want[i] = 1.0 / 6 / 10
				}
			}
			fitsShares(t, fmt.Sprintf("%s, apart %v", name, apart), got, want)
		}
	}
}

// onlyAfter refuses so many relays, takes the next 34 as they come, and begins
// again.
func onlyAfter(n int) func(*relay) bool {
	i := 0
	return func(*relay) bool {
		i++
		if i == n+34 {
			i = 0
			return true
		}
		return i > n
	}
}

// fitsShares is Pearson's chi-square test at one in a thousand: the quantile is
// Wilson and Hilferty's.
func fitsShares(t *testing.T, name string, got []int, shares []float64) {
	t.Helper()
	n, sum, free := 0, 0.0, -1.0
	for _, x := range got {
		n += x
	}
	for i, x := range got {
		want := shares[i] * float64(n)
		if want == 0 {
			if x > 0 {
				t.Errorf("%s: %d came up, which should not", name, i)
			}
			continue
		}
		sum += (float64(x) - want) * (float64(x) - want) / want
		free++
	}
	limit := free * math.Pow(1-2/(9*free)+3.09*math.Sqrt(2/(9*free)), 3)
	if sum > limit {
		t.Errorf("%s: chi-square is %.1f with %.0f degrees of freedom, at most %.1f: %v", name, sum, free, limit, got)
	}
}
