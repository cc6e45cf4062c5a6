package node

import (
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/record"
	"chatnt/node/contact"
	"chatnt/node/message"
)

// What was said of a link key in a session that its sender has left is not the last word: it was said
// again in the next, and what came later there stays.
func TestLateLinkIsNoNews(t *testing.T) {
	first, second := record.LinkKey(seeded(8)[32:]), record.LinkKey(seeded(9)[32:])
	for _, kind := range []message.Kind{message.Link, message.Request} {
		m := friends(t)
		late := initiate(t, m, bob())
		session := initiate(t, m, bob())
		anew := say(message.Link, 1)
		anew.Generation, anew.Link = 2, second
		m.arrived(sealIn(t, session, anew))
		answer(t, m, session)
		m.arrived(sealIn(t, session, testText(2, "x"))) // so that both have it
		transcript(m)

		old := say(kind, 1)
		old.Link = first
		m.arrived(sealIn(t, late, old))
		for range 2 {
			if who := contactOf(t, m, bob()); who.Link != second {
				t.Errorf("after a late message of kind %d he is looked for by %.8x", kind, who.Link)
			}
			m = messengerOf(t, m.profile)
		}
	}
}

// The same of a stranger who has asked anew since.
func TestLateLinkOfAStranger(t *testing.T) {
	m := messengerOf(t, testProfile(t))
	late, session := initiate(t, m, bob()), initiate(t, m, bob())
	anew, old := ask("Bobby", "hi"), ask("Bobby", "hi")
	anew.Link, old.Link = record.LinkKey(seeded(9)[32:]), record.LinkKey(seeded(8)[32:])
	anew.Generation = 2
	m.arrived(sealIn(t, session, anew))
	transcript(m)
	m.arrived(sealIn(t, late, old))
	expectTold(t, m)
	for range 2 {
		if asking, _ := m.book.Request(bob().hashid()); asking.Link != anew.Link {
			t.Errorf("the answer goes by %.8x", asking.Link)
		}
		m = messengerOf(t, m.profile)
	}
}

// Who has removed a contact and asks anew, by the hashid, has no link key any more: it is told, though
// it has confirmed the very same one before.
func TestWhoAsksAnewIsToldAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 1)
		p.alice.unlist()
		p.settle()
		p.bob.follows()
		if err := p.alice.m.profile.SetListed(true, time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := p.bob.m.remove("alice", func(contact.Contact) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if err := p.bob.m.add(p.alice.m.profile.Hashid(), "alice", ""); err != nil {
			t.Fatal(err)
		}
		if who := contactOf(t, p.bob.m, p.alice.m.profile.identity); !who.Link.IsZero() {
			t.Fatalf("bob looks for alice by %.8x", who.Link)
		}
		for range 3 {
			p.exchange(true)
			p.sleep(repeatAsk)
		}
		p.settle()
		p.bob.follows()
	})
}

// Whoever comes with another identity key, and is taken for the contact, is told again.
func TestWhoHasAnotherKeyIsToldAnew(t *testing.T) {
	m := friends(t)
	begin(t, m, bob(), testText(1, "hi"))
	if err := m.profile.SetListed(false, time.Now()); err != nil {
		t.Fatal(err)
	}
	m.tellLinks()
	sealDue(t, m, bob())
	deliver(t, m, bob(), receiptFor(m, bob(), 1))
	link := m.profile.listing.now().linkKey()
	if who := contactOf(t, m, bob()); who.Told != link || outbox(m) != "" {
		t.Fatalf("the contact is %+v, the outbox %s", who, outbox(m))
	}
	begin(t, m, forged(bob()), testText(1, "my new machine"))
	if now := judged(t, m, true); !now.Verified {
		t.Fatalf("the contact is %+v", now)
	}
	if who := contactOf(t, m, bob()); !who.Told.IsZero() {
		t.Errorf("the new key is taken to have %.8x", who.Told)
	}
	due, _ := sealDue(t, m, forged(bob()))
	if len(due) != 1 || readFirst(t, m, forged(bob()), due[0].frame).Link != link {
		t.Errorf("%d messages go to the new key", len(due))
	}
}

// So is whoever asks in the session that both have, and whoever is asked again after a no.
func TestWhoMayHaveForgottenIsToldAnew(t *testing.T) {
	m := friends(t)
	begin(t, m, bob(), testText(1, "hi"))
	if err := m.profile.SetListed(false, time.Now()); err != nil {
		t.Fatal(err)
	}
	m.tellLinks()
	sealDue(t, m, bob())
	deliver(t, m, bob(), receiptFor(m, bob(), 1))
	asking := ask("Bobby", "who are you?")
	asking.Sequence = 2
	deliver(t, m, bob(), asking)
	if got, want := outbox(m), "2:3 3:6"; got != want {
		t.Errorf("the outbox is %s, want %s", got, want)
	}
	sealDue(t, m, bob())
	deliver(t, m, bob(), receiptFor(m, bob(), 3))
	if who := contactOf(t, m, bob()); who.Told.IsZero() {
		t.Fatalf("the contact is %+v", who)
	}
	no := contactOf(t, m, bob())
	no.State = contact.Rejected
	m.mu.Lock()
	err := m.putContact(no)
	m.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.add(bob().hashid(), "bob", ""); err != nil {
		t.Fatal(err)
	}
	if who := contactOf(t, m, bob()); !who.Told.IsZero() || who.State != contact.Requested {
		t.Errorf("the contact is %+v", who)
	}
}
