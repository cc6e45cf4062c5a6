package node

import (
	"context"
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/contact"
	"chatnt/node/message"
	"chatnt/overlay/path"
)

// unlist has a side not listed any more, or its link given up, and its contacts told.
func (s *side) unlist() record.LinkKey {
	s.t.Helper()
	now := time.Now()
	_, err := s.m.profile.listing.change(s.m.profile.vault, func(l listing) (listing, error) {
		if l.listed {
			return l.with(false, now)
		}
		return l.relink(now)
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.m.tellLinks()
	return s.link()
}

func (s *side) link() record.LinkKey { return s.m.profile.listing.now().linkKey() }

// follows checks that a side finds its peer where that is, and that the peer knows so.
func (s *side) follows() {
	s.t.Helper()
	there, _ := s.m.book.Contact(s.peer.m.profile.Hashid())
	back, _ := s.peer.m.book.Contact(s.m.profile.Hashid())
	if want := s.peer.link(); there.Link != want || back.Told != want {
		s.t.Errorf("%s looks for %s by %.8x, as %s was told by %.8x, and it is %.8x", s.name, s.peer.name, there.Link, s.peer.name, back.Told, want)
	}
}

// Contacts follow somebody who is not listed any more, through losses, crashes, full disks, older
// copies put in place, and links that are given up one after the other. Nothing of it is shown.
func TestPairFollows(t *testing.T) {
	for seed := range seeds(10, 300) {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, seed)
			w := weather{lose: 150, replay: 30, restart: 10, fail: 50, late: true}
			if seed%2 > 0 {
				w.copy, w.rollBack = 20, 10
			}
			for step := range 400 {
				if s := p.sides()[step/50%2]; step%50 == 10 && s.until == 0 {
					s.unlist()
				}
				p.step(w)
			}
			for _, s := range p.sides() { // a vault may have failed as a link was told: the next start does it
				s.restart()
				s.m.tellLinks()
			}
			p.settle()
			p.heal()
			for _, s := range p.sides() {
				s.follows()
				if n := len(s.conversation().outbox); n > 0 {
					t.Errorf("%s has %d messages left", s.name, n)
				}
			}
			p.verify()
			if t.Failed() {
				t.Log(seed, p)
			}
		})
	}
}

// A contact who is away for longer than messages are kept is told when it is back, whether this node has run all the
// time or begins anew then. What was to tell it of a link key that was given up since is given up, too.
func TestContactWhoIsAway(t *testing.T) {
	for name, pass := range map[string]func(p *pair){
		"all the time": func(p *pair) {
			p.alice.m.giveUp(p.alice.conversation(), time.Now())
		},
		"since a while": func(p *pair) {
			p.alice.restart()
			p.alice.m.tellLinks()
			time.Sleep(giveUpUptime)
			p.alice.m.takeDue(p.alice.conversation())
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, 1)
				p.texts++
				p.alice.say(p.texts)
				p.settle()
				p.alice.unlist()
				p.alice.flush(true)
				p.alice.unlist()
				if _, err := p.alice.m.send("bob", "will be forgotten"); err != nil {
					t.Fatal(err)
				}
				p.wire.flying = nil
				time.Sleep(giveUpAfter + time.Minute)
				transcript(p.alice.m)
				pass(p)
				waits := p.alice.conversation().outbox
				if len(waits) != 1 || waits[0].Link != p.alice.link() {
					t.Fatalf("%d messages wait", len(waits))
				}
				expectTold(t, p.alice.m, "failed not acknowledged for two weeks")
				p.settle()
				p.bob.follows()
			})
		})
	}
}

