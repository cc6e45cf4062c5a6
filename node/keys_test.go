package node

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/contact"
	"chatnt/node/control"
	"chatnt/node/message"
	"chatnt/node/safety"
	"chatnt/node/vault"
)

// forged is somebody with the Ed25519 key of another and an X25519 key of its own: who has
// stolen the one key, and not the other.
func forged(id *identity) *identity {
	return &identity{sign: id.sign, agreement: someone(77).agreement}
}

func contactOf(t *testing.T, m *messenger, id *identity) contact.Contact {
	t.Helper()
	who, ok := m.book.Contact(id.hashid())
	if !ok {
		t.Fatal("there is no such contact")
	}
	return who
}

func knownBy(who contact.Contact, id *identity) bool {
	keys, met := who.Keys()
	return met && keys == id.compared()
}

// judged is what becomes of bob when the person looks at his safety number, and says whether it is the same.
func judged(t *testing.T, m *messenger, same bool) control.Safety {
	t.Helper()
	_, _, shown, err := m.safety("bob")
	if err != nil {
		t.Fatal(err)
	}
	now, err := m.compare("bob", shown.QR, same)
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// keyWarning is what is said of bob's key.
const keyWarning = "warning: the identity key of bob has changed: somebody else may be using this name. Nothing goes to the new key, " +
	"and nothing that comes from it is taken in: compare what /verify bob shows, then type /verify bob yes, or no"

// A contact is known by the keys that it was first met with, however that was.
func TestKeysAreKept(t *testing.T) {
	for how, meet := range map[string]func(t *testing.T, m *messenger){
		"by its text":   func(t *testing.T, m *messenger) { begin(t, m, bob(), testText(1, "hi")) },
		"by a new hand": func(t *testing.T, m *messenger) { begin(t, m, bob(), say(message.Link, 1)) },
		"by its record": func(t *testing.T, m *messenger) { write(t, m) },
		"by its request": func(t *testing.T, m *messenger) {
			begin(t, m, bob(), ask("Bobby", ""))
		},
	} {
		t.Run(how, func(t *testing.T) {
			m := friends(t)
			if _, _, _, err := m.safety("bob"); !errors.Is(err, errNotMet) {
				t.Errorf("a number of keys that nobody knows: %v", err)
			}
			good := m.profile.vault
			m.profile.vault = closedVault()
			if how != "by its record" {
				meet(t, m)
			}
			if who := contactOf(t, m, bob()); !who.Key.IsZero() || !who.Identity.IsZero() {
				t.Error("it is known by keys that are stored nowhere")
			}
			m.profile.vault = good
			meet(t, m)
			for range 2 {
				if who := contactOf(t, m, bob()); !knownBy(who, bob()) || who.State != contact.Accepted {
					t.Errorf("it is %+v", who)
				}
				m = messengerOf(t, m.profile)
			}
		})
	}
}

// Who asks is known by the keys of the request once that is answered, and until then nobody else asks in its place.
func TestKeysOfARequest(t *testing.T) {
	m := messengerOf(t, testProfile(t))
	begin(t, m, bob(), ask("Bobby", ""))
	before := stored(t, m)
	begin(t, m, forged(bob()), ask("Bobby", ""))
	begin(t, m, forged(bob()), testText(1, "it is me"))
	expectTold(t, m, "request of Bobby: ")
	if after := stored(t, m); after[bucketTalks] != before[bucketTalks] || after[bucketHellos] != before[bucketHellos] {
		t.Errorf("%v are stored, after %v", after, before)
	}
	m = messengerOf(t, m.profile)
	if err := m.accept("Bobby", "bob"); err != nil {
		t.Fatal(err)
	}
	if who := contactOf(t, m, bob()); !knownBy(who, bob()) || who.Last.IsZero() {
		t.Errorf("it is %+v", who)
	}
	begin(t, m, forged(bob()), testText(1, "it is me"))
	expectTold(t, m, "bob is accepted", keyWarning)
}

// A session that another key begins is not taken in, leaves nothing, and is put to the person once.
func TestAnotherKeyBeginsASession(t *testing.T) {
	m := friends(t)
	begin(t, m, bob(), testText(1, "hi"))
	transcript(m)
	before := stored(t, m)
	for range 3 {
		begin(t, m, forged(bob()), testText(1, "send me money"))
		begin(t, m, forged(bob()), ask("Bobby", ""))
	}
	expectTold(t, m, keyWarning)
	third := &identity{sign: bob().sign, agreement: someone(78).agreement}
	begin(t, m, third, testText(1, "no, me"))
	expectTold(t, m)
	for key, n := range stored(t, m) {
		if before[key] != n {
			t.Errorf("%d are in %s, after %d", n, key, before[key])
		}
	}
	if _, err := m.send("bob", "here"); !errors.Is(err, contact.ErrKeyChanged) {
		t.Errorf("a text while nobody knows who it goes to: %v", err)
	}
	if _, err := m.sendAs("bob", "here", control.How{Verified: true}); !errors.Is(err, contact.ErrKeyChanged) {
		t.Errorf("the same for a verified contact: %v", err)
	}
	if who := contactOf(t, m, bob()); who.Key != bob().compared().Agreement || who.Offered != forged(bob()).compared().Agreement || !m.described(who).Changed {
		t.Errorf("it is %+v", who)
	}

	// What comes in the session that there is, is the contact's.
	deliver(t, m, bob(), testText(2, "still me"))
	expectTold(t, m, "bob: still me")

	// After a restart the person is told once more when it comes again.
	m = messengerOf(t, m.profile)
	begin(t, m, forged(bob()), testText(1, "send me money"))
	expectTold(t, m, keyWarning)
	begin(t, m, bob(), testText(1, "a new session"))
	expectTold(t, m, "bob: a new session")
}

// Nothing is sealed to another key that the record names: no text, new or waiting, no receipt, no session.
func TestAnotherKeyInTheRecord(t *testing.T) {
	for _, established := range []bool{false, true} {
		m := friends(t)
		if established {
			begin(t, m, bob(), testText(1, "hi"))
		}
		write(t, m) // and the record is known
		c := m.conversation(bob().hashid())
		if _, err := m.send("bob", "waiting"); err != nil {
			t.Fatal(err)
		}
		transcript(m)
		before := stored(t, m)
		due, receipts, _, _ := m.takeDue(c)
		m.mu.Lock()
		receipts = append(receipts, c.talks...)
		acks, err := m.sealAll(c, recordOf(forged(bob())), due, receipts)
		m.mu.Unlock()
		if !errors.Is(err, contact.ErrKeyChanged) || len(acks) != 0 {
			t.Errorf("%d receipts were sealed to another key: %v", len(acks), err)
		}
		if after := stored(t, m); after[bucketFrames] != before[bucketFrames] || after[bucketTalks] != before[bucketTalks] {
			t.Errorf("%v are stored, after %v", after, before)
		}
		waiting := due[len(due)-1]
		if waiting.frame != nil {
			t.Error("a text was sealed to another key")
		}
		expectTold(t, m, keyWarning)
		m.hold(c, []*outgoing{waiting}, nil, reasonKey)
		expectTold(t, m, "queued "+reasonKey)
		if sent, err := m.text(waiting.ID.String()); err != nil || !sent.Changed || sent.Reason != reasonKey || sent.State != control.Queued {
			t.Errorf("of the text is said %+v, %v", sent, err)
		}
	}
}

// A contact that is not to be heard is no news, whatever its key.
func TestAnotherKeyOfABlockedContact(t *testing.T) {
	m := friends(t)
	begin(t, m, bob(), testText(1, "hi"))
	if err := m.block("bob"); err != nil {
		t.Fatal(err)
	}
	transcript(m)
	begin(t, m, forged(bob()), testText(1, "hi"))
	expectTold(t, m)
	if who := contactOf(t, m, bob()); !who.Offered.IsZero() {
		t.Error("the key of a blocked contact is put to the person")
	}
}

// What cannot be stored is refused all the same.
func TestAnotherKeyThatCannotBeStored(t *testing.T) {
	m := friends(t)
	begin(t, m, bob(), testText(1, "hi"))
	transcript(m)
	good := m.profile.vault
	m.profile.vault = closedVault()
	begin(t, m, forged(bob()), testText(1, "send me money"))
	expectTold(t, m)
	m.profile.vault = good
	begin(t, m, forged(bob()), testText(1, "send me money"))
	expectTold(t, m, keyWarning)
}

// Both sides see one number, and each remembers its own answer.
func TestCompare(t *testing.T) {
	m := friends(t)
	write(t, m)
	_, pair, shown, err := m.safety("bob")
	if err != nil || shown.Verified || shown.Changed || shown.Name != "bob" || shown.Hashid != bob().hashid().String() {
		t.Fatalf("shown is %+v, %v", shown, err)
	}
	if theirs := safety.Of(bob().compared(), m.profile.identity.compared()); theirs != pair {
		t.Error("bob sees another number")
	}
	if _, err := m.sendAs("bob", "hi", control.How{Verified: true}); !errors.Is(err, contact.ErrUnverified) {
		t.Errorf("a text to a contact that was not compared: %v", err)
	}
	for _, wrong := range []string{"", "yes", "no", shown.Digits[:60], shown.Words[:40]} {
		for _, same := range []bool{true, false} {
			if _, err := m.compare("bob", wrong, same); !errors.Is(err, control.ErrOtherNumber) {
				t.Errorf("%q: %v", wrong, err)
			}
		}
	}
	if _, err := m.compare("carol", shown.QR, true); !errors.Is(err, contact.ErrUnknown) {
		t.Errorf("who is not there: %v", err)
	}
	for _, right := range []string{shown.Digits, strings.ToUpper(shown.Words), shown.QR} {
		if now, err := m.compare("bob", right, true); err != nil || !now.Verified || now.Digits != shown.Digits {
			t.Errorf("%.10q: %+v, %v", right, now, err)
		}
		m = messengerOf(t, m.profile)
		if _, err := m.sendAs("bob", "hi", control.How{Verified: true}); err != nil {
			t.Errorf("after %.10q: %v", right, err)
		}
		if now, err := m.compare("bob", right, false); err != nil || now.Verified {
			t.Errorf("no: %+v, %v", now, err)
		}
		if _, err := m.sendAs("bob", "hi", control.How{Verified: true}); !errors.Is(err, contact.ErrUnverified) {
			t.Errorf("after no: %v", err)
		}
	}
	m.profile.vault = closedVault()
	for _, same := range []bool{true, false} {
		if _, err := m.compare("bob", shown.QR, same); err == nil || !strings.Contains(err.Error(), "could not be stored") {
			t.Errorf("%v, with a vault that fails: %v", same, err)
		}
	}
}

// verifiedPeer is a messenger that has verified bob and shares a session with him, and to whom somebody comes
// with another key.
func verifiedPeer(t *testing.T) *messenger {
	t.Helper()
	m := friends(t)
	begin(t, m, bob(), testText(1, "hi"))
	if now := judged(t, m, true); !now.Verified {
		t.Fatalf("the contact is %+v", now)
	}
	if _, err := m.send("bob", "waiting"); err != nil {
		t.Fatal(err)
	}
	sealDue(t, m, bob())
	begin(t, m, forged(bob()), testText(1, "send me money"))
	expectTold(t, m, "bob: hi", "queued ", keyWarning)
	return m
}

// A key that the person takes for the contact's gets what waits, in a session of its own; the old one gets nothing more.
func TestAnotherKeyIsTrusted(t *testing.T) {
	m := verifiedPeer(t)
	was := contactOf(t, m, bob())
	_, pair, shown, err := m.safety("bob")
	if err != nil || !shown.Changed || shown.Verified || pair != safety.Of(forged(bob()).compared(), m.profile.identity.compared()) {
		t.Fatalf("shown is %+v, %v", shown, err)
	}
	good := m.profile.vault
	m.profile.vault = closedVault()
	if _, err := m.compare("bob", shown.QR, true); err == nil {
		t.Error("what could not be stored counts")
	}
	m.profile.vault = good
	if who := contactOf(t, m, bob()); who != was {
		t.Errorf("it is %+v", who)
	}
	now, err := m.compare("bob", shown.Digits, true)
	if err != nil || !now.Verified || now.Changed {
		t.Fatalf("the contact is %+v, %v", now, err)
	}
	expectTold(t, m, "warning: bob goes on with the new key")
	for range 2 {
		c := m.conversation(bob().hashid())
		if kept := stored(t, m); len(c.talks) != 0 || kept[bucketTalks] != 0 || kept[bucketFrames] != 0 || len(c.outbox) != 1 || c.outbox[0].frame != nil || c.Generation == 0 {
			t.Errorf("%d sessions are left, %d messages wait, and %v are stored", len(c.talks), len(c.outbox), kept)
		}
		m = messengerOf(t, m.profile)
	}
	if who := contactOf(t, m, bob()); !knownBy(who, forged(bob())) || !m.verified(who) {
		t.Errorf("it is %+v", who)
	}
	due, _ := sealDue(t, m, forged(bob()))
	if msg := readFirst(t, m, forged(bob()), due[0].frame); string(msg.Text) != "waiting" {
		t.Errorf("the new key reads %q", msg.Text)
	}
	// Now the old key is another one.
	begin(t, m, bob(), testText(1, "and me?"))
	expectTold(t, m, keyWarning)
	_, _, _, err = m.safety("bob")
	if err != nil {
		t.Error(err)
	}
}

// A key that the person refuses leaves everything as it was, and does not come back before they take that back.
func TestAnotherKeyIsRefused(t *testing.T) {
	m := verifiedPeer(t)
	if now := judged(t, m, false); now.Changed || !now.Verified {
		t.Fatalf("the contact is %+v", now)
	}
	expectTold(t, m, "warning: bob goes on with the key that it had")
	if who := contactOf(t, m, bob()); !knownBy(who, bob()) || !m.verified(who) {
		t.Errorf("it is %+v", who)
	}
	if _, err := m.sendAs("bob", "on we go", control.How{Verified: true}); err != nil {
		t.Error(err)
	}
	transcript(m)
	begin(t, m, forged(bob()), testText(1, "send me money"))
	expectTold(t, m)
	deliver(t, m, bob(), testText(2, "good"))
	expectTold(t, m, "bob: good")
	m = messengerOf(t, m.profile)
	m.unshown = nil
	begin(t, m, forged(bob()), testText(1, "send me money"))
	expectTold(t, m)
	if now := judged(t, m, false); now.Verified {
		t.Fatalf("the contact is %+v", now)
	}
	begin(t, m, forged(bob()), testText(1, "send me money"))
	expectTold(t, m, keyWarning)
}

// The sender does not go on with a record that names another key, and has it looked up again.
func TestSenderHoldsWhatWouldGoToAnotherKey(t *testing.T) {
	m := friends(t)
	begin(t, m, bob(), testText(1, "hi"))
	found, asked, at := forged(bob()), 0, time.Now()
	m.people.now = func() time.Time { return at }
	m.people.find = func(ctx context.Context, who record.Locator) (*record.KeyRecord, []byte, error) {
		asked++
		return finds(m.network, signedRecordOf(t, m.network, found, hashid.NodeID{9}, seq()+uint64(asked)))(ctx, who)
	}
	if _, err := m.send("bob", "hi"); err != nil {
		t.Fatal(err)
	}
	transcript(m)
	c := m.conversation(bob().hashid())
	due, receipts, _, _ := m.takeDue(c)
	m.sendAll(t.Context(), c, due, receipts)
	if asked != 0 || !receipts[0].receiptDue {
		t.Errorf("%d look-ups because something is sent", asked)
	}
	if _, err := m.people.locate(t.Context(), listed(bob()), false); err != nil {
		t.Fatal(err)
	}
	if wait := m.sendAll(t.Context(), c, due, receipts); wait != repeatLast || !receipts[0].receiptDue {
		t.Errorf("the next attempt is in %v", wait)
	}
	expectTold(t, m, keyWarning, "queued "+reasonKey)
	if due[0].frame != nil || asked != 1 || !suspected(m, c) {
		t.Errorf("after %d look-ups the record is to be used", asked)
	}
	found, at = bob(), at.Add(repeatLast)
	if _, err := m.people.locate(t.Context(), listed(bob()), suspected(m, c)); err != nil {
		t.Fatal(err)
	}
	m.sendAll(t.Context(), c, due, receipts)
	if asked != 2 || suspected(m, c) {
		t.Errorf("after %d look-ups the record is not to be used", asked)
	}
	if told := transcript(m); !strings.HasPrefix(told, "queued ") || strings.Contains(told, reasonKey) {
		t.Errorf("the person was told %q", told)
	}
}

// An answer is to the number that was shown: it counts for no other.
func TestKeyChangesBeforeTheAnswer(t *testing.T) {
	m := friends(t)
	begin(t, m, bob(), testText(1, "hi"))
	who, pair, shown, err := m.safety("bob")
	if err != nil {
		t.Fatal(err)
	}
	begin(t, m, forged(bob()), testText(1, "hi")) // while the two compare
	before := contactOf(t, m, bob())
	for _, same := range []bool{true, false} {
		if _, err := m.compare("bob", shown.QR, same); !errors.Is(err, control.ErrOtherNumber) {
			t.Errorf("%v to a number of other keys: %v", same, err)
		}
	}
	if who := contactOf(t, m, bob()); who != before || who.Key != bob().compared().Agreement {
		t.Errorf("it is %+v", who)
	}
	if _, err := m.judge(who, pair, true); err == nil || !strings.Contains(err.Error(), "changed just now") {
		t.Errorf("an answer to a number of other keys: %v", err)
	}
	if who := contactOf(t, m, bob()); m.verified(who) || !who.Verified.At.IsZero() {
		t.Errorf("it is %+v", who)
	}
	if err := m.remove("bob", func(contact.Contact) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := m.judge(who, pair, true); err == nil {
		t.Error("somebody who is no contact is verified")
	}
}

// Whoever asks somebody again after a no knows it by the same keys.
func TestKeysOutliveANo(t *testing.T) {
	m := messengerOf(t, testProfile(t))
	if err := m.add(bob().hashid(), "bob", ""); err != nil {
		t.Fatal(err)
	}
	sealDue(t, m, bob())
	deliver(t, m, bob(), say(message.Reject, 1))
	if err := m.add(bob().hashid(), "bob", "please"); err != nil {
		t.Fatal(err)
	}
	if who := contactOf(t, m, bob()); !knownBy(who, bob()) || who.State != contact.Requested {
		t.Errorf("it is %+v", who)
	}
}

// When something was last exchanged is stored with it.
func TestLastExchange(t *testing.T) {
	m := friends(t)
	at := time.Now().Truncate(time.Second)
	m.now = func() time.Time { return at }
	last := func(want time.Time) {
		t.Helper()
		for range 2 {
			if who := contactOf(t, m, bob()); !who.Last.Equal(want) {
				t.Errorf("the last exchange was %v, want %v", who.Last, want)
			}
			m = messengerOf(t, m.profile)
		}
		m.now = func() time.Time { return at }
	}
	last(time.Time{})
	begin(t, m, bob(), testText(1, "hi"))
	last(at)
	at = at.Add(time.Hour)
	if _, err := m.send("bob", "hi"); err != nil {
		t.Fatal(err)
	}
	sealDue(t, m, bob())
	last(at.Add(-time.Hour))
	deliver(t, m, bob(), receiptFor(m, bob(), 1))
	last(at)
}

// The vault has the keys of a contact beside it, once it was met.
func TestKeysAreStoredOnce(t *testing.T) {
	m := friends(t)
	who := contactOf(t, m, bob())
	err := m.profile.vault.Update(func(tx *vault.Tx) error {
		if err := storeKeys(tx, someone(9).hashid(), someone(9).compared()); err != nil {
			return err
		}
		if err := storeKeys(tx, who.Hashid, bob().compared()); err != nil {
			return err
		}
		return storeKeys(tx, who.Hashid, bob().compared())
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := stored(t, m)[bucketContacts]; n != 1 {
		t.Errorf("%d contacts are stored", n)
	}
	err = m.profile.vault.Update(func(tx *vault.Tx) error { return storeKeys(tx, who.Hashid, forged(bob()).compared()) })
	if !errors.Is(err, contact.ErrKeyChanged) {
		t.Errorf("other keys were stored: %v", err)
	}
}
