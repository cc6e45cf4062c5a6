package node

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/contact"
	"chatnt/node/message"
	"chatnt/node/vault"
)

// Who is not listed is not on another machine either: what is published there is what was here, and each
// link key that was given up stays so.
func TestRestoredListing(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	on := func(l listing) (listing, error) { return l.with(true, now) }
	off := func(l listing) (listing, error) { return l.with(false, now) }
	anew := func(l listing) (listing, error) { return l.relink(now) }
	publish := func(l listing) (listing, error) { l.signed = true; return l, nil }
	type life []func(listing) (listing, error)
	for _, tt := range []struct {
		name string
		life
		publish string
	}{
		{"always listed", nil, "by the hashid found; 2 copies"},
		{"never listed", life{off}, "by the hashid nothing, by the link found; 2 copies"},
		{"not listed any more", life{publish, off}, "by the hashid withdrawn, by the link found; 4 copies"},
		{"a link given up", life{off, anew}, "by the hashid nothing, by the link found, by an old one withdrawn; 4 copies"},
		{"listed again", life{publish, off, on}, "by the hashid found, by the link found; 4 copies"},
	} {
		p := testProfile(t)
		for _, change := range tt.life {
			lists(t, p, now, change)
		}
		restored := takenBack(t, packed(t, p))
		if got, want := restored.listing.now().linkKey(), p.listing.now().linkKey(); got != want {
			t.Errorf("%s: the link key is %.8x, and was %.8x", tt.name, got, want)
		}
		for what, p := range map[string]*Profile{"here": p, "there": restored} {
			if got := standing(t, &Node{profile: p, now: func() time.Time { return now }}, now); got != tt.publish {
				t.Errorf("%s, %s: %s\nwant %s", tt.name, what, got, tt.publish)
			}
		}
	}
}

// A contact who is found by a link only is found on another machine, by what is remembered of it and by a look-up.
func TestRestoredContactsAreFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := friends(t)
		at := linkedTo(bob(), seeded(9))
		publishes := func(node byte) {
			copies, err := prekeysOf(bob()).keyRecord(bob(), hashid.NodeID{node}, seq(), time.Now()).Copies(m.network, bob().sign, seeded(9))
			if err != nil {
				t.Fatal(err)
			}
			m.people.find = finds(m.network, copies[0].Value)
		}
		publishes(1)
		m.mu.Lock()
		before, _ := m.book.Contact(bob().hashid())
		err := m.putContact(before.At(at.Link))
		m.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.people.locate(t.Context(), at, false); err != nil {
			t.Fatal(err)
		}
		raw := packed(t, m.profile)
		time.Sleep(time.Minute)
		m = messengerOf(t, takenBack(t, raw))
		who, _ := m.book.Contact(bob().hashid())
		if who.Link != at.Link {
			t.Fatalf("the contact is %+v", who)
		}
		if rec := m.people.known(bob().hashid()); rec == nil || rec.Inbox.Node != (hashid.NodeID{1}) {
			t.Errorf("what is remembered is %+v", rec)
		}
		publishes(2)
		time.Sleep(recordFresh)
		if rec, err := m.people.locate(t.Context(), at, false); err != nil || rec.Inbox.Node != (hashid.NodeID{2}) {
			t.Errorf("what is found is %+v, %v", rec, err)
		}
	})
}

// Somebody who asks while not listed is answered from another machine.
func TestRestoredRequestByLink(t *testing.T) {
	m := messengerOf(t, testProfile(t))
	asking := ask("Bobby", "it is me")
	asking.Link = record.LinkKey(seeded(9)[32:])
	deliver(t, m, bob(), asking)
	m = messengerOf(t, takenBack(t, packed(t, m.profile)))
	if err := m.accept("Bobby", "bob"); err != nil {
		t.Fatal(err)
	}
	if who, _ := m.book.Contact(bob().hashid()); who.Link != linkedTo(bob(), seeded(9)).Link {
		t.Errorf("the contact is %+v", who)
	}
}