// Who does not come back at all is looked for now and then, for ever.
func TestContactWhoNeverComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := friends(t)
		asked := 0
		m.people.find = func(context.Context, record.Locator) (*record.KeyRecord, []byte, error) {
			asked++
			return nil, nil, discovery.ErrNoKeyRecord
		}
		if err := m.profile.SetListed(false, time.Now()); err != nil {
			t.Fatal(err)
		}
		m.tellLinks()
		time.Sleep(giveUpAfter + time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); m.run(ctx) }()
		time.Sleep(10 * time.Hour)
		synctest.Wait()
		if most := int(10*time.Hour/repeatAsk + 10*time.Hour/fetchEvery); asked < most/2 || asked > most+1 {
			t.Errorf("%d look-ups in ten hours", asked)
		}
		cancel()
		<-ended
	})
}

// Who is not listed can ask somebody, and is answered: the request says where. Nobody finds out
// before it asks.
func TestUnlistedAsks(t *testing.T) {
	for name, answer := range map[string]func(s *side) error{
		"accepted": func(s *side) error { return s.m.accept(s.peer.m.profile.Hashid().String(), "alice") },
		"added":    func(s *side) error { return s.m.add(s.peer.m.profile.Hashid(), "alice", "") },
		"rejected": func(s *side) error { return s.m.reject(s.peer.m.profile.Hashid().String()) },
	} {
		for _, moves := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				a, b := twoProfiles(t)
				p := strangersOf(t, 1, a, b)
				p.alice.unlist()
				if err := p.alice.m.add(b.Hashid(), "bob", "it is me"); err != nil {
					t.Fatal(err)
				}
				p.exchange(false)
				asking, ok := p.bob.m.book.Request(a.Hashid())
				if !ok || asking.Link != p.alice.link() || asking.Text != "it is me" {
					t.Fatalf("%s: the request is %+v", name, asking)
				}
				if moves { // while bob thinks about it
					p.alice.unlist()
					p.sleep(repeatAsk)
					p.exchange(false)
					if again, _ := p.bob.m.book.Request(a.Hashid()); again.Link != p.alice.link() || again.Text != asking.Text || again.At != asking.At {
						t.Errorf("%s: the request is %+v then", name, again)
					}
				}
				p.bob.restart()
				if err := answer(p.bob); err != nil {
					t.Fatal(err)
				}
				if who, _ := p.bob.m.book.Contact(a.Hashid()); who.Link != p.alice.link() {
					t.Errorf("%s: the answer goes by %.8x", name, who.Link)
				}
				p.settle()
				who, _ := p.alice.m.book.Contact(b.Hashid())
				if name == "rejected" {
					if who.State != contact.Rejected || !who.Told.IsZero() {
						t.Errorf("%+v", who)
					}
					return
				}
				p.bob.follows()
				if who.State != contact.Accepted || len(p.alice.conversation().outbox) != 0 {
					t.Errorf("%s: %+v, and %d messages wait", name, who, len(p.alice.conversation().outbox))
				}
			})
		}
	}
}

// A request that never came, or that there was no room for, comes in the words and by the link key of the one that
// has taken its place.
func TestAskedAnewAfterALoss(t *testing.T) {
	for name, lose := range map[string]func(p *pair){
		"lost": func(p *pair) { p.wire.flying = nil },
		"refused": func(p *pair) {
			for n := range contact.MaxRequests {
				deliver(t, p.bob.m, someone(uint16(10+n)), ask("stranger", ""))
			}
			p.wire.deliver(0, true)
			for n := range contact.MaxRequests {
				if err := p.bob.m.reject(someone(uint16(10 + n)).hashid().String()); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, b := twoProfiles(t)
			p := strangersOf(t, 1, a, b)
			if err := p.alice.m.add(b.Hashid(), "bob", "it is me"); err != nil {
				t.Fatal(err)
			}
			p.alice.flush(true)
			lose(p)
			if _, ok := p.bob.m.book.Request(a.Hashid()); ok {
				t.Fatalf("%s: it has come", name)
			}
			p.alice.unlist()
			p.alice.flush(true)
			p.wire.deliver(0, true)
			asking, ok := p.bob.m.book.Request(a.Hashid())
			if !ok || asking.Link != p.alice.link() || asking.Text != "it is me" {
				t.Fatalf("%s: the request is %+v", name, asking)
			}
			if err := p.bob.m.accept(a.Hashid().String(), "alice"); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				p.exchange(true)
				p.sleep(repeatAsk)
			}
			p.bob.follows()
		})
	}
}

