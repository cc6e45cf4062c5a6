package node

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/node/contact"
	"chatnt/node/message"
)

// backUp makes a backup of a side as it is now.
func (s *side) backUp() (raw []byte) {
	s.copy() // for what it must know then
	return packed(s.t, s.m.profile)
}

// restore goes on with a backup, on another machine.
func (s *side) restore(raw []byte) {
	s.copied.vault = takenBack(s.t, raw).vault
	s.rollBack()
}

// checkOpensNothing hands a restored side all that its peer ever sent it.
func (s *side) checkOpensNothing() {
	s.t.Helper()
	before := holds(s.t, s.m.profile)
	for _, p := range s.wire.records {
		if p.from == s.peer {
			s.m.arrived(p.frame)
		}
	}
	if after := holds(s.t, s.m.profile); len(after) != len(before) {
		s.t.Errorf("%s has opened a frame of before the backup: it has %d entries, and had %d", s.name, len(after), len(before))
	}
	s.m.feed.mu.Lock()
	defer s.m.feed.mu.Unlock()
	for _, e := range s.m.feed.events {
		if e.key == "" {
			s.t.Errorf("%s is told of %T", s.name, e.Event)
		}
	}
}

// A profile is backed up while texts are under way, and restored much later: none of the old frames
// opens, and what either side still holds comes out once, in order.
func TestRestoredPair(t *testing.T) {
	for seed := range seeds(20, 400) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, seed)
				w := weather{replay: 30, restart: 10}
				if seed%2 > 0 {
					w = weather{lose: 150, replay: 30, restart: 10, days: 3, late: true}
				}
				for range 150 {
					p.step(w)
				}
				raw := p.alice.backUp()
				for range p.random.IntN(300) {
					p.step(w)
				}
				if seed%4 > 1 { // with what is under way the machine is gone
					p.wire.flying = nil
				}
				p.alice.restore(raw)
				p.alice.checkOpensNothing()
				for range p.random.IntN(100) {
					p.step(w)
				}
				p.settle()
				p.heal()
				p.verify()
				if t.Failed() {
					t.Log(p)
				}
			})
		})
	}
}

// However many sessions the two had after the backup, and however often it is restored, the other side goes
// on in the restored profile's at once, is told so, and nobody else is.
func TestRestoredSessionOutranks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 1)
		talk := func() {
			for _, s := range p.sides() {
				p.texts++
				s.say(p.texts)
				p.exchange(true)
			}
			p.exchange(true)
		}
		talk()
		var raw []byte
		for n := range 3 {
			if n == 0 {
				raw = p.alice.backUp()
			} else {
				p.alice.copy()
			}
			for range 2 * n {
				p.sleep(renewLast)
				p.bob.m.mu.Lock()
				if !p.bob.m.renew(p.bob.conversation0()) {
					t.Fatal("no new session")
				}
				p.bob.m.mu.Unlock()
				p.exchange(true)
				talk()
			}
			p.sleep(time.Hour)
			for _, s := range p.sides() {
				s.readAll()
			}
			p.bob.warned, p.alice.warned = 0, 0
			p.alice.restore(raw)
			items := p.alice.conversation().outbox
			if len(items) != 1 || items[0].Kind != message.Link {
				t.Fatalf("%d messages wait", len(items))
			}
			p.exchange(true)
			p.exchange(true)
			for _, s := range p.sides() {
				s.readAll()
			}
			a, b := p.alice.conversation(), p.bob.conversation()
			if a.Current == "" || a.Current != b.Current || a.Generation != b.Generation || len(a.outbox) != 0 {
				t.Errorf("restore %d: alice goes on in %q of %d, bob in %q of %d, %d messages wait", n, a.Current, a.Generation, b.Current, b.Generation, len(a.outbox))
			}
			if p.bob.warned != 1 || p.alice.warned != 0 {
				t.Errorf("restore %d: bob is warned %d times, alice %d", n, p.bob.warned, p.alice.warned)
			}
		}
	})
}

// conversation0 is conversation for who has the lock.
func (s *side) conversation0() *conversation { return s.m.conversation(s.peer.m.profile.Hashid()) }

