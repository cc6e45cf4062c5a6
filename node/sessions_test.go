package node

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/node/message"
)

const (
	// olderState is what the person is told when one of the two works with an older copy of the conversation.
	olderState = "warning: the conversation with bob was continued from an older copy of one of the two profiles: it goes on under new keys"

	// renewedByBob is what the person is told when he begins a session though there was one.
	renewedByBob = "warning: bob has begun the conversation anew, as after a profile was restored: it goes on under new keys"
)

// A peer whose session was copied back is noticed by a number that is used twice: once, however
// often the frame comes again. What waits goes out in a new session.
func TestPeerIsRolledBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := friends(t)
		session := initiate(t, m, bob())
		m.arrived(sealIn(t, session, testText(1, "one")))
		answer(t, m, session)
		copied := session.Clone()
		m.arrived(sealIn(t, session, testText(2, "two")))
		answer(t, m, session)
		if _, err := m.send("bob", "waiting"); err != nil {
			t.Fatal(err)
		}
		before, _ := sealDue(t, m, bob())
		transcript(m)

		again := testText(2, "another two")
		frame := sealIn(t, copied, again)
		m.arrived(frame)
		expectTold(t, m, olderState)
		due, _ := sealDue(t, m, bob())
		if len(due) != 2 || due[0] != before[0] || due[0].sequence != 1 || due[1].Kind != message.Link {
			t.Fatalf("%d messages are sealed anew", len(due))
		}
		if msg := readFirst(t, m, bob(), due[0].frame); string(msg.Text) != "waiting" || msg.ID != due[0].ID {
			t.Errorf("%+v goes out in the new session", msg)
		}
		for range 50 {
			time.Sleep(time.Hour)
			m.arrived(frame)
		}
		expectTold(t, m)
		if c := m.conversation(bob().hashid()); len(c.talks) != 2 || c.current() != c.talks[1] {
			t.Error("a frame that came again began another session")
		}
	})
}

// With nothing that waits, the new session is begun all the same: the peer has to hear of it.
func TestRenewalWithoutATextIsSaid(t *testing.T) {
	m := friends(t)
	session := initiate(t, m, bob())
	m.arrived(sealIn(t, session, testText(1, "one")))
	answer(t, m, session)
	copied := session.Clone()
	m.arrived(sealIn(t, session, testText(2, "two")))
	m.arrived(sealIn(t, copied, testText(2, "another two")))
	due, _ := sealDue(t, m, bob())
	if len(due) != 1 || readFirst(t, m, bob(), due[0].frame).Kind != message.Link {
		t.Errorf("%d messages go out", len(due))
	}
}

// A peer that was copied back may use message keys that this side has kept for frames that were
// lost: its texts are noticed then, by what they say of the one before.
func TestTextsThatDoNotFollow(t *testing.T) {
	m := friends(t)
	session := initiate(t, m, bob())
	m.arrived(sealIn(t, session, testText(1, "one")))
	copied := session.Clone()
	sealIn(t, session, say(message.Link, 9)) // lost
	sealIn(t, session, say(message.Link, 9))
	two := testText(2, "two")
	two.Before = testText(1, "one").ID.Short()
	m.arrived(sealIn(t, session, two))
	expectTold(t, m, "bob: one", "bob: two")

	other := testText(2, "another two") // which is taken for one that is there, but not acknowledged as such
	m.arrived(sealIn(t, copied, other))
	if _, receipts := sealDue(t, m, bob()); len(receipts) != 1 {
		t.Errorf("%d receipts are due", len(receipts))
	} else if r := readIn(t, session, receipts[0]); r.Sequence != 2 || r.ID != two.ID {
		t.Errorf("the receipt is %+v", r)
	}
	three := testText(3, "three")
	three.Before = other.ID.Short()
	m.arrived(sealIn(t, copied, three))
	expectTold(t, m, olderState)
	if r := received(m); r != 2 {
		t.Errorf("received up to %d", r)
	}
}