// Who is asked while it is not listed tells where it is to be found only once it has said yes.
func TestOnlyContactsAreTold(t *testing.T) {
	m := messengerOf(t, testProfile(t))
	deliver(t, m, bob(), ask("Bobby", "it is me"))
	deliver(t, m, someone(3), ask("Eve", "me too"))
	if err := m.profile.SetListed(false, time.Now()); err != nil {
		t.Fatal(err)
	}
	m.tellLinks()
	if got := outbox(m); got != "" {
		t.Errorf("a stranger is told %s", got)
	}
	if err := m.reject(someone(3).hashid().String()); err != nil {
		t.Fatal(err)
	}
	m.tellLinks()
	if err := m.accept("Bobby", "bob"); err != nil {
		t.Fatal(err)
	}
	if got, want := outbox(m), "1:3 2:6"; got != want {
		t.Errorf("a contact is told %s, want %s", got, want)
	}
	for _, item := range m.conversation(someone(3).hashid()).outbox {
		if item.Kind != message.Reject {
			t.Errorf("who was rejected is told %+v", item)
		}
	}
	m.tellLinks()
	if got, want := outbox(m), "1:3 2:6"; got != want {
		t.Errorf("told twice: %s", got)
	}
}

// A link key from a stranger is no message of its own, and one of a contact is nothing to read.
func TestLinksAreTakenFromContactsOnly(t *testing.T) {
	link := record.LinkKey(seeded(9)[32:])
	says := func(sequence uint64) *message.Message {
		msg := say(message.Link, sequence)
		msg.Link = link
		return msg
	}
	m := messengerOf(t, testProfile(t))
	deliver(t, m, bob(), says(1))
	if len(m.conversations) != 0 {
		t.Error("a stranger's link key is taken in")
	}
	deliver(t, m, bob(), ask("Bobby", ""))
	transcript(m)
	deliver(t, m, bob(), says(2))
	if asking, _ := m.book.Request(bob().hashid()); !asking.Link.IsZero() || received(m) != 1 {
		t.Error("the link key of somebody who asks is taken in before the answer")
	}

	m = friends(t)
	deliver(t, m, bob(), says(1))
	expectTold(t, m)
	if r := receipt(m); r != 1 {
		t.Errorf("the receipt is up to %d", r)
	}
	for _, m := range []*messenger{m, messengerOf(t, m.profile)} {
		if who, _ := m.book.Contact(bob().hashid()); who.Link != link || who.Name != "bob" {
			t.Errorf("the contact is %+v", who)
		}
	}
}

// Contacts are looked up by their link keys, at once when one comes.
func TestContactsAreLookedUpByLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := friends(t)
		asked := make(chan record.Locator, 1000)
		m.people.find = func(_ context.Context, who record.Locator) (*record.KeyRecord, []byte, error) {
			asked <- who
			return nil, nil, discovery.ErrNoKeyRecord
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); m.run(ctx) }()
		if _, err := m.send("bob", "hi"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		link := record.LinkKey(seeded(9)[32:])
		for len(asked) > 0 {
			<-asked
		}
		if err := m.ask(record.Locator{Hashid: bob().hashid(), Link: link}, "bob", ""); err != nil {
			t.Fatal(err)
		}
		select {
		case who := <-asked:
			if want := (record.Locator{Hashid: bob().hashid(), Link: link}); who != want {
				t.Errorf("%v is looked up, not %v", who, want)
			}
		case <-time.After(holdWait):
			t.Errorf("within %v of the new link, nobody was looked up", holdWait)
		}
		cancel()
		<-ended
	})
}

