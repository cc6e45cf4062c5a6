package node

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/node/message"
)

// Of what cannot be stored no frame comes into being, and the session is as it was: when it can
// be stored again, no number is missing and none was used twice.
func TestNoFrameBeforeItsStateIsStored(t *testing.T) {
	m := friends(t)
	session := initiate(t, m, bob())
	m.arrived(sealIn(t, session, testText(1, "one")))
	if _, err := m.send("bob", "answer"); err != nil {
		t.Fatal(err)
	}
	c := m.conversation(bob().hashid())
	state := func() []byte { return c.current().session.Append(nil) }
	before, good := state(), m.profile.vault
	due, receipts, _, _ := m.takeDue(c)
	m.profile.vault = closedVault()
	for range 3 {
		m.mu.Lock()
		frames, err := m.sealAll(c, recordOf(bob()), due, receipts)
		m.mu.Unlock()
		if err == nil || frames != nil || due[0].frame != nil || due[0].sequence != 0 || !bytes.Equal(state(), before) {
			t.Fatalf("%d frames came into being: %v", len(frames), err)
		}
	}
	m.hold(c, due, receipts, "the disk is full")
	m.arrived(sealIn(t, session, testText(2, "two"))) // is not taken in, nor remembered as such
	if !bytes.Equal(state(), before) {
		t.Error("the session has moved on with what could not be stored")
	}
	m.profile.vault = good
	due, frames := sealDue(t, m, bob())
	if msg := readIn(t, session, due[0].frame); msg.Sequence != 1 || string(msg.Text) != "answer" {
		t.Errorf("%+v goes out", msg)
	}
	if r := readIn(t, session, frames[0]); r.Kind != message.Receipt || r.Sequence != 1 {
		t.Errorf("the receipt is %+v", r)
	}
}

// A receipt that cannot be stored as having come is asked for again.
func TestReceiptThatCannotBeStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := friends(t)
		session := initiate(t, m, bob())
		m.arrived(sealIn(t, session, testText(1, "one")))
		if _, err := m.send("bob", "answer"); err != nil {
			t.Fatal(err)
		}
		sealDue(t, m, bob())
		transcript(m)
		good := m.profile.vault
		m.profile.vault = closedVault()
		m.arrived(sealIn(t, session, receiptFor(m, bob(), 1)))
		expectTold(t, m)
		m.profile.vault = good
		time.Sleep(repeatLast)
		if due, _ := sealDue(t, m, bob()); len(due) != 1 {
			t.Fatalf("%d messages are repeated", len(due))
		}
		m.arrived(sealIn(t, session, receiptFor(m, bob(), 1)))
		expectTold(t, m, "sent ", "delivered ")
	})
}

// What came early is taken in after a crash, or a full disk, between its turn and the one before.
func TestTurnThatCouldNotBeStored(t *testing.T) {
	between := 0
	for point := range 16 {
		p := newPair(t, 1)
		bob := p.bob
		session := initiate(t, bob.m, p.alice.m.profile.identity)
		var frames [][]byte
		for n := range uint64(3) {
			frames = append(frames, sealIn(t, session, testText(n+1, fmt.Sprintf("%d ", n+1))))
		}
		p.alice.said = []int{1, 2, 3}
		bob.m.arrived(frames[1])
		bob.m.arrived(frames[2])
		bob.until = 1 + point/2
		bob.m.arrived(frames[0])
		bob.until, bob.m.profile.vault = 0, bob.vault
		bob.readAll()
		if n := len(bob.log); 0 < n && n < 3 {
			between++
		}
		if point%2 > 0 {
			bob.restart()
		}
		for _, frame := range frames { // none is acknowledged: all are repeated
			bob.m.arrived(frame)
		}
		if bob.readAll(); len(bob.log) != 3 {
			t.Errorf("point %d: %v came out", point, bob.log)
		}
	}
	if between == 0 {
		t.Error("the vault never failed between two turns")
	}
}

// A short conversation in which the vault of either fails at every point in turn, for a moment or
// until a restart.
func TestVaultFailsAnywhere(t *testing.T) {
	const points = 25
	for point := range 2 * points {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, uint64(point))
			s, reached := p.sides()[point%2], false
			for round := range 3 {
				if round == 1 {
					s.until = 1 + point/2
				}
				for _, s := range p.sides() {
					for range 3 {
						p.texts++
						s.say(p.texts)
					}
				}
				p.exchange(true)
				p.exchange(true)
				reached = s.m.profile.vault != s.vault || reached
				p.recover(s)
				p.check()
				p.sleep(repeatLast)
			}
			if point < points && !reached {
				t.Error("the vault did not fail")
			}
			p.settle()
			p.verify()
			if p.alice.warned+p.bob.warned > 0 {
				t.Errorf("point %d: alice was warned %d times, bob %d", point, p.alice.warned, p.bob.warned)
			}
		})
	}
}
