package node

import (
	"cmp"
	"fmt"
	"slices"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/contact"
	"chatnt/node/message"
	"chatnt/node/vault"
)

// How contacts follow somebody who is not listed any more, or has given up a link key. Whoever
// has a link key tells it to each contact inside the session, in a message that is repeated like
// any until it is confirmed. Only then does the contact count as told. However long that takes, the message
// is not given up while it is true: who was away longer than a withdrawal lasts finds nobody
// by the old link key, and so cannot ask.
//
// A profile may be back at an older copy, or restored from a backup, of before its person had a link key that
// contacts were told. Those look there and nowhere else: nobody asks by the hashid for a person who has said
// to be found otherwise, as that would tell the nodes that are asked who is looked for. So whenever a session
// takes the place of another, each side tells the other where it is to be found: by the link key that is
// in use or, if there is none, by the hashid.
//
// Requests carry the link key themselves: who is asked may not be able to find the asker otherwise,
// and is no contact before it has.

// tellLinks tells the link key to all contacts who have not confirmed it.
func (m *messenger) tellLinks() {
	m.mu.Lock()
	contacts := m.book.Contacts()
	m.mu.Unlock()
	for _, who := range contacts { // there may be thousands: others go on in between
		m.mu.Lock()
		m.tellLink(who.Hashid)
		m.mu.Unlock()
	}
}

// tellLink tells the link key to a contact who has not confirmed it. Called with mu held.
func (m *messenger) tellLink(peer hashid.ID) {
	if who, known := m.book.Contact(peer); known && who.Told != m.profile.listing.now().linkKey() {
		m.sayLink(who)
	}
}

// sayLink tells a contact where this person is to be found; one who was asked to become one and has
// not answered is asked anew with it. Called with mu held.
func (m *messenger) sayLink(who contact.Contact) {
	link := m.profile.listing.now().linkKey()
	c := m.conversation(who.Hashid)
	var err error
	switch who.State {
	case contact.Accepted:
		underway := func(item *outgoing) bool { return item.Kind == message.Link && item.Link == link }
		if slices.ContainsFunc(c.outbox, underway) {
			return
		}
		// One of before stays: to leave out what was sealed would change the numbers of all behind it.
		err = m.queue(c, []*outgoing{{Kind: message.Link, ID: message.NewID(), Parts: 1, Link: link}}, nil)
	case contact.Requested:
		err = m.askAnew(c, link)
	}
	if err != nil {
		m.log.Error("a contact could not be told where to find this person and is told after the next start", "error", err)
	}
}

// askAnew replaces a request that is under way by one that carries another link key. It begins a session of its
// own: the one before it may never have come, and a stranger is heard only in what begins with
// a request. Called with mu held.
func (m *messenger) askAnew(c *conversation, link record.LinkKey) error {
	old := requests(c)
	if len(old) == 0 || old[0].Link == link {
		return nil // it was given up, or says so already
	}
	again := &outgoing{
		Kind: message.Request, ID: message.NewID(), Parts: 1, Nick: old[0].Nick, Text: old[0].Text, Link: link, Place: old[0].Place,
	}
	err := m.queue(c, []*outgoing{again}, func(tx *vault.Tx, next *ledger) error {
		next.Current = ""
		return c.deleteOutgoing(tx, old)
	})
	if err != nil {
		return err
	}
	c.drop(old)
	c.unseal()
	slices.SortStableFunc(c.outbox, func(x, y *outgoing) int { return cmp.Compare(x.Place, y.Place) })
	return nil
}

// tellLinkAnew is for a conversation that goes on in a new session: one of the two may be back at an older
// copy of its profile, of before the other was told, or of before this person had the link key that
// it was told. Called with mu held.
func (m *messenger) tellLinkAnew(c *conversation) {
	m.toldLink(c, record.LinkKey{})
	if who, known := m.book.Contact(c.Peer); known {
		m.sayLink(who)
	}
}

// toldLink notes that a contact has confirmed a link key, or that nothing is known of it. What
// cannot be stored is told once more. Called with mu held.
func (m *messenger) toldLink(c *conversation, link record.LinkKey) {
	who, known := m.book.Contact(c.Peer)
	if !known || who.Told == link {
		return
	}
	who.Told = link
	if m.update("that a contact knows where to find this person could not be stored", func(tx *vault.Tx) error { return storeContact(tx, who) }) {
		m.book.Put(who)
	}
}

// takeLink takes in where a contact's key record is to be found from now on. As with all that only
// a contact says, who was asked and says it has said yes. Called with mu held.
func (m *messenger) takeLink(c *conversation, t *talk, who contact.Contact, msg *message.Message) bool {
	news := who.State == contact.Requested
	if news {
		who, _ = m.agreement(who)
	}
	if who.State != contact.Accepted {
		return false
	}
	if !c.left(t) { // else it comes again in another, with what was said since
		who = who.At(msg.Link)
	}
	if !m.commit(c, t, t.after(msg), &c.ledger, func(tx *vault.Tx) error { return storeContact(tx, who) }) {
		return false
	}
	m.book.Put(who)
	if news {
		m.answered(c, who)
	}
	m.wake(c)
	return true
}

// takeRepeat takes in the request of somebody whose first still waits for an answer. It is no
// news, but says where the answer goes. Called with mu held.
func (m *messenger) takeRepeat(c *conversation, t *talk, asking contact.Request, msg *message.Message) bool {
	if msg.Link == asking.Link || c.left(t) {
		return m.commit(c, t, t.after(msg), &c.ledger)
	}
	asking.Link = msg.Link
	if !m.commit(c, t, t.after(msg), &c.ledger, func(tx *vault.Tx) error { return store(tx, bucketRequests, c.Peer.String(), asking) }) {
		return false
	}
	m.book.Relocate(asking.From, asking.Link)
	return true
}

// relocate has a contact looked up where the person here was given that it is, too. Called with mu held.
func (m *messenger) relocate(who contact.Contact, link record.LinkKey) error {
	who.Given = m.given(who.Link, link)
	if err := m.putContact(who); err != nil {
		return fmt.Errorf("the new link could not be stored: %w", err)
	}
	m.wake(m.conversation(who.Hashid))
	return nil
}

// given is what is remembered of a link key that the person here was given, for somebody who was to be
// found by another before.
func (m *messenger) given(before, link record.LinkKey) contact.Given {
	if link == before {
		return contact.Given{}
	}
	return contact.Given{Link: link, At: m.now()}
}

// settleGiven has a contact found from now on where the person here was given that it is, if it was found there. Called with mu held.
func (m *messenger) settleGiven(peer hashid.ID) {
	who, known := m.book.Contact(peer)
	link, proven := m.people.provenBy(peer)
	if !known || !proven || who.Given.At.IsZero() || link != who.Given.Link {
		return
	}
	who = who.At(link)
	if m.update("where a contact was found could not be stored", func(tx *vault.Tx) error { return storeContact(tx, who) }) {
		m.book.Put(who)
	}
}
