package node

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/record"
	"chatnt/node/contact"
	"chatnt/node/message"
	"chatnt/node/vault"
)

// Whoever is no contact gets nothing but a request across, and no trace of the
// attempt stays.
func TestStrangers(t *testing.T) {
	m := messengerOf(t, testProfile(t))
	for _, kind := range []message.Kind{message.Text, message.Accept, message.Reject, message.Link} {
		deliver(t, m, bob(), say(kind, 1))
	}
	deliver(t, m, bob(), &message.Message{Kind: message.Receipt, Sequence: 1, Parts: 1})
	deliver(t, m, bob(), testText(1, "hi"))
	deliver(t, m, bob(), say(message.Request, 2)) // and its first number is missing
	expectTold(t, m)
	if left := stored(t, m); len(m.conversations) != 0 || len(m.hellos) != 0 || len(left) != 0 {
		t.Errorf("a stranger left %d conversations, %d first messages and %v", len(m.conversations), len(m.hellos), left)
	}
}

func TestRequestIsAccepted(t *testing.T) {
	m := messengerOf(t, testProfile(t))
	deliver(t, m, bob(), ask("Bobby", "it is me"))
	expectTold(t, m, "request of Bobby: it is me")
	deliver(t, m, bob(), ask("Bobby", "it is me"))
	deliver(t, m, bob(), testText(2, "let me in"))
	expectTold(t, m)
	if r := receipt(m); r != 0 {
		t.Errorf("a stranger gets a receipt up to %d", r)
	}

	// A restart in between changes nothing.
	m = messengerOf(t, m.profile)
	if err := m.accept("Bobby", "bob"); err != nil {
		t.Fatal(err)
	}
	expectTold(t, m, "bob is accepted")
	if got, want := outbox(m), fmt.Sprintf("1:%d", message.Accept); got != want {
		t.Errorf("the outbox is %s, want %s", got, want)
	}
	if r := receipt(m); r != 1 {
		t.Errorf("the receipt is up to %d, want 1: that of the request", r)
	}
	deliver(t, m, bob(), testText(2, "let me in"))
	expectTold(t, m, "bob: let me in")
	if err := m.accept("Bobby", ""); !errors.Is(err, contact.ErrUnknown) {
		t.Errorf("accepting twice: %v", err)
	}
}

