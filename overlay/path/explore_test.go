package path

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"chatnt/discovery/record"
)

func TestExplore(t *testing.T) {
	type kase struct {
		name       string
		n, bad     int
		hops       int
		ends       int
		endsAreRel bool
		drop       float64
		backOnly   bool
		ambient    float64
	}
	for _, k := range []kase{
		{"1 of 10", 10, 1, 3, 1, true, 1, false, 0},
		{"1 of 10 ambient 2%", 10, 1, 3, 1, true, 1, false, 0.02},
		{"half 1 of 10", 10, 1, 3, 1, true, .5, false, 0},
		{"back 1 of 10", 10, 1, 3, 1, true, 1, true, 0},
		{"2 of 10", 10, 2, 3, 1, true, 1, false, 0},
		{"1 of 40, 1 end", 40, 1, 3, 1, false, 1, false, 0},
		{"1 of 40, 3 ends", 40, 1, 3, 3, false, 1, false, 0},
		{"half 1 of 40, 3 ends", 40, 1, 3, 3, false, .5, false, 0},
		{"3 of 16", 16, 3, 3, 3, true, 1, false, 0},
		{"1 of 10 2 hops", 10, 1, 2, 1, true, 1, false, 0},
		{"1 of 10 1 hop", 10, 1, 1, 1, true, 1, false, 0},
		{"1 of 20 1 hop, 3 ends", 20, 1, 1, 3, true, 1, false, 0},
	} {
		seeds := 40
		var outAfter []float64
		var losses []int
		falseRests, falseLinks, never := 0, 0, 0
		lateLoss, lateSent := 0, 0
		for seed := range seeds {
			relays := apartNodes(t, k.n)
			s := newSim(seed, Rules{Hops: k.hops}, relays)
			bad := map[int]bool{}
			perm := s.r.Perm(k.n)
			for _, i := range perm[:k.bad] {
				bad[i] = true
			}
			var ends []*record.Descriptor
			for e := range k.ends {
				if k.endsAreRel {
					ends = append(ends, relays[perm[k.bad+e]])
				} else {
					ends = append(ends, node(t, 1000+e, "/ip4/99.1.0.1/tcp/1"))
				}
			}
			v := func(w *Way, r *rand.Rand) bool {
				ok := r.Float64() >= k.ambient
				for i := range bad {
					id := relays[i].ID()
					if slices.Contains(w.out, id) && !k.backOnly && r.Float64() < k.drop {
						ok = false
					}
					if slices.Contains(w.back, id) && r.Float64() < k.drop {
						ok = false
					}
				}
				return ok
			}
			lastUse, lossesOf := 0.0, 0
			for i := range 400 {
				w, ok := s.send(ends[i%len(ends)], v)
				s.pass(300 * time.Millisecond)
				uses := false
				for i := range bad {
					uses = uses || w.has(relays[i].ID())
				}
				if uses && !ok && i < 300 {
					lastUse = float64(i) * .3
					lossesOf++
				}
				if i >= 200 {
					lateSent++
					if !ok {
						lateLoss++
					}
				}
			}
			outAfter = append(outAfter, lastUse)
			losses = append(losses, lossesOf)
			for c, r := range s.c.blame.rests {
				switch c.kind {
				case relayKind:
					isBad := false
					for i := range bad {
						isBad = isBad || relays[i].ID() == c.from
					}
					if !isBad {
						falseRests++
					}
				case linkKind:
					isBad := false
					for i := range bad {
						isBad = isBad || relays[i].ID() == c.from || relays[i].ID() == c.to
					}
					if !isBad {
						falseLinks++
					}
				}
				_ = r
			}
			if lastUse > 60 {
				never++
			}
		}
		slices.Sort(outAfter)
		slices.Sort(losses)
		fmt.Printf("%-24s last loss s: median %.1f p90 %.1f max %.1f; losses median %d p90 %d max %d; over 60 s: %d; false rests %d links %d; late loss %.3f\n", k.name,
			outAfter[seeds/2], outAfter[seeds*9/10], outAfter[seeds-1], losses[seeds/2], losses[seeds*9/10], losses[seeds-1], never, falseRests, falseLinks, float64(lateLoss)/float64(lateSent))
	}
}
