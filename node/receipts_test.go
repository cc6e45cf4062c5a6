package node

import (
	"strings"
	"testing"

	"chatnt/node/message"
)

// base is the lowest number that is still repeated in the current talk.
func base(c *conversation) uint64 { return c.base(c.current().next) }

func TestReceipts(t *testing.T) {
	m := friends(t)
	for _, text := range []string{"one", "two", "three"} {
		if _, err := m.send("bob", text); err != nil {
			t.Fatal(err)
		}
	}
	transcript(m)
	c := m.conversation(bob().hashid())
	deliver(t, m, bob(), receiptFor(m, bob(), 3)) // nothing has gone out yet
	due, _ := sealDue(t, m, bob())
	if len(due) != 3 || base(c) != 1 {
		t.Fatalf("due are %d, base %d", len(due), base(c))
	}
	beginLate(t, m, bob(), say(message.Link, 1))
	deliverIn(t, m, c, c.talks[1], receiptFor(m, bob(), 3)) // nothing went out in this
	c.talks = c.talks[:1]
	deliver(t, m, bob(), receiptFor(m, bob(), 0))
	deliver(t, m, bob(), receiptFor(m, bob(), 4)) // was never sent
	deliver(t, m, someone(3), receiptFor(m, bob(), 3))
	expectTold(t, m)
	if len(c.outbox) != 3 {
		t.Errorf("the outbox is %s", outbox(m))
	}

	nodeTook(m, c, due[0])
	nodeTook(m, c, due[0])
	expectTold(t, m, "sent ")
	deliver(t, m, bob(), receiptFor(m, bob(), 2))
	expectTold(t, m, "delivered ", "sent ", "delivered ")
	nodeTook(m, c, due[1]) // its node's answer came after its receipt
	deliver(t, m, bob(), receiptFor(m, bob(), 1))
	expectTold(t, m)
	if left := stored(t, m); base(c) != 3 || left[bucketOutbox] != 1 || left[bucketFrames] != 1 {
		t.Errorf("base %d, %v are stored", base(c), left)
	}
	deliver(t, m, bob(), receiptFor(m, bob(), 3))
	expectTold(t, m, "sent ", "delivered ")
	if base(c) != 4 || len(c.outbox) != 0 {
		t.Errorf("base %d, outbox %s", base(c), outbox(m))
	}
	if _, _, _, idle := m.takeDue(c); !idle {
		t.Error("the sender has something to do")
	}
}

// A text in parts is sent, and delivered, once all its parts are.
func TestStatusOfParts(t *testing.T) {
	m := friends(t)
	if _, err := m.send("bob", strings.Repeat("x", 2*message.PartSize+1)); err != nil {
		t.Fatal(err)
	}
	transcript(m)
	c := m.conversation(bob().hashid())
	due, _ := sealDue(t, m, bob())
	if len(due) != 3 {
		t.Fatalf("%d parts are due", len(due))
	}
	nodeTook(m, c, due[2])
	nodeTook(m, c, due[0])
	expectTold(t, m)
	nodeTook(m, c, due[1])
	expectTold(t, m, "sent ")
	deliver(t, m, bob(), receiptFor(m, bob(), 2))
	expectTold(t, m)
	if left := stored(t, m); left[bucketOutbox] != 3 {
		t.Errorf("%v are stored: a new session would need all parts again", left)
	}
	deliver(t, m, bob(), receiptFor(m, bob(), 3))
	expectTold(t, m, "delivered ")
}

// A text is said to be sent once, restart or not.
func TestSentIsToldOnce(t *testing.T) {
	m := friends(t)
	if _, err := m.send("bob", strings.Repeat("x", message.PartSize+1)); err != nil {
		t.Fatal(err)
	}
	c := m.conversation(bob().hashid())
	sealDue(t, m, bob())
	for _, item := range c.outbox {
		nodeTook(m, c, item)
	}
	expectTold(t, m, "queued ", "sent ")
	m = messengerOf(t, m.profile)
	c = m.conversation(bob().hashid())
	m.hold(c, c.outbox, nil, "no relays")
	for _, item := range c.outbox {
		nodeTook(m, c, item)
	}
	expectTold(t, m)
	deliver(t, m, bob(), receiptFor(m, bob(), 2))
	expectTold(t, m, "delivered ")
}
