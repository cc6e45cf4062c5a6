package path

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

func TestDbg(t *testing.T) {
	for _, n := range []int{10, 20, 40} {
		rested := 0
		for seed := range 40 {
			s := newStandIn(t, seed, 3, n, n/5, 3, n == 10)
			victim := s.relays[slices.IndexFunc(s.relays, func(d *record.Descriptor) bool { return !s.bad[d.ID()] })].ID()
			f := func(w *Way) bool {
				ok := true
				w.links(func(from, to hashid.NodeID) {
					ok = ok && (from != victim || !s.bad[to]) && (to != victim || !s.bad[from])
				})
				return ok
			}
			done := false
			for range 240 {
				s.send(time.Second, f)
				if good, _, _ := s.rests(); good > 0 && !done {
					done = true
					rested++
					h := s.c.blame.hear(s.now, n)
					for _, x := range h.suspects {
						if x.kind == relayKind && !s.bad[x.from] && s.rested[x.cause] > 0 {
							nb := 0
							for _, k := range s.c.keeping.second {
								if s.bad[k.id] {
									nb++
								}
							}
							ng := 0
							for _, k := range s.c.keeping.guards {
								if s.bad[k.id] {
									ng++
								}
							}
							fmt.Printf("n %d seed %d t %v victim %v guard %v second %v, bad seconds %d guards %d, ev %.1f chance %.2f good %.1f %+v\n", n, seed, s.now.Sub(start), x.from == victim, holds(s.c.keeping.guards, x.from), holds(s.c.keeping.second, x.from), nb, ng, h.evidence(x, time.Time{}), x.chance, x.good, s.c.blame.look(s.now, h, x))
						}
					}
				}
			}
		}
		fmt.Println(n, rested)
	}
}
