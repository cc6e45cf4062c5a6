package node

import (
	"errors"
	"fmt"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/contact"
	"chatnt/node/control"
	"chatnt/node/safety"
	"chatnt/node/vault"
)

// A person's hashid holds its Ed25519 key in place. The X25519 key that sessions are agreed with is
// signed by that one, so whoever steals it could name another. Each contact is therefore remembered by
// the keys that it was first met with, in its key record or in a session that it began. Another X25519 key is
// put to the person here: nothing is sealed to it, nothing from it is taken in, before the person
// has compared a safety number.

const (
	aboutKey = "key" // what a control.Warning is about

	reasonKey = "the contact's identity key has changed: /verify says what to do"
)

var errNotMet = errors.New("no key of this contact is known yet: there will be when a first message has gone out or come in")

// compared are the keys of this person that go into safety numbers.
func (id *identity) compared() safety.Keys {
	return safety.Keys{Identity: [32]byte(id.public()), Agreement: [32]byte(id.agreement.PublicKey().Bytes())}
}

func keysIn(r *record.KeyRecord) safety.Keys {
	return safety.Keys{Identity: r.Identity, Agreement: r.Agreement}
}

// meet returns the person of a conversation with the keys that it was met with, if it is a contact, and
// whether they are news, which is to be stored. The error is contact.ErrKeyChanged. Called with mu held.
func (m *messenger) meet(c *conversation, keys safety.Keys) (who contact.Contact, news bool, err error) {
	known, ok := m.book.Contact(c.Peer)
	if !ok {
		return known, false, nil
	}
	if who, err = known.Meet(keys); err != nil {
		m.offered(c, known, keys.Agreement)
		return known, false, err
	}
	return who, who != known, nil
}

// otherKey reports whether a key record has another key than the contact is known by. It is looked up again
// then, now and then: what somebody else has published is replaced once the contact publishes again.
func (m *messenger) otherKey(c *conversation, r *record.KeyRecord) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, _, err := m.meet(c, keysIn(r))
	c.doubted = err != nil
	return c.doubted
}

// storeKeys stores the keys that a contact was met with, unless they are.
func storeKeys(tx *vault.Tx, peer hashid.ID, keys safety.Keys) error {
	known, err := load[contact.Contact](tx, bucketContacts, peer.String())
	if errors.Is(err, vault.ErrNotFound) {
		return nil // a stranger, whose request holds them
	}
	if err != nil {
		return err
	}
	who, err := known.Meet(keys)
	if err != nil || who == known {
		return err
	}
	return store(tx, bucketContacts, peer.String(), who)
}

// offered puts another identity key of a contact to the person: the first that comes, until that is
// answered, and what was answered with no not again. Called with mu held.
func (m *messenger) offered(c *conversation, who contact.Contact, key contact.IdentityKey) {
	switch {
	case who.Offered.IsZero() && key != who.Refused:
		who.Offered = key
		stored := m.update("a changed key could not be stored and is refused all the same", func(tx *vault.Tx) error {
			return store(tx, bucketContacts, who.Hashid.String(), who)
		})
		if !stored {
			return
		}
		m.book.Put(who)
	case key != who.Offered || key == c.warned:
		return
	}
	c.warned = key
	name := m.called(who.Hashid)
	m.feed.emit(control.Warning{About: aboutKey, Text: fmt.Sprintf("the identity key of %s has changed: somebody else may be using this name. "+
		"Nothing goes to the new key, and nothing that comes from it is taken in: compare what /verify %s shows, then type /verify %s yes, or no", name, who.Name, who.Name)})
}

// verified reports whether a contact was verified with the keys that both have now.
func (m *messenger) verified(who contact.Contact) bool {
	keys, met := who.Keys()
	return met && who.Offered.IsZero() && who.VerifiedAs(safety.Of(m.profile.identity.compared(), keys))
}

// Safety returns the safety number of this person and a contact.
func (n *Node) Safety(name string) (control.Safety, error) {
	_, _, shown, err := n.messenger.safety(name)
	return shown, err
}