func TestRequestIsRejected(t *testing.T) {
	m := messengerOf(t, testProfile(t))
	deliver(t, m, bob(), ask("Bobby", ""))
	if err := m.reject(bob().hashid().String()); err != nil {
		t.Fatal(err)
	}
	expectTold(t, m, "request of Bobby: ", bob().hashid().String()+" is rejected")
	if got, want := outbox(m), fmt.Sprintf("1:%d", message.Reject); got != want {
		t.Errorf("the outbox is %s, want %s", got, want)
	}
	deliver(t, m, bob(), testText(2, "please"))
	again := ask("Bobby", "please")
	again.Sequence = 2
	deliver(t, m, bob(), again)
	expectTold(t, m)
	if r := receipt(m); r != 0 {
		t.Errorf("who was rejected gets a receipt up to %d", r)
	}
	deliver(t, m, bob(), ask("Bobby", "")) // as it does not know yet
	if r := receipt(m); r != 0 {
		t.Errorf("the repeats of who was rejected get a receipt up to %d", r)
	}
	if _, err := m.send(bob().hashid().String(), "hi"); !errors.Is(err, errNotAccepted) {
		t.Errorf("a text to somebody who was rejected: %v", err)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	m := messengerOf(t, testProfile(t))
	for i := range uint16(contact.MaxRequests + 3) {
		deliver(t, m, someone(i), ask("", ""))
	}
	if told := strings.Count(transcript(m), "request"); told != contact.MaxRequests {
		t.Errorf("%d requests were told of", told)
	}
	most := contact.MaxRequests
	want := map[string]int{bucketRequests: most, bucketConversations: most, bucketTalks: most, bucketHellos: most}
	if left := stored(t, m); len(m.conversations) != most || len(m.hellos) != most || !maps.Equal(left, want) {
		t.Errorf("%d conversations, %d first messages and %v are kept", len(m.conversations), len(m.hellos), left)
	}
}

// A contact who asks on and on is answered once at a time, and what waits for it
// does not grow.
func TestContactAsksAgain(t *testing.T) {
	m := friends(t)
	for n := range uint64(100) {
		again := ask("Bobby", "")
		again.Sequence, again.ID = n+1, message.ID{byte(n), 1}
		deliver(t, m, bob(), again)
	}
	expectTold(t, m)
	if got, want := outbox(m), fmt.Sprintf("1:%d", message.Accept); got != want {
		t.Errorf("the outbox is %s, want %s", got, want)
	}
	if r := receipt(m); r != 100 {
		t.Errorf("the receipt is up to %d", r)
	}
}

func TestAskingSomebody(t *testing.T) {
	m := messengerOf(t, testProfile(t))
	if err := m.add(m.profile.Hashid(), "me", ""); err == nil {
		t.Error("one's own hashid was added")
	}
	if err := m.add(bob().hashid(), "bob", strings.Repeat("x", message.MaxRequestText+1)); err == nil {
		t.Error("a request took a text that is too long")
	}
	if err := m.add(bob().hashid(), "bob", "\xff"); err == nil {
		t.Error("a request took a text that is none")
	}
	if err := m.add(bob().hashid(), "/bob", ""); err == nil {
		t.Error("a bad name was taken")
	}
	if err := m.add(bob().hashid(), "bob", "it is me"); err != nil {
		t.Fatal(err)
	}
	if err := m.add(bob().hashid(), "robert", ""); err == nil || !strings.Contains(err.Error(), `"bob" already (requested)`) {
		t.Errorf("adding twice: %v", err)
	}
	if err := m.add(someone(3).hashid(), "bob", ""); err == nil {
		t.Error("one name was given to two contacts")
	}
	if _, err := m.send("bob", "hi"); err != nil {
		t.Fatal(err)
	}
	expectTold(t, m, "bob is requested", "queued waits until the contact accepts the request")

	// Only the request goes out before the answer.
	due, _, _, _ := m.takeDue(m.conversation(bob().hashid()))
	if len(due) != 1 || due[0].Kind != message.Request || string(due[0].Text) != "it is me" {
		t.Errorf("due are %v", due)
	}
	yes := say(message.Accept, 1)
	yes.Nick = "Bobby"
	deliver(t, m, bob(), yes)
	expectTold(t, m, "bob is accepted")
	if got, want := outbox(m), fmt.Sprintf("2:%d", message.Text); got != want {
		t.Errorf("the outbox is %s, want %s", got, want)
	}
	if r := receipt(m); r != 1 {
		t.Errorf("the receipt is up to %d", r)
	}
	if c, _ := m.book.Contact(bob().hashid()); c.Nick != "Bobby" {
		t.Errorf("the contact is %v", c)
	}
	no := say(message.Reject, 2)
	deliver(t, m, bob(), no)
	expectTold(t, m)
	if c, _ := m.book.Contact(bob().hashid()); c.State != contact.Accepted {
		t.Errorf("who said yes is %s after saying no", c.State)
	}
}

func TestAskingInVain(t *testing.T) {
	m := messengerOf(t, testProfile(t))
	if err := m.add(bob().hashid(), "bob", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := m.send("bob", "hi"); err != nil {
		t.Fatal(err)
	}
	transcript(m)
	deliver(t, m, bob(), say(message.Reject, 1))
	expectTold(t, m, "bob is rejected", "failed the contact said no")
	if m.queued() != 0 {
		t.Errorf("%d messages are left", m.queued())
	}
	if err := m.add(bob().hashid(), "bob", "please"); err != nil {
		t.Errorf("asking again: %v", err)
	}
	expectTold(t, m, "bob is requested")
}

// Two who ask each other have both said yes.
func TestBothAsk(t *testing.T) {
	m := messengerOf(t, testProfile(t))
	if err := m.add(bob().hashid(), "bob", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := m.send("bob", "hi"); err != nil {
		t.Fatal(err)
	}
	deliver(t, m, bob(), ask("Bobby", ""))
	expectTold(t, m, "bob is requested", "queued waits until the contact accepts the request", "bob is accepted")
	for range 2 { // he takes no text before the answer, so that goes first
		if got, want := outbox(m), fmt.Sprintf("1:%d 2:%d", message.Accept, message.Text); got != want {
			t.Errorf("the outbox is %s, want %s", got, want)
		}
		m = messengerOf(t, m.profile)
	}
	deliver(t, m, bob(), func() *message.Message { a := say(message.Accept, 2); a.Nick = "Bobby"; return a }())
	if r := receipt(m); r != 2 {
		t.Errorf("the receipt is up to %d", r)
	}

	// And who adds the one that has asked accepts.
	m = messengerOf(t, testProfile(t))
	deliver(t, m, bob(), ask("Bobby", ""))
	if err := m.add(bob().hashid(), "bob", ""); err != nil {
		t.Fatal(err)
	}
	expectTold(t, m, "request of Bobby: ", "bob is accepted")
}

// Whoever has not said yes gets no receipt, whatever it sends.
func TestNoReceiptBeforeTheAnswer(t *testing.T) {
	m := messengerOf(t, testProfile(t))
	if err := m.add(bob().hashid(), "bob", ""); err != nil {
		t.Fatal(err)
	}
	deliver(t, m, bob(), testText(5, "five"))
	deliver(t, m, bob(), testText(4, "four"))
	if r := receipt(m); r != 0 {
		t.Errorf("the receipt is up to %d", r)
	}
	expectTold(t, m, "bob is requested")
	yes := say(message.Accept, 5)
	yes.Base = 5
	deliver(t, m, bob(), yes)
	if r := receipt(m); r != 5 {
		t.Errorf("the receipt is up to %d, want 5", r)
	}
}

// Whoever was asked and writes has said yes, also if the answer is not there: this profile is a copy
// from before it.
func TestTextsAreAnAnswer(t *testing.T) {
	for _, kind := range []message.Kind{message.Text, message.Link} {
		m := messengerOf(t, testProfile(t))
		if err := m.add(bob().hashid(), "bob", ""); err != nil {
			t.Fatal(err)
		}
		if _, err := m.send("bob", "waiting"); err != nil {
			t.Fatal(err)
		}
		transcript(m)
		first := testText(3, "hi")
		if kind != message.Text {
			first = say(kind, 3)
		}
		if kind == message.Link {
			first.Link = record.LinkKey(seeded(9)[32:])
		}
		begin(t, m, bob(), first) // it has to wait for its turn
		expectTold(t, m)
		first.Base = 3 // two were confirmed before
		deliver(t, m, bob(), first)
		told := []string{"bob is accepted"}
		if kind == message.Text {
			told = []string{"bob: hi", "bob is accepted"}
		}
		expectTold(t, m, told...)
		m = messengerOf(t, m.profile)
		if got, want := outbox(m), fmt.Sprintf("2:%d", message.Text); got != want {
			t.Errorf("the outbox is %s, want %s", got, want)
		}
		if who := contactOf(t, m, bob()); who.Link != first.Link || who.State != contact.Accepted {
			t.Errorf("the contact is %+v", who)
		}
	}
}

// So they are when the request was given up long ago.
func TestTextIsALateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := messengerOf(t, testProfile(t))
		if err := m.add(bob().hashid(), "bob", ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(giveUpAfter + time.Minute)
		c := m.conversation(bob().hashid())
		if m.giveUp(c, time.Now()); len(c.outbox) != 0 {
			t.Fatalf("the outbox is %s", outbox(m))
		}
		transcript(m)
		deliver(t, m, bob(), testText(1, "hi"))
		expectTold(t, m, "bob: hi", "bob is accepted")
		for range 2 {
			if who := contactOf(t, m, bob()); who.State != contact.Accepted || !who.Last.Equal(time.Now()) {
				t.Errorf("the contact is %+v", who)
			}
			m = messengerOf(t, m.profile)
		}
	})
}

// Who said no and then asks has changed their mind; who was told no has not been
// asked.
func TestChangeOfMind(t *testing.T) {
	m := messengerOf(t, testProfile(t))
	if err := m.add(bob().hashid(), "bob", ""); err != nil {
		t.Fatal(err)
	}
	deliver(t, m, bob(), say(message.Reject, 1))
	expectTold(t, m, "bob is requested", "bob is rejected")
	if r := receipt(m); r != 1 {
		t.Errorf("the receipt of a no is up to %d", r)
	}
	deliver(t, m, bob(), say(message.Reject, 1))
	if r := receipt(m); r != 1 {
		t.Errorf("the receipt of a repeated no is up to %d", r)
	}
	deliver(t, m, bob(), testText(2, "and stay away"))
	expectTold(t, m)
	m = messengerOf(t, m.profile) // who said no is remembered
	again := ask("Bobby", "sorry, I do know you")
	again.Sequence = 2
	deliver(t, m, bob(), again)
	expectTold(t, m, "bob is accepted")
	if !strings.HasSuffix(outbox(m), fmt.Sprintf(":%d", message.Accept)) {
		t.Errorf("the outbox is %s", outbox(m))
	}
	if r := receipt(m); r != 2 {
		t.Errorf("the receipt is up to %d", r)
	}

	m = messengerOf(t, testProfile(t))
	deliver(t, m, bob(), ask("Bobby", ""))
	if err := m.reject("Bobby"); err != nil {
		t.Fatal(err)
	}
	m = messengerOf(t, m.profile)
	deliver(t, m, bob(), again)
	deliver(t, m, bob(), say(message.Accept, 2))
	expectTold(t, m)
	if c, _ := m.book.Contact(bob().hashid()); c.State != contact.Rejected || received(m) != 1 {
		t.Errorf("the contact is %s after %d", c.State, received(m))
	}
}

// The request that is answered by the other's own is not waited for any more.
func TestAgreementEndsTheRequest(t *testing.T) {
	m := messengerOf(t, testProfile(t))
	if err := m.add(bob().hashid(), "bob", ""); err != nil {
		t.Fatal(err)
	}
	good := m.profile.vault
	m.profile.vault = vault.Memory()
	m.profile.vault.Close()
	deliver(t, m, bob(), ask("Bobby", ""))
	if got, want := outbox(m), fmt.Sprintf("1:%d", message.Request); got != want || received(m) != 0 {
		t.Errorf("the outbox is %s, want %s: nothing can be stored", got, want)
	}
	m.profile.vault = good
	deliver(t, m, bob(), ask("Bobby", ""))
	for range 2 {
		if got, want := outbox(m), fmt.Sprintf("1:%d", message.Accept); got != want {
			t.Errorf("the outbox is %s, want %s", got, want)
		}
		m = messengerOf(t, m.profile)
	}
}

// A stranger is told of once, however often and under whatever name it asks.
func TestStrangerAsksAgain(t *testing.T) {
	m := messengerOf(t, testProfile(t))
	for i := range uint64(500) {
		r := ask(fmt.Sprint("Bobby", i), fmt.Sprint(i))
		r.Sequence, r.Base = i+1, i+1
		deliver(t, m, bob(), r)
	}
	expectTold(t, m, "request of Bobby0: 0")
	for range 2 {
		if r, ok := m.book.Request(bob().hashid()); !ok || r.Nick != "Bobby0" || r.Text != "0" {
			t.Errorf("the request is %+v", r)
		}
		if err := m.accept("Bobby499", ""); err == nil {
			t.Error("the request goes by another name")
		}
		if received(m) == 500 {
			m = messengerOf(t, m.profile)
			deliver(t, m, bob(), func() *message.Message { r := ask("x", ""); r.Sequence, r.Base = 501, 501; return r }())
			expectTold(t, m)
		}
	}
	if err := m.accept("Bobby0", ""); err != nil {
		t.Fatal(err)
	}
	if r := receipt(m); r != 501 {
		t.Errorf("the receipt is up to %d", r)
	}
}

// A stranger who was rejected holds no name that others could have.
func TestRejectedStrangerHasNoName(t *testing.T) {
	m := messengerOf(t, testProfile(t))
	deliver(t, m, bob(), ask("carol", ""))
	if err := m.reject("carol"); err != nil {
		t.Fatal(err)
	}
	carol := someone(10)
	if err := m.add(carol.hashid(), "carol", ""); err != nil {
		t.Fatal(err)
	}
	deliver(t, m, carol, say(message.Reject, 1))
	transcript(m)

	// Nor does who said no, once somebody else is called so.
	other := someone(11).hashid()
	if err := m.add(other, "carol", ""); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if c, err := m.book.Named("carol"); err != nil || c.Hashid != other {
			t.Errorf("carol is %v, %v", c.Hashid, err)
		}
		if c, err := m.book.Named(carol.hashid().String()); err != nil || c.Name != carol.hashid().String() || c.State != contact.Rejected {
			t.Errorf("who was called so is %+v, %v", c, err)
		}
		m = messengerOf(t, m.profile)
	}
}

