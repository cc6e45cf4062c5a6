package path

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// The rules, written down once more and plainly.

// prefixes are those of a node's addresses, as text.
func prefixes(d *record.Descriptor) []string {
	var list []string
	for _, a := range d.Addrs {
		part := strings.Split(a.String(), "/")
		switch part[1] {
		case "ip4":
			octets := strings.Split(part[2], ".")
			list = append(list, octets[0]+"."+octets[1])
		case "ip6":
			list = append(list, fmt.Sprintf("%x", a[0].RawValue()[:4]))
		default:
			list = append(list, "name")
		}
	}
	return list
}

// mayMeet reports whether two nodes may be on one way.
func mayMeet(apart bool, a, b *record.Descriptor) bool {
	if a.Node == b.Node {
		return false
	}
	if apart {
		for _, p := range prefixes(a) {
			if slices.Contains(prefixes(b), p) {
				return false
			}
		}
	}
	return true
}

// isWay reports whether relays make a way to end.
func isWay(rules Rules, relays []*record.Descriptor, end *record.Descriptor) bool {
	nodes := append(slices.Clone(relays), end)
	for i, a := range nodes {
		for _, b := range nodes[:i] {
			if !mayMeet(rules.Apart, a, b) {
				return false
			}
		}
	}
	return len(relays) == rules.Hops && !slices.ContainsFunc(relays, func(d *record.Descriptor) bool { return d.ID() == rules.Self })
}

// anyWay reports whether there is a way to end at all.
func anyWay(rules Rules, chosen, relays []*record.Descriptor, end *record.Descriptor) bool {
	if len(chosen) == rules.Hops {
		return isWay(rules, chosen, end)
	}
	return slices.ContainsFunc(relays, func(d *record.Descriptor) bool {
		for _, other := range append(slices.Clone(chosen), end) {
			if !mayMeet(rules.Apart, d, other) {
				return false
			}
		}
		return d.ID() != rules.Self && anyWay(rules, append(slices.Clone(chosen), d), relays, end)
	})
}

// someNodes makes n nodes with up to four addresses each in a world of so many
// prefixes of each kind.
func someNodes(t *testing.T, r *rand.Rand, n, size, most int) []*record.Descriptor {
	nodes := make([]*record.Descriptor, n)
	for i := range nodes {
		var addrs []string
		for j := range 1 + r.IntN(most) {
			switch x := r.IntN(size); r.IntN(8) {
			case 0:
				addrs = append(addrs, fmt.Sprintf("/ip6/2001:%x::%d/tcp/%d", x+1, i+1, j+1))
			case 1:
				addrs = append(addrs, fmt.Sprintf("/dns4/n%d.example/tcp/%d", i, j+1))
			default:
				addrs = append(addrs, fmt.Sprintf("/ip4/30.%d.%d.1/tcp/%d", x, i, j+1))
			}
		}
		nodes[i] = node(t, i, addrs...)
	}
	return nodes
}

func keptIDs(list []Kept, which func(Kept) bool) []hashid.NodeID {
	var ids []hashid.NodeID
	for _, k := range list {
		if which(k) {
			ids = append(ids, k.ID)
		}
	}
	return ids
}

