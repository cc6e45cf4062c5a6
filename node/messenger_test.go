package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/network"
	"chatnt/node/control"
	"chatnt/node/message"
	"chatnt/node/vault"
	"chatnt/overlay"
)

// bob is the other side in these tests: they hand his messages to the messenger
// and look at what it has for him.
func bob() hashid.ID { return hashid.ID{2} }

func testNetwork(t testing.TB) *network.Network {
	t.Helper()
	n, err := network.New("fam", 3, false)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// noRecord finds nobody.
func noRecord(context.Context, ...string) ([]byte, error) { return nil, errNoRecord }

// messengerOf makes the messenger of a profile, without a network behind it.
func messengerOf(t testing.TB, p *Profile) *messenger {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	dir := discovery.NewDirectory(p.Node(), p.network.ID(), timeNow, log)
	who, err := newPeople(p.network.ID(), p.vault, timeNow, noRecord)
	if err != nil {
		t.Fatal(err)
	}
	m, err := newMessenger(p, timeNow, newFeed(), log, who, overlay.New(overlay.Config{Hops: 3, Link: noLink{}, Directory: dir}), dir)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func testProfile(t testing.TB) *Profile {
	t.Helper()
	p, err := Ephemeral(testNetwork(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// friends is a messenger that has bob as a contact.
func friends(t testing.TB) *messenger {
	t.Helper()
	p := testProfile(t)
	if err := p.Introduce(bob(), "bob"); err != nil {
		t.Fatal(err)
	}
	return messengerOf(t, p)
}

func say(kind message.Kind, sequence uint64) *message.Message {
	msg := testText(sequence, "")
	msg.Kind, msg.Text = kind, nil
	if kind == message.Receipt {
		return &message.Message{Kind: kind, Stream: 1, Sequence: sequence, Parts: 1}
	}
	return msg
}

// transcript is what the person was told, a line an event, without ids.
func transcript(m *messenger) string {
	var b strings.Builder
	for _, e := range drain(m.feed) {
		switch e := e.(type) {
		case control.MessageReceived:
			again := ""
			if e.Again {
				again = " again"
			}
			fmt.Fprintf(&b, "%s%s: %s\n", e.Name, again, e.Text)
		case control.StatusChanged:
			fmt.Fprintf(&b, "%s %s\n", e.State, e.Reason)
		case control.RequestReceived:
			fmt.Fprintf(&b, "request of %s: %s\n", e.Nick, e.Text)
		case control.ContactChanged:
			fmt.Fprintf(&b, "%s is %s\n", e.Local, e.State)
		default:
			fmt.Fprintf(&b, "%T\n", e)
		}
	}
	return b.String()
}

func expectTold(t *testing.T, m *messenger, want ...string) {
	t.Helper()
	got, all := transcript(m), strings.Join(append(want, ""), "\n")
	if got != all {
		t.Errorf("the person was told\n%swant\n%s", got, all)
	}
}

// receipt takes the receipt that is due for bob: the last number, 0 for none.
func receipt(m *messenger) uint64 {
	_, r, _, _ := m.takeDue(m.conversation(bob()))
	if r == nil {
		return 0
	}
	return r.Sequence
}

// outbox lists the kinds and numbers of what waits for bob's receipts.
func outbox(m *messenger) string {
	var list []string
	for _, item := range m.conversation(bob()).outbox {
		list = append(list, fmt.Sprintf("%d:%d", item.Sequence, item.Kind))
	}
	return strings.Join(list, " ")
}

func TestTextsComeOutOnceAndInOrder(t *testing.T) {
	m := friends(t)
	m.take(bob(), testText(2, "two"))
	m.take(bob(), testText(2, "two"))
	expectTold(t, m)
	if r := receipt(m); r != 0 {
		t.Errorf("a receipt up to %d for what is not there", r)
	}
	m.take(bob(), testText(1, "one"))
	expectTold(t, m, "bob: one", "bob: two")
	if r := receipt(m); r != 2 {
		t.Errorf("the receipt is up to %d, want 2", r)
	}
	m.take(bob(), testText(1, "one again"))
	expectTold(t, m)
	if r := receipt(m); r != 2 {
		t.Errorf("what came again has a receipt up to %d, want 2: the first may be lost", r)
	}
	m.take(bob(), testText(3+window, "too early"))
	m.take(bob(), testText(3, "three"))
	expectTold(t, m, "bob: three")
	if held := len(m.conversation(bob()).early); held != 0 {
		t.Errorf("%d messages from beyond the window are held", held)
	}
}

// A hundred texts in any order, some lost and some doubled, repeated as a sender
// does until all are acknowledged.
func TestAnyOrderOfTexts(t *testing.T) {
	const texts = 100
	for seed := range uint64(5) {
		m := friends(t)
		random := rand.New(rand.NewPCG(seed, 0))
		acknowledged := uint64(0)
		for round := 0; acknowledged < texts; round++ {
			if round > 1000 {
				t.Fatalf("seed %d: no end after %d of %d", seed, acknowledged, texts)
			}
			for range window {
				n := acknowledged + 1 + random.Uint64N(window)
				if n > texts || random.IntN(4) == 0 {
					continue
				}
				msg := testText(n, fmt.Sprint(n))
				msg.Base = acknowledged + 1
				m.take(bob(), msg)
			}
			acknowledged = max(acknowledged, receipt(m))
		}
		var want []string
		for n := range texts {
			want = append(want, fmt.Sprintf("bob: %d", n+1))
		}
		expectTold(t, m, want...)
	}
}

// What the other side has given up is not waited for, and leaves nothing behind.
func TestGapsAreGivenUp(t *testing.T) {
	m := friends(t)
	for n := uint64(2); n <= window; n++ {
		m.take(bob(), testText(n, "early"))
	}
	expectTold(t, m)
	after := testText(window+2, "after")
	after.Base = window + 2
	m.take(bob(), after)
	expectTold(t, m, "bob: after")
	if held := len(m.conversation(bob()).early); held != 0 {
		t.Errorf("%d messages are held that nobody waits for", held)
	}
	if r := receipt(m); r != window+2 {
		t.Errorf("the receipt is up to %d", r)
	}
	jump := testText(window+10, "jumped")
	jump.Base = window + 5
	m.take(bob(), jump)
	expectTold(t, m)
	for n := uint64(window + 5); n < window+10; n++ {
		msg := testText(n, "filled")
		msg.Base = window + 5
		m.take(bob(), msg)
	}
	expectTold(t, m, "bob: filled", "bob: filled", "bob: filled", "bob: filled", "bob: filled", "bob: jumped")
}

// The other side may lose its memory and start afresh; what is left of its time
// before is ignored then.
func TestNewStream(t *testing.T) {
	m := friends(t)
	m.take(bob(), testText(1, "old"))
	m.take(bob(), testText(3, "old and early"))
	fresh := testText(1, "new")
	fresh.Stream = 2
	m.take(bob(), fresh)
	expectTold(t, m, "bob: old", "bob: new")
	m.take(bob(), testText(2, "old and late"))
	m.take(bob(), testText(1, "old"))
	second := testText(2, "second")
	second.Stream = 2
	m.take(bob(), second)
	expectTold(t, m, "bob: second")
	_, r, _, _ := m.takeDue(m.conversation(bob()))
	if r == nil || r.Stream != 2 || r.Sequence != 2 {
		t.Errorf("the receipt is %v", r)
	}
	late := testText(7, "from the middle")
	late.Stream, late.Base = 3, 7
	m.take(bob(), late)
	expectTold(t, m, "bob: from the middle")
}

func part(sequence uint64, id byte, part, parts uint8, text string) *message.Message {
	msg := testText(sequence, text)
	msg.ID, msg.Part, msg.Parts = message.ID{id}, part, parts
	return msg
}

func TestTextsInParts(t *testing.T) {
	full := strings.Repeat("é", message.PartSize/2)
	m := friends(t)
	m.take(bob(), part(3, 1, 2, 3, "end"))
	m.take(bob(), part(2, 1, 1, 3, full))
	m.take(bob(), part(1, 1, 0, 3, full))
	expectTold(t, m, "bob: "+full+full+"end")
	if r := receipt(m); r != 3 {
		t.Errorf("the receipt is up to %d", r)
	}
}

// A part is acknowledged when it is stored, so the parts before survive a restart.
func TestPartsSurviveARestart(t *testing.T) {
	full := strings.Repeat("x", message.PartSize)
	m := friends(t)
	m.take(bob(), part(1, 1, 0, 2, full))
	if r := receipt(m); r != 1 {
		t.Errorf("the receipt is up to %d", r)
	}
	m = messengerOf(t, m.profile)
	m.take(bob(), part(1, 1, 0, 2, full))
	m.take(bob(), part(2, 1, 1, 2, "y"))
	expectTold(t, m, "bob: "+full+"y")
}

// Parts that do not make a text are passed over, are not kept, and hold nothing up.
func TestPartsThatAreNoText(t *testing.T) {
	full := strings.Repeat("x", message.PartSize)
	for name, parts := range map[string][]*message.Message{
		"the first is missing":   {part(1, 1, 1, 2, "end")},
		"another text between":   {part(1, 1, 0, 2, full), part(2, 2, 0, 1, ""), part(3, 1, 1, 2, "end")},
		"one in the middle":      {part(1, 1, 0, 3, full), part(2, 1, 2, 3, "end")},
		"twice the same":         {part(1, 1, 0, 3, full), part(2, 1, 1, 3, full), part(3, 1, 1, 3, full), part(4, 1, 2, 3, "end")},
		"not full":               {part(1, 1, 0, 2, "x"), part(2, 1, 1, 2, "end")},
		"nothing":                {part(1, 1, 0, 1, "")},
		"the beginning given up": {part(1, 1, 0, 3, full), {Kind: message.Text, Stream: 1, Sequence: 3, Base: 3, ID: message.ID{1}, Part: 2, Parts: 3, Text: []byte("end")}},
	} {
		m := friends(t)
		for _, msg := range parts {
			m.take(bob(), msg)
		}
		last := parts[len(parts)-1].Sequence
		expectTold(t, m)
		if r := receipt(m); r != last {
			t.Errorf("%s: the receipt is up to %d, want %d", name, r, last)
		}
		if kept := len(m.conversation(bob()).Parts); kept != 0 {
			t.Errorf("%s: %d bytes are kept", name, kept)
		}
		m.take(bob(), func() *message.Message { msg := part(last+1, 9, 0, 1, "next"); msg.Base = last + 1; return msg }())
		expectTold(t, m, "bob: next")
	}
}

// Parts without an end take up no more room than the longest text.
func TestPartsAreBounded(t *testing.T) {
	full := strings.Repeat("x", message.PartSize)
	m := friends(t)
	most := 0
	for n := range uint64(40) {
		m.take(bob(), part(n+1, 1, uint8(min(n, 14)), message.MaxParts, full))
		most = max(most, len(m.conversation(bob()).Parts))
	}
	if most > message.MaxText {
		t.Errorf("%d bytes are kept", most)
	}
	if r := receipt(m); r != 40 {
		t.Errorf("the receipt is up to %d", r)
	}
}

func TestTextIsMadeUTF8(t *testing.T) {
	m := friends(t)
	m.take(bob(), testText(1, "a\xffb"))
	expectTold(t, m, "bob: a\ufffdb")
}

func stored(t *testing.T, m *messenger) int {
	t.Helper()
	n := 0
	err := m.profile.vault.View(func(tx *vault.Tx) error {
		for _, bucket := range []string{bucketContacts, bucketRequests, bucketConversations, bucketOutbox} {
			if err := tx.ForEach(bucket, func(string, []byte) error { n++; return nil }); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func ask(nick, text string) *message.Message {
	msg := say(message.Request, 1)
	msg.Nick, msg.Text = nick, []byte(text)
	return msg
}

func TestReceipts(t *testing.T) {
	m := friends(t)
	for _, text := range []string{"one", "two", "three"} {
		if _, err := m.send("bob", text); err != nil {
			t.Fatal(err)
		}
	}
	transcript(m)
	c := m.conversation(bob())
	answer := func(sequence uint64) *message.Message {
		r := say(message.Receipt, sequence)
		r.Stream = c.Stream
		return r
	}
	other := answer(3)
	other.Stream++
	m.take(bob(), other)
	m.take(bob(), answer(0))
	m.take(bob(), answer(4)) // was never sent
	m.take(hashid.ID{3}, answer(3))
	expectTold(t, m)
	if len(c.outbox) != 3 {
		t.Errorf("the outbox is %s", outbox(m))
	}

	due, _, _, _ := m.takeDue(c)
	if len(due) != 3 || c.base() != 1 {
		t.Fatalf("due are %d, base %d", len(due), c.base())
	}
	m.stored(c, due[0])
	m.stored(c, due[0])
	expectTold(t, m, "sent ")
	m.take(bob(), answer(2))
	expectTold(t, m, "delivered ", "sent ", "delivered ")
	m.stored(c, due[1]) // its node's answer came after its receipt
	m.take(bob(), answer(1))
	expectTold(t, m)
	if c.base() != 3 || stored(t, m) != 3 {
		t.Errorf("base %d, %d values are stored", c.base(), stored(t, m))
	}
	m.take(bob(), answer(3))
	expectTold(t, m, "sent ", "delivered ")
	if c.base() != 4 || len(c.outbox) != 0 {
		t.Errorf("base %d, outbox %s", c.base(), outbox(m))
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
	c := m.conversation(bob())
	due, _, _, _ := m.takeDue(c)
	if len(due) != 3 {
		t.Fatalf("%d parts are due", len(due))
	}
	m.stored(c, due[2])
	m.stored(c, due[0])
	expectTold(t, m)
	m.stored(c, due[1])
	expectTold(t, m, "sent ")
	r := say(message.Receipt, 2)
	r.Stream = c.Stream
	m.take(bob(), r)
	expectTold(t, m)
	r.Sequence = 3
	m.take(bob(), r)
	expectTold(t, m, "delivered ")
}

func TestSendRefuses(t *testing.T) {
	m := friends(t)
	for name, text := range map[string]string{"bob": "", "bob ": "hi", "carol": "hi", "@bob": "\xff", bob().String(): strings.Repeat("x", message.MaxText+1)} {
		if _, err := m.send(name, text); err == nil {
			t.Errorf("send(%q, %.10q) did not fail", name, text)
		}
	}
	if m.queued() != 0 || len(drain(m.feed)) != 0 {
		t.Error("what was refused left something")
	}
}

// The outbox of a contact is bounded, and what does not fit is not half taken.
func TestOutboxIsBounded(t *testing.T) {
	m := friends(t)
	c := m.conversation(bob())
	c.outbox = make([]*outgoing, maxUnacknowledged-1)
	if _, err := m.send("bob", strings.Repeat("x", message.PartSize+1)); !errors.Is(err, errOutboxFull) {
		t.Errorf("two more: %v", err)
	}
	if _, err := m.send("bob", "x"); err != nil {
		t.Errorf("one more: %v", err)
	}
	if _, err := m.send("bob", "x"); !errors.Is(err, errOutboxFull) {
		t.Errorf("one too many: %v", err)
	}
}

// Thirty-two at a time are under way; the next go when the first are acknowledged.
func TestWindow(t *testing.T) {
	m := friends(t)
	for range window + 5 {
		if _, err := m.send("bob", "hi"); err != nil {
			t.Fatal(err)
		}
	}
	c := m.conversation(bob())
	if due, _, _, _ := m.takeDue(c); len(due) != window {
		t.Errorf("%d are due", len(due))
	}
	r := say(message.Receipt, 2)
	r.Stream = c.Stream
	m.take(bob(), r)
	if due, _, _, _ := m.takeDue(c); len(due) != window || due[0].Sequence != 3 {
		t.Errorf("%d are due after two receipts", len(due))
	}
}

// What was not acknowledged goes on after a restart under the same numbers.
func TestOutboxSurvivesARestart(t *testing.T) {
	m := friends(t)
	ids := map[string]bool{}
	for range 300 { // more than a byte counts
		id, err := m.send("bob", "hi")
		if err != nil {
			t.Fatal(err)
		}
		ids[id.String()] = true
	}
	stream := m.conversation(bob()).Stream
	m = messengerOf(t, m.profile)
	c := m.conversation(bob())
	if c.Stream != stream || c.Next != 301 || len(c.outbox) != 300 || m.queued() != 300 {
		t.Fatalf("stream %d, next %d, %d messages", c.Stream, c.Next, len(c.outbox))
	}
	for i, item := range c.outbox {
		if item.Sequence != uint64(i+1) || !ids[item.ID.String()] {
			t.Fatalf("message %d has number %d", i, item.Sequence)
		}
	}
	if _, err := m.send("bob", "new"); err != nil || c.outbox[300].Sequence != 301 {
		t.Errorf("the next number is %d: %v", c.outbox[300].Sequence, err)
	}
}

// What cannot be stored has not happened: it is neither shown nor acknowledged,
// nor taken for sending, and it works once it can be stored.
func TestNothingCountsBeforeItIsStored(t *testing.T) {
	m := friends(t)
	m.take(bob(), testText(1, "one"))
	transcript(m)
	receipt(m)
	good := m.profile.vault
	m.profile.vault = vault.Memory()
	m.profile.vault.Close()

	m.take(bob(), testText(2, "two"))
	again := ask("Bobby", "")
	again.Sequence = 2
	m.take(bob(), again)
	m.take(hashid.ID{3}, ask("Carol", ""))
	if _, err := m.send("bob", "hi"); !errors.Is(err, vault.ErrClosed) {
		t.Errorf("send: %v", err)
	}
	if err := m.add(hashid.ID{4}, "dan", ""); !errors.Is(err, vault.ErrClosed) {
		t.Errorf("add: %v", err)
	}
	expectTold(t, m)
	if r := receipt(m); r != 0 {
		t.Errorf("a receipt up to %d", r)
	}
	if len(m.book.Requests()) != 0 || len(m.book.Contacts()) != 1 || m.queued() != 0 {
		t.Error("what could not be stored is there")
	}

	m.profile.vault = good
	m.take(bob(), testText(2, "two"))
	m.take(hashid.ID{3}, ask("Carol", ""))
	expectTold(t, m, "bob: two", "request of Carol: ")
	if r := receipt(m); r != 2 {
		t.Errorf("the receipt is up to %d", r)
	}
}

// A text that was acknowledged is shown, whatever happens before its reader has
// it: once more if need be, in order, and before anything new.
func TestTextsSurviveUntilTheyAreShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testProfile(t)
		carol := hashid.ID{1} // before bob in any order but that of arrival
		for name, id := range map[string]hashid.ID{"bob": bob(), "carol": carol} {
			if err := p.Introduce(id, name); err != nil {
				t.Fatal(err)
			}
		}
		m := messengerOf(t, p)
		m.take(bob(), testText(1, "shown"))
		m.take(bob(), testText(2, "handed out"))
		m.take(carol, testText(1, "left"))
		fresh := testText(1, "left, of a new stream")
		fresh.Stream = 2
		m.take(bob(), fresh)
		for range 2 { // and then all ends
			if _, err := m.feed.next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		m.feed.forgetShown()

		for range 2 { // ends at once the first time
			m = messengerOf(t, p)
			again := run(t, m)
			m.take(bob(), func() *message.Message { again := testText(1, "left"); again.Stream = 2; return again }())
			again()
		}
		m.take(bob(), func() *message.Message { msg := testText(2, "new"); msg.Stream = 2; return msg }())
		if told := len(drain(m.feed)); told != 4 {
			t.Errorf("%d texts were told", told)
		}
		m = messengerOf(t, p) // after the reader had all and asked for no more
		run(t, m)()
		expectTold(t, m, "bob again: handed out", "carol again: left", "bob again: left, of a new stream", "bob again: new")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := m.feed.next(ctx); err == nil {
			t.Error("there is more")
		}
		m = messengerOf(t, p)
		run(t, m)()
		expectTold(t, m)
	})
}

// run runs a messenger until the function it returns is called.
func run(t *testing.T, m *messenger) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); m.run(ctx) }()
	synctest.Wait()
	return func() { cancel(); <-ended }
}

// A text is said to be sent once, restart or not.
func TestSentIsToldOnce(t *testing.T) {
	m := friends(t)
	if _, err := m.send("bob", strings.Repeat("x", message.PartSize+1)); err != nil {
		t.Fatal(err)
	}
	c := m.conversation(bob())
	for _, item := range c.outbox {
		m.stored(c, item)
	}
	expectTold(t, m, "queued ", "sent ")
	m = messengerOf(t, m.profile)
	c = m.conversation(bob())
	m.hold(c, c.outbox, nil, "no relays")
	for _, item := range c.outbox {
		m.stored(c, item)
	}
	expectTold(t, m)
	r := say(message.Receipt, 2)
	r.Stream = c.Stream
	m.take(bob(), r)
	expectTold(t, m, "delivered ")
}
