package node

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"chatnt/discovery/record"
	"chatnt/node/contact"
	"chatnt/node/message"
	"chatnt/node/vault"
)

// waitsFor says what a text to a contact waits for at first, if not only for the network.
func (m *messenger) waitsFor(to contact.Contact) string {
	if to.State == contact.Requested {
		return "waits until the contact accepts the request"
	}
	return ""
}

// ask makes a person a contact: it asks, or accepts if the person asked first. Somebody who is a contact
// already, by that name, is looked up by what is given now, too: the link key of a new invite, or the hashid.
// Anybody can make an invite that names the person and a link key that leads nowhere, so it
// takes the place of what is known only once it was found to be right.
func (m *messenger) ask(at record.Locator, name, text string) error {
	id := at.Hashid
	if id == m.profile.Hashid() {
		return errOwn
	}
	if len(text) > message.MaxRequestText || !utf8.ValidString(text) {
		return fmt.Errorf("what a request says is UTF-8 of at most %d bytes", message.MaxRequestText)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.book.CheckName(name, id); err != nil {
		return err
	}
	known, ok := m.book.Contact(id)
	switch {
	case known.State == contact.Blocked:
		return errBlocked
	case ok && known.State != contact.Rejected && !m.unasked(known):
		elsewhere := at.Link != known.Link || !known.Given.At.IsZero()
		if named, err := m.book.Named(name); err == nil && named.Hashid == id && elsewhere {
			return m.relocate(known, at.Link)
		}
		return fmt.Errorf("this person is your contact %q already (%s)", known.Name, known.State)
	}
	if asking, ok := m.book.Request(id); ok {
		who := contact.Contact{Name: name, State: contact.Accepted}
		if !at.Link.IsZero() { // it says itself where it is found
			who.Given = m.given(asking.Link, at.Link)
		}
		return m.answer(asking, who, message.Accept)
	}
	nick, err := m.profile.nick()
	if err != nil {
		return err
	}
	ask := &outgoing{
		Kind: message.Request, ID: message.NewID(), Parts: 1, Nick: nick, Text: []byte(text),
		Link: m.profile.listing.now().linkKey(), // or no answer would find its way
	}
	if ok {
		known.Given = m.given(known.Link, at.Link)
	} else {
		known.Link = at.Link
	}
	known.Hashid, known.Name, known.State, known.Ours = id, name, contact.Requested, false // its keys stay
	known.Told = record.LinkKey{}
	return m.become(known, ask, nil)
}

// unasked reports whether a request to a contact is neither answered nor under
// way: it was given up. Called with mu held.
func (m *messenger) unasked(who contact.Contact) bool {
	return who.State == contact.Requested && len(requests(m.conversation(who.Hashid))) == 0
}

// accept answers a request with yes; localName may be empty.
func (m *messenger) accept(name, localName string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	asking, err := m.asking(name)
	if err != nil {
		return err
	}
	if localName == "" {
		localName = m.book.NameFor(asking.Nick, asking.From)
	}
	if err := m.book.CheckName(localName, asking.From); err != nil {
		return err
	}
	return m.answer(asking, contact.Contact{Name: localName, State: contact.Accepted}, message.Accept)
}

// asking returns the open request of a hashid or nick; the error says so if it
// has been answered. Called with mu held.
func (m *messenger) asking(name string) (contact.Request, error) {
	asking, err := m.book.Asking(name)
	known, unknown := m.book.Named(name)
	switch {
	case err == nil || unknown != nil:
		return asking, err
	case known.State == contact.Blocked:
		return asking, errBlocked
	case known.State == contact.Rejected && known.Ours:
		return asking, errors.New("you have said no to this person: /add HASHID NAME asks them now")
	}
	return asking, fmt.Errorf("this person is your contact %q already (%s)", known.Name, known.State)
}

// reject answers a request with no.
func (m *messenger) reject(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	asking, err := m.asking(name)
	if err != nil {
		return err
	}
	return m.answer(asking, contact.Contact{Name: contact.Nameless(asking.From), State: contact.Rejected, Ours: true}, message.Reject)
}

// answer makes who asks the contact that who begins to describe. Called with mu held.
func (m *messenger) answer(asking contact.Request, who contact.Contact, kind message.Kind) error {
	var nick string
	if kind == message.Accept {
		var err error
		if nick, err = m.profile.nick(); err != nil {
			return err
		}
	}
	reply := &outgoing{Kind: kind, ID: message.NewID(), Parts: 1, Nick: nick}
	who.Hashid, who.Nick, who.Last, who.Link = asking.From, asking.Nick, asking.At, asking.Link
	who.Identity, who.Key = asking.Identity, asking.Key
	if err := m.become(who, reply, nil); err != nil {
		return err
	}
	c := m.conversation(asking.From)
	if t := c.current(); t != nil {
		t.receiptDue = who.State == contact.Accepted
	}
	m.wake(c)
	m.tellLink(asking.From)
	return nil
}

// become moves a contact into a state, queues what tells the other side, and
// takes back requests of this person's that are over with that, in one
// transaction with what also does. Called with mu held.
func (m *messenger) become(who contact.Contact, tell *outgoing, also func(*vault.Tx) error) error {
	who.Since = m.now()
	if name, err := contact.Normal(who.Name); err == nil { // else it is a hashid, or was stored when more was allowed
		who.Name = name
	}
	c := m.conversation(who.Hashid)
	over, renamed := requests(c), m.book.Yield(who.Name, who.Hashid)
	if len(over) > 0 { // before the texts that wait for the answer: the other side takes none until it has this one
		tell.Place = over[0].Place
	}
	err := m.queue(c, []*outgoing{tell}, func(tx *vault.Tx, next *ledger) error {
		if tell.Kind == message.Request {
			next.Current = "" // who does not know this person any more has no session either
		}
		for _, other := range renamed {
			if err := storeContact(tx, other); err != nil {
				return err
			}
		}
		if err := c.deleteOutgoing(tx, over); err != nil {
			return err
		}
		if also != nil {
			if err := also(tx); err != nil {
				return err
			}
		}
		return storeContact(tx, who)
	})
	if err != nil {
		return err
	}
	c.drop(over)
	if tell.Kind == message.Request {
		c.unseal()
	}
	slices.SortStableFunc(c.outbox, func(x, y *outgoing) int { return cmp.Compare(x.Place, y.Place) })
	for _, other := range renamed {
		m.book.Put(other)
	}
	before, known := m.book.Contact(who.Hashid)
	m.book.Put(who)
	if !known || before.State != who.State {
		m.tellContact(who, who.State)
	}
	return nil
}

// requests returns this person's own requests that are under way.
func requests(c *conversation) []*outgoing {
	var list []*outgoing
	for _, item := range c.outbox {
		if item.Kind == message.Request {
			list = append(list, item)
		}
	}
	return list
}

func storeContact(tx *vault.Tx, who contact.Contact) error {
	if err := tx.Delete(bucketRequests, who.Hashid.String()); err != nil {
		return err
	}
	return store(tx, bucketContacts, who.Hashid.String(), who)
}