// A text that had come out when the backup was made, and was never confirmed, does not come out again; nor does one
// that the backup has as waiting, and that has come out at the other side since.
func TestRestoredTextsComeOutOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 1)
		p.alice.say(0)
		p.exchange(true)
		p.exchange(true)
		p.alice.say(1)
		p.bob.say(2)
		p.bob.flush(true)
		p.wire.deliver(0, false)
		p.alice.readAll()
		if len(p.alice.log) != 1 {
			t.Fatalf("alice was shown %v", p.alice.log)
		}
		raw := p.alice.backUp()
		p.alice.flush(true)
		p.wire.deliver(0, true)
		p.bob.readAll()
		if len(p.bob.log) != 2 {
			t.Fatalf("bob was shown %v", p.bob.log)
		}
		p.wire.flying = nil // receipts never come
		p.alice.restore(raw)
		p.texts = 3
		p.settle()
		p.heal()
		p.verify() // which were shown twice, too
		if n := len(p.alice.log); n != 4 {
			t.Errorf("alice was shown %v", p.alice.log)
		}
	})
}

// Requests that were on their way when the backup was made come to their end: one's own that has been accepted since, and
// a stranger's that is accepted then.
func TestRestoredRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := twoProfiles(t)
		p := strangersOf(t, 1, a, b)
		alice, bob := p.alice, p.bob
		if err := alice.m.add(bob.m.profile.Hashid(), "bob", "it is me"); err != nil {
			t.Fatal(err)
		}
		p.exchange(true)
		asks, asked := packed(t, alice.m.profile), packed(t, bob.m.profile)

		// Bob's machine is gone before he answers; the restored one does.
		bob.vault = takenBack(t, asked).vault
		bob.restart()
		if err := bob.m.accept(alice.m.profile.Hashid().String(), "alice"); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			p.exchange(true)
			p.sleep(repeatAsk)
		}
		state := func(s *side) contact.State {
			who, _ := s.m.book.Contact(s.peer.m.profile.Hashid())
			return who.State
		}
		if state(alice) != contact.Accepted || state(bob) != contact.Accepted {
			t.Fatalf("alice has bob as %q, he her as %q", state(alice), state(bob))
		}

		// Alice's has not heard of it.
		alice.vault = takenBack(t, asks).vault
		alice.restart()
		if state(alice) != contact.Requested {
			t.Fatalf("alice has bob as %q", state(alice))
		}
		for range 3 {
			p.exchange(true)
			p.sleep(repeatAsk)
		}
		if state(alice) != contact.Accepted || len(alice.conversation().outbox)+len(bob.conversation().outbox) != 0 {
			t.Errorf("alice has bob as %q, %d and %d messages wait", state(alice), len(alice.conversation().outbox), len(bob.conversation().outbox))
		}
	})
}

// Who repeats what was confirmed is not reached where its key record says: it is looked up anew, be there
// anything but receipts to send or not.
func TestRepeatsMakeTheRecordSuspect(t *testing.T) {
	m := friends(t)
	c := m.conversation(bob().hashid())
	session := initiate(t, m, bob())
	first := sealIn(t, session, testText(1, "one"))
	m.arrived(first)
	answer(t, m, session)
	if suspected(m, c) {
		t.Error("the first message of a session makes the record suspect")
	}
	m.arrived(first) // it may come from another node now
	if !suspected(m, c) || suspected(m, c) {
		t.Error("a first message that is repeated does not make the record suspect, once")
	}
	second := sealIn(t, session, testText(2, "two"))
	for range 1 + refreshAfter {
		if suspected(m, c) {
			t.Error("the record is suspect too soon")
		}
		m.arrived(second)
	}
	if !suspected(m, c) {
		t.Error("repeats do not make the record suspect")
	}
	early := sealIn(t, session, testText(9, "early"))
	for range 2 * refreshAfter {
		m.arrived(early) // which was not confirmed
	}
	if suspected(m, c) {
		t.Error("what waits for its turn makes the record suspect")
	}
}

func suspected(m *messenger, c *conversation) bool {
	_, suspect := m.aim(c)
	return suspect
}