// A receipt is an answer: who has not said yes sends none. It is one for the request, and nothing else.
func TestReceiptBeforeTheAnswer(t *testing.T) {
	m := messengerOf(t, testProfile(t))
	if err := m.add(bob().hashid(), "bob", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := m.send("bob", "x"); err != nil {
		t.Fatal(err)
	}
	transcript(m)
	sealDue(t, m, bob())
	deliver(t, m, bob(), receiptFor(m, bob(), 2)) // was never sent
	expectTold(t, m)
	if got, want := outbox(m), fmt.Sprintf("1:%d 2:%d", message.Request, message.Text); got != want {
		t.Errorf("the outbox is %s, want %s", got, want)
	}
	deliver(t, m, bob(), receiptFor(m, bob(), 1))
	expectTold(t, m, "bob is accepted")
	for range 2 {
		if got, want := outbox(m), fmt.Sprintf("2:%d", message.Text); got != want {
			t.Errorf("the outbox is %s, want %s", got, want)
		}
		m = messengerOf(t, m.profile)
	}
	yes := say(message.Accept, 1) // under way meanwhile
	yes.Nick = "Bobby"
	deliver(t, m, bob(), yes)
	expectTold(t, m)
	if c, _ := m.book.Contact(bob().hashid()); c.Nick != "Bobby" || c.State != contact.Accepted {
		t.Errorf("the contact is %+v", c)
	}
}

// Texts wait for the answer no longer than the request does: a request that is made anew does not
// stand behind them.
func TestRequestIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := messengerOf(t, testProfile(t))
		if err := m.add(bob().hashid(), "bob", ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * 24 * time.Hour)
		if _, err := m.send("bob", "hi"); err != nil {
			t.Fatal(err)
		}
		transcript(m)
		time.Sleep(4*24*time.Hour + time.Minute)
		c := m.conversation(bob().hashid())
		if _, _, _, idle := m.takeDue(c); !idle {
			t.Errorf("the outbox is %s", outbox(m))
		}
		expectTold(t, m, "failed the request was not answered for two weeks")
		if err := m.add(bob().hashid(), "bob", "again"); err != nil {
			t.Fatal(err)
		}
		if due, _ := sealDue(t, m, bob()); len(due) != 1 || string(readFirst(t, m, bob(), due[0].frame).Text) != "again" {
			t.Errorf("%d messages are due", len(due))
		}
	})
}