// A backup may be of before a link key was given up: whom the newer one was told is told again where this profile
// is to be found. Whoever else holds what was told before is told it once more.
func TestRestoredPairFollows(t *testing.T) {
	for seed := range seeds(10, 200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, seed)
				w := weather{lose: 100, replay: 30, restart: 10, late: true}
				steps := func(n int) {
					for step := range n {
						if step%60 == 10 {
							p.sides()[step/60%2].unlist()
						}
						p.step(w)
					}
				}
				steps(150)
				raw := p.alice.backUp()
				steps(150)
				p.alice.restore(raw)
				if who, _ := p.alice.m.book.Contact(p.bob.m.profile.Hashid()); !who.Told.IsZero() {
					t.Errorf("bob is taken to have %.8x", who.Told)
				}
				p.alice.m.tellLinks()
				steps(60)
				for _, s := range p.sides() {
					s.restart()
					s.m.tellLinks()
				}
				p.settle()
				p.heal()
				for _, s := range p.sides() {
					s.follows()
				}
				p.verify()
				if t.Failed() {
					t.Log(p)
				}
			})
		})
	}
}

// A profile of before there was a link key, restored or copied back, is found by the hashid again, whatever its contact was
// told since, and in which of the two ways it is noticed.
func TestBackBeforeTheLink(t *testing.T) {
	for name, back := range map[string]func(s *side) func(){
		"restored": func(s *side) func() { raw := s.backUp(); return func() { s.restore(raw) } },
		"copied":   func(s *side) func() { s.copy(); return s.rollBack },
	} {
		for _, first := range []string{"alice", "bob"} {
			t.Run(name+", "+first+" writes", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := newPair(t, 1)
					talk := func() {
						for _, s := range p.sides() {
							p.texts++
							s.say(p.texts)
							p.settle()
						}
					}
					talk()
					goBack := back(p.alice)
					p.alice.unlist()
					talk()
					if p.bob.follows(); p.alice.link().IsZero() {
						t.Fatal("alice has no link key")
					}
					goBack()
					p.alice.m.tellLinks() // as at each start
					for _, s := range p.sides() {
						if s.name == first {
							p.texts++
							s.say(p.texts)
						}
					}
					p.settle()
					p.heal()
					if p.bob.follows(); !p.alice.link().IsZero() {
						t.Error("alice has a link key again")
					}
					if p.verify(); len(p.alice.conversation().outbox) != 0 {
						t.Errorf("alice has %d messages left", len(p.alice.conversation().outbox))
					}
				})
			})
		}
	}
}

// A contact for whom a text waits is told, too, and one who waits to be told is not told twice.
func TestRestoredSaysOnceWhereItIsFound(t *testing.T) {
	for _, unlist := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, 1)
			p.alice.say(1)
			if unlist {
				p.alice.unlist()
			}
			p.alice.restore(p.alice.backUp())
			p.alice.m.tellLinks()
			var links []record.LinkKey
			for _, item := range p.alice.conversation().outbox {
				if item.Kind == message.Link {
					links = append(links, item.Link)
				}
			}
			if len(links) != 1 || links[0] != p.alice.link() || links[0].IsZero() == unlist {
				t.Errorf("bob is told %.8x", links)
			}
		})
	}
}

// A backup that says who was told a link key is none that was written here.
func TestBackupSaysNotWhoWasTold(t *testing.T) {
	m := friends(t)
	who, _ := m.book.Contact(bob().hashid())
	who.Told = record.LinkKey(seeded(9)[32:])
	err := m.profile.vault.Update(func(tx *vault.Tx) error { return storeContact(tx, who) })
	if err != nil {
		t.Fatal(err)
	}
	restored := messengerOf(t, takenBack(t, packed(t, m.profile)))
	if again, _ := restored.book.Contact(bob().hashid()); !again.Told.IsZero() || again.State != contact.Accepted {
		t.Errorf("the contact is %+v", again)
	}
}
