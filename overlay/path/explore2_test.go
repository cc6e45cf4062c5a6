package path

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

type world2 struct {
	name string
	n    int
	ends int
	rel  bool // ends are relays
	gap  time.Duration
	long int
	fate func(s *sim, i int, ids []hashid.NodeID) func(w *Way, r *rand.Rand) bool
}

func pairOn(w *Way, a, b hashid.NodeID) bool {
	seq := append(append(append([]hashid.NodeID{self}, w.out...), w.end), append(slices.Clone(w.back), self)...)
	for i := 1; i < len(seq); i++ {
		if seq[i-1] == a && seq[i] == b {
			return true
		}
	}
	return false
}

func TestExplore2(t *testing.T) {
	ambient := func(p float64) func(s *sim, i int, ids []hashid.NodeID) func(w *Way, r *rand.Rand) bool {
		return func(s *sim, i int, ids []hashid.NodeID) func(w *Way, r *rand.Rand) bool {
			return func(w *Way, r *rand.Rand) bool { return r.Float64() >= p }
		}
	}
	away := func(period, length time.Duration) func(s *sim, i int, ids []hashid.NodeID) func(w *Way, r *rand.Rand) bool {
		return func(s *sim, i int, ids []hashid.NodeID) func(w *Way, r *rand.Rand) bool {
			return func(w *Way, r *rand.Rand) bool {
				at := s.now.Sub(start) % period
				return at >= length
			}
		}
	}
	frame := func(back bool) func(s *sim, i int, ids []hashid.NodeID) func(w *Way, r *rand.Rand) bool {
		return func(s *sim, i int, ids []hashid.NodeID) func(w *Way, r *rand.Rand) bool {
			h, d := ids[1], ids[2]
			return func(w *Way, r *rand.Rand) bool { return !pairOn(w, h, d) && (!back || !pairOn(w, d, h)) }
		}
	}
	kases := []world2{}
	for _, n := range []int{10, 20, 40} {
		for _, p := range []float64{.02, .05, .1, .3} {
			kases = append(kases, world2{fmt.Sprint("ambient ", p), n, 3, n < 20, 300 * time.Millisecond, 1500, ambient(p)})
		}
		for _, l := range []time.Duration{time.Second, 3 * time.Second, 10 * time.Second, 25 * time.Second, 40 * time.Second, 70 * time.Second, 100 * time.Second} {
			kases = append(kases, world2{fmt.Sprint("away ", l, " of 2m"), n, 3, n < 20, 300 * time.Millisecond, 1500, away(2*time.Minute, l)})
		}
		kases = append(kases, world2{"framed one way", n, 3, n < 20, 300 * time.Millisecond, 2000, frame(false)})
		kases = append(kases, world2{"framed both ways", n, 3, n < 20, 300 * time.Millisecond, 2000, frame(true)})
		kases = append(kases, world2{"framed both ways, one end", n, 1, n < 20, 300 * time.Millisecond, 2000, frame(true)})
		kases = append(kases, world2{"one end of three flips each 20 s", n, 3, n < 20, 300 * time.Millisecond, 1500, func(s *sim, i int, ids []hashid.NodeID) func(w *Way, r *rand.Rand) bool {
			return func(w *Way, r *rand.Rand) bool {
				return w.end != ids[0] || int(s.now.Sub(start)/(20*time.Second))%2 == 0
			}
		}})
		kases = append(kases, world2{"one end of three flips each 4 s", n, 3, n < 20, 300 * time.Millisecond, 1500, func(s *sim, i int, ids []hashid.NodeID) func(w *Way, r *rand.Rand) bool {
			return func(w *Way, r *rand.Rand) bool {
				return w.end != ids[0] || int(s.now.Sub(start)/(4*time.Second))%2 == 0
			}
		}})
		kases = append(kases, world2{"one end of three drops half", n, 3, n < 20, 300 * time.Millisecond, 1500, func(s *sim, i int, ids []hashid.NodeID) func(w *Way, r *rand.Rand) bool {
			return func(w *Way, r *rand.Rand) bool { return w.end != ids[0] || r.Float64() < .5 }
		}})
		kases = append(kases, world2{"one end of three goes for good", n, 3, n < 20, 300 * time.Millisecond, 1500, func(s *sim, i int, ids []hashid.NodeID) func(w *Way, r *rand.Rand) bool {
			return func(w *Way, r *rand.Rand) bool { return w.end != ids[0] || i < 2000 }
		}})
		kases = append(kases, world2{"sparse, ambient .1", n, 3, n < 20, 20 * time.Second, 2000, ambient(.1)})
	}
	for _, k := range kases {
		rests, links, framed, seedsBad := 0, 0, 0, 0
		seeds := 4
		hours := 0.0
		for seed := range seeds {
			relays := apartNodes(t, k.n)
			s := newSim(seed, Rules{Hops: 3}, relays)
			var ends []*record.Descriptor
			for e := range k.ends {
				if k.rel {
					ends = append(ends, relays[e])
				} else {
					ends = append(ends, node(t, 1000+e, "/ip4/99.1.0.1/tcp/1"))
				}
			}
			var ids []hashid.NodeID
			for _, r := range relays {
				ids = append(ids, r.ID())
			}
			if !k.rel {
				ids[0] = ends[0].ID()
			}
			had := map[cause]time.Time{}
			for i := range k.long {
				w := k.fate(s, i, ids)
				s.send(ends[i%len(ends)], w)
				s.pass(k.gap)
				for c, r := range s.c.blame.rests {
					if !had[c].Equal(r.until) {
						had[c] = r.until
						if c.kind == relayKind {
							rests++
							if c.from == ids[1] {
								framed++
							}
						} else {
							links++
						}
					}
				}
			}
			hours += s.now.Sub(start).Hours()
			_ = seedsBad
		}
		fmt.Printf("%d %-34s rests/h %.2f links/h %.2f; of ids[1]: %d\n", k.n, k.name, float64(rests)/hours, float64(links)/hours, framed)
	}
}
