package node

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// wire carries frames between two sides, and loses, doubles, delays and records them.
type wire struct {
	random  *rand.Rand
	flying  []packet
	records []packet
}

type packet struct {
	from  *side
	frame []byte
	taken func() // tells the sender's messenger that the recipient's node has it
	run   *messenger
}

func (w *wire) send(from *side, frame []byte, taken func()) {
	p := packet{from, frame, taken, from.m}
	w.flying = append(w.flying, p)
	w.records = append(w.records, p)
}

// deliver brings the ith frame that is under way, and perhaps its sender's node the answer.
func (w *wire) deliver(i int, answer bool) {
	p := w.flying[i]
	w.flying = slices.Delete(w.flying, i, i+1)
	p.from.peer.m.arrived(p.frame)
	if answer && p.run == p.from.m {
		p.taken()
	}
}

// purge loses all that somebody has sent and that has not arrived, for good.
func (w *wire) purge(from *side) {
	of := func(p packet) bool { return p.from == from }
	for _, p := range w.flying {
		if of(p) {
			w.records = slices.DeleteFunc(w.records, func(r packet) bool { return &r.frame[0] == &p.frame[0] })
		}
	}
	w.flying = slices.DeleteFunc(w.flying, of)
}

// weather is what may happen to a pair; out of a thousand steps.
type weather struct {
	lose, replay, restart, fail, copy, rollBack, days int
	late                                              bool // frames and readers take their time
}

type pair struct {
	t          *testing.T
	random     *rand.Rand
	wire       wire
	alice, bob *side
	texts      int
	slept      time.Duration
}

// newPair makes two contacts.
func newPair(t *testing.T, seed uint64) *pair {
	a, b := twoProfiles(t)
	return pairOf(t, seed, a, b)
}

func twoProfiles(t *testing.T) (alice, bob *Profile) {
	t.Helper()
	net := testNetwork(t)
	alice, errA := Ephemeral(net, nil)
	bob, errB := Ephemeral(net, nil)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	return alice, bob
}

// pairOf makes two contacts of profiles of one network.
func pairOf(t *testing.T, seed uint64, alice, bob *Profile) *pair {
	p := strangersOf(t, seed, alice, bob)
	for _, s := range p.sides() {
		if err := s.m.profile.Introduce(s.peer.m.profile.Hashid(), s.peer.name); err != nil {
			t.Fatal(err)
		}
		s.start()
	}
	return p
}

// strangersOf makes two who do not know each other yet.
func strangersOf(t *testing.T, seed uint64, alice, bob *Profile) *pair {
	random := rand.New(rand.NewPCG(seed, 4))
	p := &pair{t: t, random: random, wire: wire{random: random}}
	p.alice, p.bob = newSide(t, random, "alice", alice), newSide(t, random, "bob", bob)
	p.alice.peer, p.bob.peer = p.bob, p.alice
	p.alice.wire, p.bob.wire = &p.wire, &p.wire
	return p
}

func (p *pair) sides() []*side { return []*side{p.alice, p.bob} }

func (p *pair) sleep(d time.Duration) {
	p.slept += d
	time.Sleep(d)
}

// step is one thing that happens.
func (p *pair) step(w weather) {
	s := p.sides()[p.random.IntN(2)]
	failing := p.chance(w.fail)
	if failing {
		s.until = 1 + p.random.IntN(6)
	}
	switch {
	case p.chance(w.lose) && len(p.wire.flying) > 0:
		i := p.random.IntN(len(p.wire.flying))
		p.wire.flying = slices.Delete(p.wire.flying, i, i+1)
	case p.chance(w.replay) && len(p.wire.records) > 0:
		r := p.wire.records[p.random.IntN(len(p.wire.records))]
		r.from.peer.m.arrived(r.frame)
	case p.chance(w.restart):
		s.restart()
	case p.chance(w.copy):
		s.copy()
	case p.chance(w.rollBack) && s.copied != nil:
		p.rollBack(s)
	case p.chance(w.days) && p.slept < 9*24*time.Hour:
		p.sleep(time.Duration(p.random.Int64N(int64(36 * time.Hour))))
		for _, s := range p.sides() {
			if err := s.m.profile.prekeys.rotate(s.vault, time.Now()); err != nil {
				p.t.Fatal(err)
			}
			s.m.sweepAll()
		}
	default:
		p.ordinary(s, w.late)
	}
	if !w.late {
		p.exchange(false)
	}
	if failing {
		p.recover(s)
	}
	p.check()
}

func (p *pair) chance(ofThousand int) bool { return p.random.IntN(1000) < ofThousand }

// ordinary is what happens on a good day.
func (p *pair) ordinary(s *side, late bool) {
	switch p.random.IntN(10) {
	case 0, 1:
		if len(s.conversation().outbox) < 50 {
			p.texts++
			s.say(p.texts)
		}
	case 2, 3, 4:
		s.flush(false)
	case 5:
		p.sleep(time.Duration(p.random.Int64N(int64(5 * time.Second))))
	case 6:
		s.read(p.random.IntN(5))
	default:
		for range 3 {
			if n := len(p.wire.flying); n > 0 {
				i := 0
				if late {
					i = p.random.IntN(n)
				}
				p.wire.deliver(i, !late || p.random.IntN(4) > 0)
			}
		}
	}
}

// recover has a side whose vault failed go on with it, at once or after a restart.
func (p *pair) recover(s *side) {
	failed := s.m.profile.vault != s.vault
	s.until = 0
	s.m.profile.vault = s.vault
	if failed && p.random.IntN(2) == 0 {
		s.restart()
	}
}