// safety returns the number of the keys that there are to compare, and the pair that it stands for.
func (m *messenger) safety(name string) (who contact.Contact, pair safety.Pair, shown control.Safety, err error) {
	m.mu.Lock()
	who, err = m.book.Named(name)
	shown = control.Safety{Hashid: who.Hashid.String(), Name: who.Name, Tag: m.book.Tag(who.Hashid), Verified: m.verified(who), Changed: !who.Offered.IsZero()}
	m.mu.Unlock()
	if err != nil {
		return who, pair, control.Safety{}, err
	}
	keys, met := who.Keys()
	if !met {
		return who, pair, control.Safety{}, errNotMet
	}
	pair = safety.Of(m.profile.identity.compared(), keys)
	number := pair.Number() // takes milliseconds: without the lock
	shown.Digits, shown.Words, shown.QR = number.Digits(), number.Words(), number.QR()
	return who, pair, shown, nil
}

// Compare remembers what came of comparing a safety number with a contact: whether both have the same.
// It counts for that number only, which is given in any of the ways it is shown: the error is
// control.ErrOtherNumber if the keys make another one now, as when another key came while the two were comparing.
// After a change of its identity key, sameness takes the new key for the contact's, and the opposite refuses it.
func (n *Node) Compare(name, number string, same bool) (control.Safety, error) {
	return n.messenger.compare(name, number, same)
}

func (m *messenger) compare(name, number string, same bool) (control.Safety, error) {
	who, pair, shown, err := m.safety(name)
	if err != nil {
		return control.Safety{}, err
	}
	if !pair.Number().Matches(number) {
		return control.Safety{}, control.ErrOtherNumber
	}
	known, err := m.judge(who, pair, same)
	if err != nil {
		return control.Safety{}, err
	}
	shown.Verified, shown.Changed = m.verified(known), !known.Offered.IsZero()
	return shown, nil
}

// judge takes the person's answer to the number of a contact's keys as they were when it was made.
func (m *messenger) judge(was contact.Contact, pair safety.Pair, same bool) (contact.Contact, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	who, ok := m.book.Contact(was.Hashid)
	if !ok || who.Key != was.Key || who.Offered != was.Offered {
		return who, errors.New("the keys of this contact have changed just now: /verify shows the new number")
	}
	c := m.conversation(who.Hashid)
	var err error
	switch {
	case same:
		err = m.trust(c, who, pair)
	case !who.Offered.IsZero():
		who.Offered, who.Refused = contact.IdentityKey{}, who.Offered
		err = m.putContact(who)
	default: // a key that was refused by mistake may be offered again
		who.Verified, who.Refused = contact.Verification{}, contact.IdentityKey{}
		err = m.putContact(who)
	}
	if err != nil {
		return who, fmt.Errorf("this could not be stored: %w", err)
	}
	if !was.Offered.IsZero() {
		with := "the key that it had"
		if same {
			with = "the new key"
		}
		m.feed.emit(control.Warning{About: aboutKey, Text: fmt.Sprintf("%s goes on with %s", m.called(was.Hashid), with), Over: true})
	}
	m.wake(c)
	who, _ = m.book.Contact(was.Hashid)
	return who, nil
}

// trust remembers a contact as verified, with the key that is offered if there is one: then no
// session with the holder of the old one goes on. Called with mu held.
func (m *messenger) trust(c *conversation, who contact.Contact, pair safety.Pair) error {
	changed := !who.Offered.IsZero()
	if changed {
		who = who.Trust(who.Offered)
		who.Told = record.LinkKey{} // by whoever has the other key
	}
	who.Verified = contact.Verification{Pair: pair, At: m.now()}
	if !changed {
		return m.putContact(who)
	}
	next := c.ledger
	next.Current, next.Prekey = "", 0
	err := m.profile.vault.Update(func(tx *vault.Tx) error {
		for _, t := range c.talks {
			if err := t.drop(tx, c.Peer); err != nil {
				return err
			}
		}
		for _, item := range c.outbox {
			if err := tx.Delete(bucketFrames, item.key()); err != nil {
				return err
			}
		}
		if err := c.put(tx, next); err != nil {
			return err
		}
		return store(tx, bucketContacts, who.Hashid.String(), who)
	})
	if err != nil {
		return err
	}
	c.remove(c.talks)
	c.ledger, c.warned = next, contact.IdentityKey{}
	c.unseal()
	m.book.Put(who)
	m.tellLink(c.Peer)
	return nil
}

// putContact stores a contact that is one already. Called with mu held.
func (m *messenger) putContact(who contact.Contact) error {
	err := m.profile.vault.Update(func(tx *vault.Tx) error { return store(tx, bucketContacts, who.Hashid.String(), who) })
	if err == nil {
		m.book.Put(who)
	}
	return err
}
