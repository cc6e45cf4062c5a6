package node

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/node/message"
	"chatnt/node/ratchet"
)

// A contact who does not follow the rules in these tests has a real session, and seals in it
// whatever it likes. Carol is a contact who does: she is served all the while.

func carol() *identity { return someone(3) }

func withCarol(t *testing.T) *messenger {
	t.Helper()
	p := testProfile(t)
	for name, id := range map[string]*identity{"bob": bob(), "carol": carol()} {
		if err := p.Introduce(id.hashid(), name); err != nil {
			t.Fatal(err)
		}
	}
	return messengerOf(t, p)
}

// served checks that carol is, and that the profile opens again.
func served(t *testing.T, m *messenger) {
	t.Helper()
	transcript(m)
	messengerOf(t, m.profile) // the profile opens
	c := m.conversation(carol().hashid())
	n := uint64(1)
	if len(c.talks) > 0 {
		n = c.talks[0].received + 1
	}
	deliver(t, m, carol(), testText(n, "still here"))
	expectTold(t, m, "carol: still here")
}

// write begins a session with bob that he has not answered.
func write(t *testing.T, m *messenger) {
	t.Helper()
	if _, err := m.send("bob", "hi"); err != nil {
		t.Fatal(err)
	}
	sealDue(t, m, bob())
	transcript(m)
}

func TestFloodOfSessions(t *testing.T) {
	m := withCarol(t)
	served(t, m)
	begin(t, m, bob(), testText(1, "the first"))
	for n := range uint64(maxHellosOfContact + 50) {
		beginLate(t, m, bob(), testText(1, fmt.Sprint(n)))
		transcript(m)
	}
	kept := stored(t, m)
	if c := m.conversation(bob().hashid()); len(c.talks) != maxTalks || kept[bucketTalks] != maxTalks+1 || c.current() == nil {
		t.Errorf("%d talks are kept, %d stored", len(c.talks), kept[bucketTalks])
	}
	if len(m.hellos) != maxHellosOfContact+1 || kept[bucketHellos] != maxHellosOfContact+1 {
		t.Errorf("%d first messages are remembered, %d stored", len(m.hellos), kept[bucketHellos])
	}
	begin(t, m, carol(), testText(1, "a new session"))
	if told := transcript(m); !strings.HasPrefix(told, "carol: a new session\n") {
		t.Errorf("the person was told %q", told)
	}
	served(t, m)
}

// Strangers fill up the room of strangers, each its own first, and nobody else's.
func TestFloodOfStrangers(t *testing.T) {
	m := withCarol(t)
	now := time.Now()
	for n := range uint16(3) {
		begin(t, m, someone(100+n), ask("", ""))
		for range 3 * maxHellosOfStranger {
			beginLate(t, m, someone(100+n), ask("", ""))
		}
	}
	if kept := stored(t, m); len(m.hellos) != 3*maxHellosOfStranger || kept[bucketHellos] != len(m.hellos) || kept[bucketTalks] != 3*maxTalks {
		t.Errorf("%d first messages are remembered, %v stored", len(m.hellos), kept)
	}
	for n := range maxHellosOfStrangers {
		m.hellos.add(ratchet.ID{byte(n), byte(n >> 8), 1}, hashid.ID{byte(n), byte(n >> 8), 1}, now)
	}
	begin(t, m, someone(200), ask("", "no room"))
	if _, asked := m.book.Request(someone(200).hashid()); asked {
		t.Error("there was room for another stranger")
	}
	served(t, m)
}

// However many first messages contacts have sent, strangers have their room.
func TestContactsTakeNoRoomOfStrangers(t *testing.T) {
	m := withCarol(t)
	for n := range maxHellosOfStrangers {
		m.hellos.add(ratchet.ID{byte(n), byte(n >> 8), 1}, carol().hashid(), time.Now())
	}
	begin(t, m, someone(200), ask("", "hello"))
	if _, asked := m.book.Request(someone(200).hashid()); !asked {
		t.Error("there was no room for a stranger")
	}
}

// Early messages and jumps of the base, alone and together, in many sessions: what is kept is
// no more than the window of each.
func TestFloodOfEarlyMessages(t *testing.T) {
	m := withCarol(t)
	c := m.conversation(bob().hashid())
	write(t, m)
	for range maxTalks + 2 {
		beginLate(t, m, bob(), testText(2, "early"))
		for n := uint64(3); n < 2*window; n++ {
			deliver(t, m, bob(), testText(n, "early"))
		}
	}
	if held, kept := early(t, m); held != (maxTalks-1)*(window-1) || kept != held {
		t.Errorf("%d early messages are held, %d stored", held, kept)
	}
	in := c.talks[2]
	for n := uint64(100); n < 500; n += 2 { // each comes early, then again as if it were next
		deliverIn(t, m, c, in, testText(n, "early"))
		jump := testText(n, "jump")
		jump.Base = n
		deliverIn(t, m, c, in, jump)
		next := testText(n+2, "next")
		next.Base = n
		deliverIn(t, m, c, in, next)
		transcript(m)
	}
	if held, kept := early(t, m); held > maxTalks*window || kept > held+len(in.spent) {
		t.Errorf("%d early messages are held, %d stored", held, kept)
	}
	for _, base := range []uint64{math.MaxUint64, math.MaxUint64 - 1, math.MaxUint64 - window} {
		msg := testText(math.MaxUint64, "the end")
		msg.Base = base
		deliverIn(t, m, c, in, msg)
		deliverIn(t, m, c, c.talks[1], msg)
	}
	served(t, m)
}