func TestAskingByLink(t *testing.T) {
	m := messengerOf(t, testProfile(t))
	none, first, second := record.LinkKey{}, record.LinkKey(seeded(8)[32:]), record.LinkKey(seeded(9)[32:])
	expect := func(what string, got error, want string, links ...record.LinkKey) {
		t.Helper()
		if got == nil && want != "" || got != nil && (want == "" || !strings.Contains(got.Error(), want)) {
			t.Errorf("%s: %v", what, got)
		}
		for _, m := range []*messenger{m, messengerOf(t, m.profile)} {
			if who := contactOf(t, m, bob()); !slices.Equal(who.Links(time.Now()), links) {
				t.Errorf("%s: he is looked up by %.8x", what, who.Links(time.Now()))
			}
		}
	}
	asks := func(link record.LinkKey, name string) error {
		return m.ask(record.Locator{Hashid: bob().hashid(), Link: link}, name, "hi")
	}
	const already = `"bob" already`
	expect("first", asks(first, "bob"), "", first)
	expect("the same again", asks(first, "bob"), already, first)
	expect("a new link under another name", asks(second, "robert"), already, first)
	expect("a new link", asks(second, "bob"), "", second, first)
	expect("the hashid", asks(none, "bob"), "", none, first)
	expect("the hashid under another name", asks(none, "robert"), already, none, first)
	expect("the first again", asks(first, "bob"), "", first)
	expect("the first again, which it is", asks(first, "bob"), already, first)
	if got, want := outbox(m), "1:2"; got != want {
		t.Errorf("the outbox is %s, want %s", got, want)
	}
	deliver(t, m, bob(), say(message.Reject, 1))
	expect("by the hashid after a no", asks(none, "bob"), "", none, first)
	deliver(t, m, bob(), say(message.Reject, 2))
	expect("by a new link after a no", asks(second, "bob"), "", second, first)
	good := m.profile.vault
	m.profile.vault = closedVault()
	err := asks(none, "bob")
	m.profile.vault = good
	expect("what could not be stored", err, "could not be stored", second, first)

	// Who asks says itself where it is found.
	for _, tt := range []struct {
		says, given record.LinkKey
		links       []record.LinkKey
	}{
		{none, none, []record.LinkKey{none}},
		{first, none, []record.LinkKey{first}},
		{first, first, []record.LinkKey{first}},
		{first, second, []record.LinkKey{second, first}},
		{none, second, []record.LinkKey{second, none}},
	} {
		m = messengerOf(t, testProfile(t))
		asking := ask("Bobby", "")
		asking.Link = tt.says
		deliver(t, m, bob(), asking)
		expect("a request", asks(tt.given, "bob"), "", tt.links...)
	}
}

