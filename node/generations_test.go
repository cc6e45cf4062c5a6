package node

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/node/message"
	"chatnt/node/ratchet"
)

// exchange has bob write in a session until this side is known to have his, and his to have this side's.
func exchange(t *testing.T, m *messenger, session *ratchet.Session, first uint64) {
	t.Helper()
	for n := range uint64(2) {
		m.arrived(sealIn(t, session, testText(first+n, "x")))
		answer(t, m, session)
	}
	if told := transcript(m); told != "bob: x\nbob: x\n" {
		t.Fatalf("the person was told %q", told)
	}
}

// A first message that was held back is taken in, and changes nothing else: messages go on in the session
// that both have, and nobody is warned.
func TestLateFirstMessage(t *testing.T) {
	m := friends(t)
	late := initiate(t, m, bob())
	session := initiate(t, m, bob())
	anew := testText(1, "anew")
	anew.Generation = 2
	m.arrived(sealIn(t, session, anew))
	answer(t, m, session)
	if _, err := m.send("bob", "waiting"); err != nil {
		t.Fatal(err)
	}
	var frames [][]byte
	before, _ := sealDue(t, m, bob()) // and where this person is found, as there was a session before
	for _, item := range before {
		frames = append(frames, item.frame)
	}
	transcript(m)

	m.arrived(sealIn(t, late, testText(1, "late")))
	expectTold(t, m, "bob: late")
	due, receipts := sealDue(t, m, bob())
	if len(due) != 2 || len(frames) != 2 {
		t.Fatalf("%d messages wait, and %d did before", len(due), len(frames))
	}
	for i, item := range due {
		if &item.frame[0] != &frames[i][0] {
			t.Error("what waits is sealed anew")
		}
	}
	if len(receipts) != 1 || readIn(t, late, receipts[0]).Sequence != 1 {
		t.Errorf("%d receipts go out, not one in the session of the text", len(receipts))
	}
	if c := m.conversation(bob().hashid()); c.current().session.ID() != session.ID() || len(c.talks) != 2 {
		t.Errorf("%d talks are kept", len(c.talks))
	}
}

// Whoever goes on writing in a session that was begun without knowing of one it has shared is
// an older copy, and is told so by a new session.
func TestCopyBeginsASession(t *testing.T) {
	m := friends(t)
	session, copied := initiate(t, m, bob()), initiate(t, m, bob())
	anew := testText(1, "x")
	anew.Generation = 7
	m.arrived(sealIn(t, session, anew))
	answer(t, m, session)
	transcript(m)

	m.arrived(sealIn(t, copied, testText(1, "from a copy")))
	answer(t, m, copied)
	expectTold(t, m, "bob: from a copy")
	m.arrived(sealIn(t, copied, testText(2, "and on")))
	expectTold(t, m, "bob: and on", olderState)
	due, receipts := sealDue(t, m, bob())
	if len(due) != 1 || len(receipts) != 1 {
		t.Fatalf("%d messages and %d receipts go out", len(due), len(receipts))
	}
	if first := readFirst(t, m, bob(), due[0].frame); first.Kind != message.Link || first.Generation != 8 {
		t.Errorf("%+v goes out", first)
	}
	if readIn(t, copied, receipts[0]).Sequence != 2 {
		t.Error("there is no receipt in the session of the text")
	}
}

// A session that both have used, and that the other side leaves for a new one, is worth a word. It
// goes at once, with what it holds.
func TestNewSessionEndsTheOld(t *testing.T) {
	m := friends(t)
	old := initiate(t, m, bob())
	exchange(t, m, old, 1)
	missing := sealIn(t, old, testText(3, "missing"))
	m.arrived(sealIn(t, old, testText(4, "early")))
	begin(t, m, bob(), testText(1, "anew"))
	expectTold(t, m, "bob: anew", renewedByBob)
	m.arrived(missing) // it comes again in the new one
	expectTold(t, m)
	if held, kept := early(t, m); held != 0 || kept != 0 {
		t.Errorf("%d early messages are held, %d stored", held, kept)
	}
	if kept := stored(t, m); kept[bucketTalks] != 1 {
		t.Errorf("%v are stored", kept)
	}
}

// A session that this side has begun ends those before it once it is answered.
func TestAnswerEndsTheOld(t *testing.T) {
	p := newPair(t, 1)
	p.alice.say(1)
	p.exchange(true)
	c := p.alice.conversation()
	old := c.Current
	p.alice.m.mu.Lock()
	if !p.alice.m.renew(c) {
		t.Fatal("no new session")
	}
	p.alice.m.mu.Unlock()
	p.alice.flush(true)
	if len(c.talks) != 2 || c.Current == old {
		t.Fatalf("%d talks are kept before the answer", len(c.talks))
	}
	p.exchange(true)
	p.exchange(true)
	if kept := stored(t, p.alice.m); len(c.talks) != 1 || kept[bucketTalks] != 1 || c.Generation != 2 {
		t.Errorf("%d talks are kept after the answer, %d stored", len(c.talks), kept[bucketTalks])
	}
	if other := p.bob.conversation(); other.Current != c.Current || len(other.talks) != 1 {
		t.Error("the other side does not go on in the new session alone")
	}
}

// Of two sessions that were begun without knowing of each other both sides take the same, whichever
// first message comes first.
func TestBothBegin(t *testing.T) {
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, seed)
			for i, s := range p.sides() {
				s.say(i)
				s.flush(true)
			}
			for len(p.wire.flying) > 0 {
				p.wire.deliver(p.random.IntN(len(p.wire.flying)), true)
			}
			p.settle()
			p.verify()
			a, b := p.alice.conversation(), p.bob.conversation()
			if a.Current != b.Current || a.Current == "" || p.alice.warned+p.bob.warned > 0 {
				t.Errorf("alice writes in %q, bob in %q; %d warnings", a.Current, b.Current, p.alice.warned+p.bob.warned)
			}
		})
	}
}