// rollBack puts an earlier copy in a side's place. If nothing that it has sent is still
// under way, its peer keeps what it holds until that has come out again, in order unless it
// has been copied back itself: then it may hold what was confirmed long ago.
func (p *pair) rollBack(s *side) {
	s.rollBack()
	if p.random.IntN(2) == 0 {
		p.wire.purge(s)
		if s.peer.rollbacks > 0 {
			return
		}
		for _, item := range s.peer.conversation().outbox {
			delete(s.orphans, s.peer.ids[item.ID.String()])
		}
	}
}

// check looks at what is kept.
func (p *pair) check() {
	for _, s := range p.sides() {
		c, kept := s.conversation(), stored(p.t, s.m)
		if len(c.talks) > maxTalks || kept[bucketTalks] > maxTalks {
			p.t.Errorf("%s keeps %d talks, %d stored", s.name, len(c.talks), kept[bucketTalks])
		}
		if kept[bucketOutbox] != len(c.outbox) || kept[bucketFrames] > len(c.outbox) {
			p.t.Errorf("%s has %d messages waiting, %d and %d frames stored", s.name, len(c.outbox), kept[bucketOutbox], kept[bucketFrames])
		}
		early := 0
		for _, t := range c.talks {
			early += len(t.early) + len(t.spent)
			if len(t.early) > window {
				p.t.Errorf("%s holds %d early messages of a talk", s.name, len(t.early))
			}
		}
		if early != kept[bucketEarly] {
			p.t.Errorf("%s holds %d early messages, %d stored", s.name, early, kept[bucketEarly])
		}
	}
}

// exchange has all that is due and under way arrive in order.
func (p *pair) exchange(fresh bool) {
	for _, s := range p.sides() {
		s.flush(fresh)
	}
	for len(p.wire.flying) > 0 {
		p.wire.deliver(0, true)
	}
}

// settle lets all come to rest, once nothing is lost any more.
func (p *pair) settle() {
	const most = 300
	for round := range most {
		waits := len(p.wire.flying)
		for _, s := range p.sides() {
			waits += len(s.conversation().outbox)
		}
		p.exchange(true)
		if waits == 0 {
			break
		}
		if round == most-1 {
			p.t.Errorf("after %d rounds alice has %d messages left and bob %d", most, len(p.alice.conversation().outbox), len(p.bob.conversation().outbox))
		}
		p.sleep(repeatLast << min(round/10, 8)) // a new session has to wait longer than a repeat
		p.check()
	}
	for _, s := range p.sides() {
		s.readAll()
	}
}

// heal has both write once more, and checks that they do it in one session whose keys move on.
func (p *pair) heal() {
	const rootAt = 66 // in a stored session, see package ratchet
	var roots [][]byte
	for range 3 {
		for _, s := range p.sides() {
			p.texts++
			s.say(p.texts)
		}
		p.settle()
		a, b := p.alice.conversation().current(), p.bob.conversation().current()
		if a == nil || b == nil || a.id() != b.id() {
			p.t.Error("the two do not write in one session")
			return
		}
		roots = append(roots, a.session.Append(nil)[rootAt:rootAt+32])
	}
	if bytes.Equal(roots[0], roots[1]) || bytes.Equal(roots[1], roots[2]) {
		p.t.Error("the root key stays the same while both write")
	}
}

// verify compares what came out with what was said.
func (p *pair) verify() {
	for _, s := range p.sides() {
		for _, n := range s.peer.said {
			if !slices.Contains(s.log, n) && !s.orphans[n] {
				p.t.Errorf("%s was not shown text %d", s.name, n)
			}
			if !s.shown[n] {
				p.t.Errorf("%s was never shown text %d", s.name, n)
			}
			if !s.peer.delivered[n] && s.peer.rollbacks+s.peer.restarts == 0 {
				p.t.Errorf("%s was not told that text %d is there", s.peer.name, n)
			}
		}
		for n := range s.peer.delivered {
			if !s.shown[n] {
				p.t.Errorf("%s was told that text %d is there, and %s was never shown it", s.peer.name, n, s.name)
			}
		}
	}
}

func (p *pair) String() string {
	return fmt.Sprintf("%d texts, %d frames, alice %d restarts %d rollbacks %d sessions %d warnings, bob %d %d %d %d", p.texts, len(p.wire.records),
		p.alice.restarts, p.alice.rollbacks, p.alice.begun, p.alice.warned, p.bob.restarts, p.bob.rollbacks, p.bob.begun, p.bob.warned)
}

// seeds is how many of the cases of a test are tried: few, or many if there is time.
func seeds(few, many uint64) uint64 {
	if os.Getenv("CHATNT_LONG") == "1" {
		return many
	}
	return few
}

// Two people write to each other over a wire that loses, doubles, delays and repeats, and
// with vaults that fail, are killed and copied back. What they said comes out once, in order.
func TestPair(t *testing.T) {
	for seed := range seeds(20, 500) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, seed)
				w := weather{replay: 50, restart: 10}
				if seed%4 > 0 {
					w = weather{lose: 150, replay: 30, restart: 10, days: 3, late: true}
				}
				if seed%4 > 1 {
					w.fail = 50
				}
				if seed%4 > 2 {
					w.copy, w.rollBack = 20, 10
				}
				for range 600 {
					p.step(w)
				}
				p.settle()
				p.heal()
				p.verify()
				if w.lose == 0 && p.alice.warned+p.bob.warned > 0 {
					t.Errorf("%d warnings where nothing was lost", p.alice.warned+p.bob.warned)
				}
				if t.Failed() {
					t.Log(p)
				}
			})
		})
	}
}