// A link that leads nowhere does not take the place of what finds a contact, whether that was known before or is named
// after; it is forgotten after a while.
func TestLinkThatLeadsNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := friends(t)
		good, evil := seeded(9), record.LinkKey(seeded(66)[32:])
		asked := make(map[record.LinkKey]int)
		m.people.find = func(_ context.Context, at record.Locator) (*record.KeyRecord, []byte, error) {
			asked[at.Link]++
			if at.Link == evil {
				return nil, nil, discovery.ErrNoKeyRecord
			}
			var key ed25519.PrivateKey
			if !at.Link.IsZero() {
				key = good
			}
			copies, err := prekeysOf(bob()).keyRecord(bob(), hashid.NodeID{1}, seq(), time.Now()).Copies(m.network, bob().sign, key)
			if err != nil {
				t.Error(err)
			}
			rec, err := at.Parse(m.network, copies[0].Value)
			return rec, copies[0].Value, err
		}
		attempt := func(links ...record.LinkKey) {
			t.Helper()
			clear(asked)
			due, receipts, _, _ := m.takeDue(m.conversation(bob().hashid()))
			if m.sendAll(t.Context(), m.conversation(bob().hashid()), due, receipts) < 0 || len(due) != 1 {
				t.Fatalf("%d messages are due", len(due))
			}
			m.lookUp(t.Context())
			for _, link := range links {
				if asked[link] != 1 {
					t.Errorf("he is looked up %d times by %.8x", asked[link], link)
				}
			}
			if len(asked) != len(links) {
				t.Errorf("he is looked up by %d link keys, not %d", len(asked), len(links))
			}
			if rec := m.people.known(bob().hashid()); rec == nil || rec.CheckTime(time.Now()) != nil {
				t.Error("he is not found")
			}
		}
		add := func(link record.LinkKey) {
			t.Helper()
			if err := m.ask(record.Locator{Hashid: bob().hashid(), Link: link}, "bob", ""); err != nil {
				t.Fatal(err)
			}
		}
		expect := func(links ...record.LinkKey) {
			t.Helper()
			for _, m := range []*messenger{m, messengerOf(t, m.profile)} {
				if who := contactOf(t, m, bob()); !slices.Equal(who.Links(time.Now()), links) {
					t.Errorf("he is looked up by %.8x", who.Links(time.Now()))
				}
			}
		}
		if _, err := m.send("bob", "hi"); err != nil {
			t.Fatal(err)
		}
		hashid, right := record.LinkKey{}, record.LinkKey(good[32:])
		attempt(hashid)
		add(evil)
		attempt(evil, hashid)
		expect(evil, hashid)
		time.Sleep(recordAgainLast)
		add(right)
		attempt(right) // and no more: who is asked is not to learn that both are of one person
		expect(right)
		time.Sleep(recordAgainLast)
		add(evil)
		attempt(evil, right)
		time.Sleep(recordAgainLast)
		add(hashid)
		attempt(hashid)
		expect(hashid)
		time.Sleep(recordAgainLast)
		add(evil)
		time.Sleep(giveUpAfter - time.Hour)
		attempt(evil, hashid)
		time.Sleep(2 * time.Hour)
		expect(hashid)
	})
}

// What a contact says itself of where it is found ends the search elsewhere.
func TestContactSaysOtherwise(t *testing.T) {
	m := friends(t)
	first, second := record.LinkKey(seeded(8)[32:]), record.LinkKey(seeded(9)[32:])
	for _, kind := range []message.Kind{message.Link, message.Request} {
		if err := m.ask(record.Locator{Hashid: bob().hashid(), Link: first}, "bob", ""); err != nil {
			t.Fatal(err)
		}
		msg := say(kind, received(m)+1)
		msg.Link = second
		deliver(t, m, bob(), msg)
		if who := contactOf(t, m, bob()); !slices.Equal(who.Links(time.Now()), []record.LinkKey{second}) {
			t.Errorf("after kind %d he is looked up by %.8x", kind, who.Links(time.Now()))
		}
	}
}

// What a message waits for, as the person is told.
func TestNotFound(t *testing.T) {
	link := record.LinkKey(seeded(9)[32:])
	for _, tt := range []struct {
		to   contact.Contact
		err  error
		want string
	}{
		{contact.Contact{State: contact.Accepted}, discovery.ErrNoKeyRecord, "the recipient's key record is not to be found yet"},
		{contact.Contact{State: contact.Requested}, discovery.ErrNoKeyRecord, "the recipient's key record is not to be found yet: who is not listed is found with an invite only"},
		{contact.Contact{State: contact.Requested, Link: link}, discovery.ErrNoKeyRecord, "the recipient's key record is not to be found yet"},
		{contact.Contact{State: contact.Requested}, path.ErrWaits, path.ErrWaits.Error()},
		{contact.Contact{State: contact.Accepted}, path.ErrNoGuard, path.ErrNoGuard.Error()},
		{contact.Contact{State: contact.Requested}, record.ErrWithdrawn, "this person is not to be found this way any more: ask for a new invite"},
	} {
		if got := notFound(tt.to, tt.err); got != tt.want {
			t.Errorf("%+v, %v: %s", tt.to, tt.err, got)
		}
	}
}