// What was left for another session goes when nothing has come in it for a week.
func TestUnusedTalksGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := friends(t)
		write(t, m)
		c := m.conversation(bob().hashid())
		for range 2 {
			beginLate(t, m, bob(), testText(2, "early"))
			time.Sleep(time.Hour)
		}
		for hour := range 10 * 24 {
			m.sweepAll()
			want := 3
			if hour > 7*24-2 {
				want = 2
			}
			if hour > 7*24-1 {
				want = 1
			}
			held, kept := early(t, m)
			if stored := stored(t, m)[bucketTalks]; len(c.talks) != want || stored != want || held != want-1 || kept != want-1 {
				t.Fatalf("hour %d: %d talks are kept, %d stored, %d and %d early messages", hour, len(c.talks), stored, held, kept)
			}
			time.Sleep(time.Hour)
		}
		if c.current() == nil {
			t.Error("the current talk is gone")
		}
	})
}

// What came of a text that its sender has given up goes: its parts, and what came early after it.
func TestHalfATextGoes(t *testing.T) {
	for _, ttl := range []time.Duration{0, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			m := friends(t)
			for _, msg := range []*message.Message{
				part(1, 1, 0, 3, strings.Repeat("x", message.PartSize)), part(3, 1, 2, 3, "end"), testText(4, "next"),
			} {
				msg.TTL, msg.At = ttl, time.Now()
				deliver(t, m, bob(), msg)
			}
			life := giveUpAfter
			if ttl != 0 {
				life = ttl
			}
			held := func() int {
				n := 0
				for _, m := range []*messenger{m, messengerOf(t, m.profile)} {
					for _, in := range m.conversation(bob().hashid()).talks {
						n += len(in.parts)
						for _, msg := range in.early {
							n += len(msg.Text)
						}
					}
				}
				return n
			}
			time.Sleep(life)
			m.sweepAll()
			if n := held(); n != 2*(message.PartSize+len("end")+len("next")) {
				t.Errorf("%d bytes are held after %v", n, life)
			}
			time.Sleep(time.Second)
			m.sweepAll()
			if n := held(); n != 0 {
				t.Errorf("%d bytes are held when %v are over", n, life)
			}
			next := testText(5, "and on")
			next.Base = 5
			deliver(t, m, bob(), next)
			expectTold(t, m, "bob: and on")
		})
	}
}

// The first message of a session is remembered also if it is an answer; nothing of it is stored if
// it is not taken in.
func TestFirstMessageIsAnAnswer(t *testing.T) {
	for until := range 12 {
		m := messengerOf(t, testProfile(t))
		if err := m.add(bob().hashid(), "bob", ""); err != nil {
			t.Fatal(err)
		}
		sealDue(t, m, bob())
		first := testText(1, "hi")
		first.Generation = 5
		hello := sealIn(t, initiate(t, m, bob()), first)
		s := &side{t: t, m: m, vault: m.profile.vault, until: until}
		m.now = func() time.Time { s.tick(); return time.Now() }
		m.ctx = probe{context.Background(), s}
		m.arrived(hello)
		s.until, m.profile.vault = 0, s.vault
		for range 2 {
			c := m.conversation(bob().hashid())
			if kept := stored(t, m); c.current() == nil || kept[bucketTalks] != len(c.talks) || kept[bucketHellos] != len(m.hellos) {
				t.Errorf("failing at %d: %d talks and %d first messages are kept, %v stored", until, len(c.talks), len(m.hellos), kept)
			}
			m.arrived(hello)
			if len(m.hellos) != 1 {
				t.Errorf("failing at %d: %d first messages are remembered", until, len(m.hellos))
			}
			m = messengerOf(t, m.profile)
		}
	}
}

// A session that goes for a new one is not stored again for a receipt that it owes.
func TestNoReceiptInASessionThatGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := friends(t)
		write(t, m)
		c := m.conversation(bob().hashid())
		for range maxTalks - 1 {
			beginLate(t, m, bob(), testText(1, "x"))
			time.Sleep(time.Second)
		}
		for _, in := range c.talks {
			in.receiptDue = true
		}
		time.Sleep(renewLast)
		m.mu.Lock()
		m.renew(c)
		m.mu.Unlock()
		if _, receipts := sealDue(t, m, bob()); len(receipts) != maxTalks-1 {
			t.Errorf("%d receipts go out", len(receipts))
		}
		if kept := stored(t, m)[bucketTalks]; len(c.talks) != maxTalks || kept != maxTalks {
			t.Errorf("%d talks are kept, %d stored", len(c.talks), kept)
		}
	})
}

// A clock that was years ahead keeps no session for years.
func TestUnusedTalksOfAFastClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := friends(t)
		begin(t, m, bob(), testText(1, "one"))
		m.now = func() time.Time { return time.Now().AddDate(9, 0, 0) }
		beginLate(t, m, bob(), testText(1, "late"))
		m.now = time.Now
		m.sweepAll()
		m = messengerOf(t, m.profile)
		time.Sleep(ratchet.SkippedLife + time.Hour)
		m.sweepAll()
		if kept := stored(t, m)[bucketTalks]; kept != 1 {
			t.Errorf("%d talks are stored", kept)
		}
	})
}