// TestRules holds many drawn ways against the rules, in worlds of all sizes where
// relays come and go, with ends that are relays or not.
func TestRules(t *testing.T) {
	const draws = 60
	shortages, prefixErrors, ways, keptWays := 0, 0, 0, 0
	for seed := range count(400, 8000) {
		r := rand.New(rand.NewPCG(uint64(seed), 2))
		rules := Rules{Self: self, Hops: 1 + r.IntN(3), Apart: r.IntN(3) > 0, Random: seeded(seed)}
		size := 1 + r.IntN(40)
		world := someNodes(t, r, 1+r.IntN(40), size, 1+r.IntN(4))
		if r.IntN(2) == 0 {
			rules.Self = world[0].ID()
		}
		ends := append(someNodes(t, r, 44, size, 2)[40:], world[:min(4, len(world))]...)
		ends = append(ends, node(t, 1000)) // has no address
		c := New(rules)
		now := start
		for range draws {
			now = now.Add(time.Duration(r.Int64N(int64(20 * day))))
			away := r.IntN(3)
			relays := slices.DeleteFunc(slices.Clone(world), func(*record.Descriptor) bool { return r.IntN(8) < away })
			r.Shuffle(len(relays), func(i, j int) { relays[i], relays[j] = relays[j], relays[i] })
			end := ends[r.IntN(len(ends))]
			usable := slices.DeleteFunc(slices.Clone(relays), func(d *record.Descriptor) bool { return d.ID() == rules.Self })
			w, err := patiently(c, now, relays, end)
			s := c.Summary(now, relays)
			if s.Relays != len(usable) {
				t.Fatalf("%d usable relays, it says %d", len(usable), s.Relays)
			}
			others := slices.DeleteFunc(slices.Clone(usable), func(d *record.Descriptor) bool { return d.ID() == end.ID() })
			if err != nil {
				var shortage *discovery.ShortageError
				var prefix *PrefixError
				switch short := len(others) < rules.Hops; {
				case errors.As(err, &shortage) && short && shortage.Have == len(others) && shortage.Need == rules.Hops:
					shortages++
				case errors.As(err, &prefix) && !short && rules.Apart && (len(usable) >= few || !anyWay(rules, nil, usable, end)):
					prefixErrors++
				case errors.Is(err, ErrNoGuard) && !short && len(c.keeping.guards) > guardsOnDuty && !c.relaxed(now):
				default:
					t.Fatalf("seed %d: %d relays, %d but for the end: %v", seed, len(usable), len(others), err)
				}
				continue
			}
			ways++
			back := slices.Clone(w.Back)
			slices.Reverse(back)
			for _, way := range [][]*record.Descriptor{w.Out, back} {
				if !isWay(rules, way, end) {
					t.Fatalf("seed %d: this is no way: %v", seed, way)
				}
				for _, d := range way {
					if !slices.Contains(relays, d) {
						t.Fatalf("seed %d: a relay that is not usable", seed)
					}
				}
			}
			if w.Out[0] != back[0] {
				t.Fatalf("seed %d: two guards", seed)
			}
			onDuty := keptIDs(s.Guards, func(k Kept) bool { return k.OnDuty })
			fit := slices.DeleteFunc(slices.Clone(onDuty), func(id hashid.NodeID) bool {
				i := slices.IndexFunc(usable, func(d *record.Descriptor) bool { return d.ID() == id })
				return !mayMeet(rules.Apart, usable[i], end)
			})
			switch guard := w.Out[0].ID(); {
			case c.relaxed(now):
				if len(fit) > 0 && !rules.Apart && !slices.Contains(fit, guard) {
					t.Fatalf("seed %d: a guard was kept and is not used", seed)
				}
				continue
			case !slices.ContainsFunc(s.Guards, func(k Kept) bool { return k.ID == guard && k.Usable }):
				t.Fatalf("seed %d: the first relay is no guard", seed)
			case len(fit) > 0 && !rules.Apart && !slices.Contains(fit, guard):
				t.Fatalf("seed %d: a guard that is not on duty, and others fit", seed)
			}
			keptWays++
			second := keptIDs(s.Second, func(k Kept) bool { return k.OnDuty })
			if rules.Hops > 1 && (!slices.Contains(second, w.Out[1].ID()) || !slices.Contains(second, back[1].ID())) {
				t.Fatalf("seed %d: the relay next to the guard is none of the four", seed)
			}
			if len(s.Guards) > maxGuards || len(s.Second) > maxSecond || len(second) > secondOnDuty || len(onDuty) > guardsOnDuty {
				t.Fatalf("seed %d: too many are kept: %+v", seed, s)
			}
		}
	}
	for what, n := range map[string]int{"shortages": shortages, "prefix errors": prefixErrors, "ways": ways, "ways with kept relays": keptWays} {
		if n < 1000 {
			t.Errorf("only %d %s: this has tested nothing", n, what)
		}
	}
	t.Logf("%d shortages, %d prefix errors, %d ways, %d with kept relays", shortages, prefixErrors, ways, keptWays)
}

// Where it is possible, the two ways have the guard in common and nothing else.
func TestOutAndBackShareTheGuardOnly(t *testing.T) {
	for _, n := range []int{8, 11, 12, 40} {
		for seed := range count(20, 200) {
			c := New(Rules{Self: self, Hops: 3, Apart: true, Random: seeded(seed)})
			relays, end := apartNodes(t, n), node(t, 1000, "/ip4/9.9.0.1/tcp/1")
			for range 50 {
				w, err := c.Draw(start, relays, end)
				if err != nil {
					t.Fatal(err)
				}
				rest := append(slices.Clone(w.Out), w.Back[:2]...)
				for i, a := range rest {
					for _, b := range rest[:i] {
						if !mayMeet(true, a, b) {
							t.Fatalf("%d relays, seed %d: %v and %v", n, seed, w.out, w.back)
						}
					}
				}
			}
		}
	}
}