// Whoever is asked again may not have the session any more in which it was asked before.
func TestAskingAgainBeginsASession(t *testing.T) {
	m := messengerOf(t, testProfile(t))
	if err := m.add(bob().hashid(), "bob", ""); err != nil {
		t.Fatal(err)
	}
	sealDue(t, m, bob())
	begin(t, m, bob(), say(message.Reject, 1))
	sealDue(t, m, bob()) // the receipt
	c := m.conversation(bob().hashid())
	before := c.Current
	if err := m.add(bob().hashid(), "bob", "again"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		due, _ := sealDue(t, m, bob())
		if len(due) != 1 || m.conversation(bob().hashid()).Current == before {
			t.Fatalf("%d messages are due", len(due))
		}
		if first := readFirst(t, m, bob(), due[0].frame); first.Sequence != 1 || string(first.Text) != "again" {
			t.Errorf("%+v goes out", first)
		}
		m = messengerOf(t, m.profile)
	}
}

// Whoever was answered already is not asking: the error says how it stands.
func TestAnsweredAlready(t *testing.T) {
	m := friends(t)
	if err := m.accept("bob", ""); err == nil || !strings.Contains(err.Error(), "contact \"bob\" already (accepted)") {
		t.Errorf("accepting a contact: %v", err)
	}
	stranger := someone(9).hashid()
	deliver(t, m, someone(9), ask("", ""))
	if err := m.reject(stranger.String()); err != nil {
		t.Fatal(err)
	}
	for _, answer := range []func() error{
		func() error { return m.accept(stranger.String(), "") },
		func() error { return m.reject(stranger.String()) },
	} {
		if err := answer(); err == nil || !strings.Contains(err.Error(), "you have said no") {
			t.Errorf("answering somebody who was rejected: %v", err)
		}
	}
}
