package node

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/node/message"
	"chatnt/node/vault"
)

func TestSendRefuses(t *testing.T) {
	m := friends(t)
	for name, text := range map[string]string{"bob": "", "bobby": "hi", "carol": "hi", "@bob": "\xff", bob().hashid().String(): strings.Repeat("x", message.MaxText+1)} {
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
	c := m.conversation(bob().hashid())
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
	if due, _ := sealDue(t, m, bob()); len(due) != window {
		t.Errorf("%d are due", len(due))
	}
	deliver(t, m, bob(), receiptFor(m, bob(), 2))
	if due, _ := sealDue(t, m, bob()); len(due) != window || due[0].sequence != 3 || due[window-1].sequence != window+2 {
		t.Errorf("%d are due after two receipts", len(due))
	}
}

// What was not acknowledged goes on after a restart under the same numbers,
// in the same frames.
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
	sealDue(t, m, bob())
	frames := make([][]byte, window)
	for i, item := range m.conversation(bob().hashid()).outbox[:window] {
		frames[i] = item.frame
	}
	m = messengerOf(t, m.profile)
	c := m.conversation(bob().hashid())
	if c.Next != 301 || len(c.outbox) != 300 || m.queued() != 300 {
		t.Fatalf("next %d, %d messages", c.Next, len(c.outbox))
	}
	for i, item := range c.outbox {
		if item.Place != uint64(i+1) || !ids[item.ID.String()] {
			t.Fatalf("message %d has place %d", i, item.Place)
		}
		if i < window && (item.sequence != uint64(i+1) || !bytes.Equal(item.frame, frames[i])) || i >= window && item.sequence != 0 {
			t.Fatalf("message %d goes out as %d in another frame", i, item.sequence)
		}
	}
	if _, err := m.send("bob", "new"); err != nil || c.outbox[300].Place != 301 {
		t.Errorf("the next place is %d: %v", c.outbox[300].Place, err)
	}
	sealDue(t, m, bob())
	for i, frame := range frames {
		if !bytes.Equal(c.outbox[i].frame, frame) {
			t.Fatalf("message %d was sealed again", i)
		}
	}
}

// What cannot be stored has not happened: it is neither shown nor acknowledged,
// nor taken for sending, and it works once it can be stored.
func TestNothingCountsBeforeItIsStored(t *testing.T) {
	m := friends(t)
	deliver(t, m, bob(), testText(1, "one"))
	transcript(m)
	receipt(m)
	good := m.profile.vault
	m.profile.vault = vault.Memory()
	m.profile.vault.Close()

	deliver(t, m, bob(), testText(2, "two"))
	again := ask("Bobby", "")
	again.Sequence = 2
	deliver(t, m, bob(), again)
	deliver(t, m, someone(3), ask("Carol", ""))
	if _, err := m.send("bob", "hi"); !errors.Is(err, vault.ErrClosed) {
		t.Errorf("send: %v", err)
	}
	if err := m.add(someone(4).hashid(), "dan", ""); !errors.Is(err, vault.ErrClosed) {
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
	deliver(t, m, bob(), testText(2, "two"))
	deliver(t, m, someone(3), ask("Carol", ""))
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
		carol := someone(3) // before bob in any order but that of arrival
		for n := uint16(4); carol.hashid().String() > bob().hashid().String(); n++ {
			carol = someone(n)
		}
		for name, id := range map[string]hashid.ID{"bob": bob().hashid(), "carol": carol.hashid()} {
			if err := p.Introduce(id, name); err != nil {
				t.Fatal(err)
			}
		}
		m := messengerOf(t, p)
		deliver(t, m, bob(), testText(1, "shown"))
		deliver(t, m, bob(), testText(2, "handed out"))
		deliver(t, m, carol, testText(1, "left"))
		time.Sleep(time.Second) // newer is what began later
		begin(t, m, bob(), testText(1, "left, of a new session"))
		for range 2 { // and then all ends
			if _, err := m.feed.next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		m.feed.forgetShown()

		for range 2 { // ends at once the first time
			m = messengerOf(t, p)
			again := run(t, m)
			deliver(t, m, bob(), testText(1, "left"))
			again()
		}
		deliver(t, m, bob(), testText(2, "new"))
		if told := len(drain(m.feed)); told != 4 {
			t.Errorf("%d texts were told", told)
		}
		m = messengerOf(t, p) // after the reader had all and asked for no more
		run(t, m)()
		expectTold(t, m, "bob again: handed out", "carol again: left", "bob again: left, of a new session", "bob again: new")
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
