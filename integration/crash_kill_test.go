package integration

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestKilledAtAnyInstant kills the real program again and again while two people
// talk: at a random instant after commands were written or the program was
// started, or right after it has told of something. What was said to be queued comes
// out at the other side once and in order, whatever was cut off.
//
// The wait before a kill is the experiment. Its length, and all else that is left
// to chance, comes from the seed that the log names.
func TestKilledAtAnyInstant(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	k := &killing{t: t, chance: rand.New(rand.NewPCG(seed, 0))}

	alice, bob := newContacts(t, newRelays(t, 5))
	quitAll(alice, bob)
	k.a, k.b = &speaker{party: alice}, &speaker{party: bob}
	k.a.to, k.b.to = k.b, k.a
	alice.runs, bob.runs = nil, nil // and with them how they got to know each other
	k.restart(k.a, k.b)
	began := time.Now()
	for want := count(20, 200); k.kills < want; {
		k.round()
	}
	t.Logf("%d kills in %.1f s: %d while it started, %d after a random wait, %d right after an event",
		k.kills, time.Since(began).Seconds(), k.starting, k.waited, k.told)

	// Now they are left in peace.
	for _, s := range []*speaker{k.a, k.b} {
		s.write(s.next(k, "the last text"))
	}
	for _, s := range []*speaker{k.a, k.b} {
		last := s.said[len(s.said)-1].lines
		line := last[len(last)-1]
		id := s.awaitFunc(0, "the last answer", func(e event) bool { return e["event"] == "done" && e["line"] == line })["id"]
		s.await(0, "status", has{"id": id, "state": "delivered"})
		s.to.await(0, "message", has{"id": id})
	}
	for _, s := range []*speaker{k.a, k.b} {
		if queued := s.do("/status")["queued"]; queued != 0.0 {
			t.Errorf("%s has %v messages in its outbox although all were delivered", s.name, queued)
		}
	}
	quitAll(alice, bob)
	k.a.check(t)
	k.b.check(t)
}

// killing is the experiment so far.
type killing struct {
	t      *testing.T
	chance *rand.Rand
	a, b   *speaker
	texts  int

	kills, starting, waited, told int
}

// speaker is one of the two, with the commands that were written in each run.
type speaker struct {
	*party
	to   *speaker
	said []speech // by run
}

// speech is what was written to one run of the program.
type speech struct{ lines []string }

// next makes the command that says the next text.
func (s *speaker) next(k *killing, what string) string {
	k.texts++
	line := fmt.Sprintf("/msg %s %s %d of %s", s.to.name, what, k.texts, s.name)
	if k.chance.IntN(10) == 0 {
		line += strings.Repeat(" and on", 700) // it takes three messages
	}
	now := &s.said[len(s.said)-1]
	now.lines = append(now.lines, line)
	return line
}

// round has both say something, kills one or both, and starts them again.
func (k *killing) round() {
	for _, s := range []*speaker{k.a, k.b} {
		for range k.chance.IntN(6) {
			s.write(s.next(k, "text"))
		}
	}
	victims := [][]*speaker{{k.a}, {k.b}, {k.a, k.b}}[k.chance.IntN(3)]
	n := len(victims)
	switch k.chance.IntN(8) {
	case 0, 1, 2:
		k.wait()
		k.waited += n
	case 3, 4, 5, 6:
		k.awaitOne(victims[k.chance.IntN(n)])
		k.told += n
	case 7:
		k.kill(victims...)
		for _, s := range victims {
			s.begin()
		}
		k.wait()
		k.waited += n
		k.starting += n
	}
	k.kill(victims...)
	k.restart(victims...)
}

func (k *killing) wait() { <-time.After(time.Duration(k.chance.Int64N(int64(300 * time.Millisecond)))) }

// awaitOne waits for an event that comes since something is said, so that the kill falls
// between what the program stores before it tells and what it stores after that.
func (k *killing) awaitOne(s *speaker) {
	mark, kind := len(s.all()), []string{"done", "sent", "delivered", "message"}[k.chance.IntN(4)]
	if kind == "message" {
		s.to.write(s.to.next(k, "a cause"))
	} else {
		s.write(s.next(k, "a cause"))
	}
	s.awaitFunc(mark, "its next event "+kind, func(e event) bool { return e["event"] == kind || e["state"] == kind })
}

// kill ends runs at one instant, as far as there is such a thing.
func (k *killing) kill(victims ...*speaker) {
	for _, s := range victims {
		_ = s.cmd.Process.Kill()
	}
	for _, s := range victims {
		s.kill()
		if s.errs.Len() > 0 {
			k.t.Errorf("%s said on standard error before it was killed:\n%s", s.name, &s.errs)
		}
		k.kills++
	}
}

func (k *killing) restart(victims ...*speaker) {
	for _, s := range victims {
		s.begin()
	}
	for _, s := range victims {
		s.ready()
	}
}

func (s *speaker) begin() {
	s.party.begin()
	s.said = append(s.said, speech{})
}