// A session goes with all that came early in it, also with what its other side has given up
// since: nothing is left that a profile does not open with.
func TestSessionGoesWithWhatCameEarly(t *testing.T) {
	m := withCarol(t)
	begin(t, m, bob(), testText(2, "early"))
	far := testText(1000, "far")
	far.Base = 10 // which has no place, so nothing is stored of it
	deliver(t, m, bob(), far)
	begin(t, m, bob(), testText(1, "anew"))
	if held, kept := early(t, m); held != 0 || kept != 0 {
		t.Errorf("%d early messages are held, %d stored", held, kept)
	}
	m = withCarol(t)
	write(t, m)
	for range maxTalks {
		beginLate(t, m, bob(), testText(2, "early"))
	}
	if held, kept := early(t, m); held != maxTalks-1 || kept != held {
		t.Errorf("%d early messages are held, %d stored", held, kept)
	}
	begin(t, m, bob(), testText(1, "anew"))
	if held, kept := early(t, m); held != 0 || kept != 0 {
		t.Errorf("%d early messages are held, %d stored", held, kept)
	}
	served(t, m)
}

// Two messages with one number: the first counts, nothing is left of the other.
func TestOneNumberTwice(t *testing.T) {
	m := withCarol(t)
	begin(t, m, bob(), testText(2, "early"))
	other := testText(2, "instead")
	other.Base = 2
	deliver(t, m, bob(), other)
	expectTold(t, m, "bob: instead")
	deliver(t, m, bob(), testText(3, "next"))
	expectTold(t, m, "bob: next")
	if held, kept := early(t, m); held != 0 || kept != 0 {
		t.Errorf("%d early messages are held, %d stored", held, kept)
	}
	served(t, m)
}

// What came early and has its turn because those before it were given up is taken in.
func TestEarlyAfterAGap(t *testing.T) {
	m := friends(t)
	deliver(t, m, bob(), testText(5, "five"))
	seven := testText(7, "seven")
	seven.Base = 5
	deliver(t, m, bob(), seven)
	expectTold(t, m, "bob: five")
	deliver(t, m, bob(), testText(6, "six"))
	expectTold(t, m, "bob: six", "bob: seven")
}

// Receipts for what was never sent, in sessions that are not, and for other messages than
// those that have the numbers, take nothing out of the outbox.
func TestFalseReceipts(t *testing.T) {
	m := friends(t)
	for _, text := range []string{"one", "two", "three"} {
		if _, err := m.send("bob", text); err != nil {
			t.Fatal(err)
		}
	}
	begin(t, m, bob(), testText(1, "hi"))
	sealDue(t, m, bob())
	transcript(m)
	good := receiptFor(m, bob(), 3)
	for n := range uint64(50) {
		for _, r := range []message.Message{
			{Sequence: n},
			{Sequence: n, ID: message.ID{byte(n)}},
			{Sequence: n % 3, ID: good.ID},
			{Sequence: 4 + n, ID: good.ID},
			{Sequence: math.MaxUint64 - n, ID: good.ID},
		} {
			r.Kind, r.Parts = message.Receipt, 1
			if r.Sequence == 0 {
				r.ID = message.ID{}
			}
			deliver(t, m, bob(), &r)
		}
	}
	expectTold(t, m)
	if m.queued() != 3 {
		t.Errorf("%d messages are left", m.queued())
	}
	deliver(t, m, bob(), good)
	if m.queued() != 0 {
		t.Errorf("%d messages are left after the right receipt", m.queued())
	}
}

// Texts without an end in every session: what is kept is no more than the longest text of each.
func TestFloodOfParts(t *testing.T) {
	full := strings.Repeat("x", message.PartSize)
	m := withCarol(t)
	begin(t, m, bob(), testText(1, "the first"))
	for s := range byte(maxTalks + 2) {
		beginLate(t, m, bob(), part(1, s+1, 0, message.MaxParts, full))
		for n := range uint64(40) {
			deliver(t, m, bob(), part(n+2, s+1, uint8(min(n+1, message.MaxParts-2)), message.MaxParts, full))
		}
	}
	for _, in := range m.conversation(bob().hashid()).talks[1:] {
		if len(in.parts) != (message.MaxParts-1)*message.PartSize {
			t.Errorf("%d bytes are kept", len(in.parts))
		}
	}
	served(t, m)
}

// Who gives two texts one id has only the first shown; the ids of others are their own.
func TestEqualIDs(t *testing.T) {
	m := withCarol(t)
	for n := range uint64(3) {
		deliver(t, m, bob(), part(n+1, 1, 0, 1, fmt.Sprint(n)))
	}
	deliver(t, m, carol(), part(1, 1, 0, 1, "mine"))
	expectTold(t, m, "bob: 0", "carol: mine")
	if r := receipt(m); r != 3 {
		t.Errorf("the receipt is up to %d", r)
	}
	served(t, m)
}

// As many texts as may be unacknowledged are known again by their ids, over restarts.
func TestTextsAreKnownAgain(t *testing.T) {
	m := friends(t)
	for n := range uint64(seenKept) {
		deliver(t, m, bob(), testText(n+1, "x"))
		transcript(m)
	}
	m = messengerOf(t, m.profile)
	begin(t, m, bob(), testText(1, "x"))
	for n := uint64(1); n < seenKept; n++ {
		deliver(t, m, bob(), testText(n+1, "x"))
	}
	expectTold(t, m)
	if kept := stored(t, m)[bucketSeen]; kept != seenKept/seenChunk {
		t.Errorf("their ids are stored in %d places", kept)
	}
}