// What the peer's node takes again and again, without a receipt, is sealed for a new session,
// ever more rarely while nothing is acknowledged.
func TestUnheardTextsBeginASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := friends(t)
		if _, err := m.send("bob", "hi"); err != nil {
			t.Fatal(err)
		}
		transcript(m)
		c := m.conversation(bob().hashid())
		begun := make(map[string]bool)
		for range 7 * 24 * 60 {
			due, _ := sealDue(t, m, bob())
			begun[c.Current] = true
			for _, item := range due {
				nodeTook(m, c, item)
			}
			time.Sleep(time.Minute)
		}
		// One at once, those that double up to six hours, then four a day.
		if n := len(begun); n < 24 || n > 40 {
			t.Errorf("%d sessions in a week", n)
		}
		if len(c.talks) != maxTalks || stored(t, m)[bucketTalks] != maxTalks {
			t.Errorf("%d talks are kept, %v stored", len(c.talks), stored(t, m))
		}
		expectTold(t, m, "sent ", "warning: bob does not confirm what its node has taken, as when its profile was restored from a copy: it goes on under new keys")
		deliver(t, m, bob(), receiptFor(m, bob(), 1))
		expectTold(t, m, "delivered ")
	})
}

// A session that nobody answered is given up when the recipient publishes other prekeys: it may
// have lost those that would open it.
func TestOtherPrekeysBeginASession(t *testing.T) {
	m := friends(t)
	if _, err := m.send("bob", "hi"); err != nil {
		t.Fatal(err)
	}
	due, _ := sealDue(t, m, bob())
	first := due[0].frame
	to := recordOf(bob())
	to.Prekey.ID++
	m.mu.Lock()
	c := m.conversation(bob().hashid())
	_, err := m.sealAll(c, to, due, nil)
	m.mu.Unlock()
	if err != nil || len(c.talks) != 2 || &due[0].frame[0] == &first[0] {
		t.Errorf("%d talks: %v", len(c.talks), err)
	}
	if readFirst(t, m, bob(), due[0].frame).Sequence != 1 {
		t.Error("numbers do not begin anew")
	}
}

// A first message that was taken in is not taken in again, whenever it comes: not after its
// session is gone, nor after a restart, nor when it may be forgotten, as its prekey is dead by then.
func TestFirstMessageComesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := friends(t)
		hello := sealIn(t, initiate(t, m, bob()), say(message.Link, 1)) // no text: nothing else knows it again
		m.arrived(hello)
		begin(t, m, bob(), say(message.Link, 1))
		transcript(m)
		current := m.conversation(bob().hashid()).Current
		for day := range 40 {
			if day%5 == 0 {
				m = messengerOf(t, m.profile)
			}
			m.arrived(hello)
			c := m.conversation(bob().hashid())
			if told := transcript(m); told != "" || c.Current != current || len(c.talks) != 1 {
				t.Fatalf("day %d: told %q, %d talks", day, told, len(c.talks))
			}
			time.Sleep(24 * time.Hour)
		}
		if err := m.profile.prekeys.rotate(m.profile.vault, time.Now()); err != nil {
			t.Fatal(err)
		}
		begin(t, m, bob(), say(message.Link, 1))
		if kept := stored(t, m)[bucketHellos]; len(m.hellos) != 1 || kept != 1 {
			t.Errorf("%d first messages are remembered after forty days, %d stored", len(m.hellos), kept)
		}
	})
}

// The no of somebody is acknowledged however often it comes: its receipt may have been lost.
func TestRejectionComesAgain(t *testing.T) {
	m := messengerOf(t, testProfile(t))
	if err := m.add(bob().hashid(), "bob", ""); err != nil {
		t.Fatal(err)
	}
	no := sealIn(t, initiate(t, m, bob()), say(message.Reject, 1))
	for range 3 {
		m.arrived(no)
		if r := receipt(m); r != 1 {
			t.Errorf("the receipt is up to %d", r)
		}
	}
	if told := transcript(m); strings.Count(told, "rejected") != 1 {
		t.Errorf("the person was told %q", told)
	}
}

// Whom this person said no to begins no session any more, whatever it sends.
func TestRejectedPeerBeginsNothing(t *testing.T) {
	m := messengerOf(t, testProfile(t))
	begin(t, m, bob(), ask("Bobby", ""))
	if err := m.reject("Bobby"); err != nil {
		t.Fatal(err)
	}
	before := stored(t, m)
	begin(t, m, bob(), ask("Bobby", ""))
	begin(t, m, bob(), testText(1, "please"))
	begin(t, m, bob(), &message.Message{Kind: message.Receipt, Parts: 1})
	if after := stored(t, m); after[bucketTalks] != before[bucketTalks] || after[bucketHellos] != before[bucketHellos] {
		t.Errorf("%v are stored, before it were %v", after, before)
	}
}
