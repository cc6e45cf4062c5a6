package node

import (
	"strings"
	"testing"

	"chatnt/node/message"
)

func part(sequence uint64, id byte, part, parts uint8, text string) *message.Message {
	msg := testText(sequence, text)
	msg.ID, msg.Part, msg.Parts = message.ID{id}, part, parts
	return msg
}

func TestTextsInParts(t *testing.T) {
	text := strings.Repeat("é", message.PartSize) + "end" // a letter is cut in two
	parts, err := message.Split(text)
	if err != nil || len(parts) != 3 {
		t.Fatalf("%d parts: %v", len(parts), err)
	}
	m := friends(t)
	deliver(t, m, bob(), part(3, 1, 2, 3, string(parts[2])))
	deliver(t, m, bob(), part(2, 1, 1, 3, string(parts[1])))
	deliver(t, m, bob(), part(1, 1, 0, 3, string(parts[0])))
	expectTold(t, m, "bob: "+text)
	if r := receipt(m); r != 3 {
		t.Errorf("the receipt is up to %d", r)
	}
}

// A part is acknowledged when it is stored, so the parts before survive a restart.
func TestPartsSurviveARestart(t *testing.T) {
	full := strings.Repeat("x", message.PartSize)
	m := friends(t)
	deliver(t, m, bob(), part(1, 1, 0, 2, full))
	if r := receipt(m); r != 1 {
		t.Errorf("the receipt is up to %d", r)
	}
	m = messengerOf(t, m.profile)
	deliver(t, m, bob(), part(1, 1, 0, 2, full))
	deliver(t, m, bob(), part(2, 1, 1, 2, "y"))
	expectTold(t, m, "bob: "+full+"y")
}

// Parts that do not make a text are passed over, are not kept, and hold nothing up.
func TestPartsThatAreNoText(t *testing.T) {
	full := strings.Repeat("x", message.PartSize)
	for name, parts := range map[string][]*message.Message{
		"the first is missing":   {part(1, 1, 1, 2, "end")},
		"another text between":   {part(1, 1, 0, 2, full), part(2, 2, 0, 1, ""), part(3, 1, 1, 2, "end")},
		"one in the middle":      {part(1, 1, 0, 3, full), part(2, 1, 2, 3, "end")},
		"not full":               {part(1, 1, 0, 2, "x"), part(2, 1, 1, 2, "end")},
		"nothing":                {part(1, 1, 0, 1, "")},
		"the beginning given up": {part(1, 1, 0, 3, full), {Kind: message.Text, Sequence: 3, Base: 3, ID: message.ID{1}, Part: 2, Parts: 3, Text: []byte("end")}},
	} {
		m := friends(t)
		for _, msg := range parts {
			deliver(t, m, bob(), msg)
		}
		last := parts[len(parts)-1].Sequence
		expectTold(t, m)
		if r := receipt(m); r != last {
			t.Errorf("%s: the receipt is up to %d, want %d", name, r, last)
		}
		if kept := len(m.conversation(bob().hashid()).talks[0].parts); kept != 0 {
			t.Errorf("%s: %d bytes are kept", name, kept)
		}
		deliver(t, m, bob(), func() *message.Message { msg := part(last+1, 9, 0, 1, "next"); msg.Base = last + 1; return msg }())
		expectTold(t, m, "bob: next")
	}
}

// Parts come again in a new session, or because their sender does not know better: they are
// passed over, and the text is whole all the same.
func TestPartsTwice(t *testing.T) {
	full := strings.Repeat("x", message.PartSize)
	m := friends(t)
	for i, n := range []uint8{0, 1, 1, 0, 2} {
		text := full
		if n == 2 {
			text = "end"
		}
		deliver(t, m, bob(), part(uint64(i+1), 1, n, 3, text))
	}
	expectTold(t, m, "bob: "+full+full+"end")

	deliver(t, m, bob(), part(6, 2, 0, 2, full))
	c := m.conversation(bob().hashid())
	beginLate(t, m, bob(), part(1, 2, 0, 2, full))
	beginLate(t, m, bob(), part(1, 3, 0, 2, full)) // and another text of another session between
	deliverIn(t, m, c, c.talks[2], part(2, 2, 0, 2, full))
	deliverIn(t, m, c, c.talks[1], part(2, 2, 1, 2, "end"))
	expectTold(t, m, "bob: "+full+"end")
	deliverIn(t, m, c, c.talks[0], part(7, 2, 1, 2, "end"))
	expectTold(t, m)
}

// What other sessions hold of a text goes when the text has come: the beginning, and what came early.
func TestCopiesGo(t *testing.T) {
	full := strings.Repeat("x", message.PartSize)
	m := friends(t)
	write(t, m)
	c := m.conversation(bob().hashid())
	beginLate(t, m, bob(), part(1, 2, 0, 2, full))
	beginLate(t, m, bob(), part(2, 2, 0, 1, full)) // early
	beginLate(t, m, bob(), part(1, 2, 0, 2, full))
	if held, kept := early(t, m); held != 1 || kept != 1 || len(c.talks[1].parts) != len(full) {
		t.Errorf("%d early messages are held, %d stored, %d bytes of a text", held, kept, len(c.talks[1].parts))
	}
	deliver(t, m, bob(), part(2, 2, 1, 2, "end"))
	expectTold(t, m, "bob: "+full+"end")
	for range 2 {
		held, kept := early(t, m)
		for _, in := range m.conversation(bob().hashid()).talks {
			if held+kept+len(in.parts) != 0 {
				t.Errorf("%d and %d early messages and %d bytes are held of a text that has come", held, kept, len(in.parts))
			}
		}
		m = messengerOf(t, m.profile)
	}
	// Nor is it held again.
	m = messengerOf(t, m.profile)
	beginLate(t, m, bob(), part(2, 2, 0, 2, full))
	for _, in := range m.conversation(bob().hashid()).talks {
		for _, msg := range in.early {
			if len(msg.Text) != 0 {
				t.Error("a text that has come is held")
			}
		}
	}
}

// Parts without an end take up no more room than the longest text.
func TestPartsAreBounded(t *testing.T) {
	full := strings.Repeat("x", message.PartSize)
	m := friends(t)
	most := 0
	for n := range uint64(40) {
		deliver(t, m, bob(), part(n+1, 1, uint8(min(n, 14)), message.MaxParts, full))
		most = max(most, len(m.conversation(bob().hashid()).talks[0].parts))
	}
	if most > message.MaxText {
		t.Errorf("%d bytes are kept", most)
	}
	if r := receipt(m); r != 40 {
		t.Errorf("the receipt is up to %d", r)
	}
}
