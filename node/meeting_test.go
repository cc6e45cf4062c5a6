package node

import (
	"testing"
	"testing/synctest"

	"chatnt/node/contact"
)

// Two strangers become contacts by one's request or by both, over a wire that loses every third
// frame, with restarts between; what they say meanwhile comes out once.
func TestPairMeets(t *testing.T) {
	for seed := range uint64(12) {
		synctest.Test(t, func(t *testing.T) {
			a, b := twoProfiles(t)
			p := strangersOf(t, seed, a, b)
			both := seed%2 > 0
			for _, s := range p.sides() {
				if s == p.alice || both {
					if err := s.m.add(s.peer.m.profile.Hashid(), s.peer.name, "it is me"); err != nil {
						t.Fatal(err)
					}
					p.texts++
					s.say(p.texts)
				}
			}
			for range 40 {
				for _, s := range p.sides() {
					s.m.mu.Lock()
					open := s.m.book.Requests()
					s.m.mu.Unlock()
					if len(open) > 0 {
						if err := s.m.accept(open[0].From.String(), s.peer.name); err != nil {
							t.Fatal(err)
						}
						p.texts++
						s.say(p.texts)
					}
					if len(s.m.book.Contacts()) > 0 {
						s.flush(false)
					}
					if p.chance(100) {
						s.restart()
					}
				}
				for len(p.wire.flying) > 0 {
					if p.random.IntN(3) == 0 {
						p.wire.flying = p.wire.flying[1:]
					} else {
						p.wire.deliver(0, true)
					}
				}
				p.sleep(repeatAsk / 4)
			}
			p.settle()
			p.verify()
			for _, s := range p.sides() {
				if who, err := s.m.book.Named(s.peer.name); err != nil || who.State != contact.Accepted || len(s.peer.said) == 0 {
					t.Errorf("seed %d: %s has %v: %v", seed, s.name, who, err)
				}
			}
		})
	}
}
