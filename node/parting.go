package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"chatnt/discovery/hashid"
	"chatnt/node/contact"
	"chatnt/node/control"
	"chatnt/node/message"
	"chatnt/node/ratchet"
	"chatnt/node/vault"
)

// Nobody is told that it was blocked or removed: its texts are taken by this node, as
// everybody's are, and go unanswered.

var errBlocked = errors.New("this contact is blocked: /unblock makes a stranger of it, whom /add asks")

// Block has nothing of a contact, of somebody who asks or of the stranger with a hashid heard
// any more, nor answered. What waits for it is given up, and its sessions go.
func (n *Node) Block(name string) error { return n.messenger.block(name) }

func (m *messenger) block(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	who, err := m.book.Block(name)
	if err != nil {
		return err
	}
	if who.Hashid == m.profile.Hashid() {
		return errOwn
	}
	if known, _ := m.book.Contact(who.Hashid); known.State == contact.Blocked {
		return fmt.Errorf("%s is blocked already", m.called(who.Hashid))
	}
	who.Since = m.now()
	c := m.conversations[who.Hashid]
	err = m.profile.vault.Update(func(tx *vault.Tx) error {
		if c != nil {
			next := c.ledger
			next.Current, next.Prekey = "", 0
			if err := errors.Join(c.deleteUnderWay(tx), c.put(tx, next)); err != nil {
				return err
			}
		}
		return storeContact(tx, who)
	})
	if err != nil {
		return fmt.Errorf("the contact could not be blocked: %w", err)
	}
	m.book.Put(who)
	if c != nil {
		c.Current, c.Prekey = "", 0
		m.silence(c, "the contact is blocked")
	}
	m.tellContact(who, who.State)
	return nil
}

// Remove makes a stranger of a contact: all that is kept of it goes, and of what was said.
func (n *Node) Remove(name string) error {
	return n.messenger.remove(name, func(who contact.Contact) error {
		if who.State == contact.Blocked {
			return errors.New("this contact is blocked, and a stranger could ask again: /unblock removes it")
		}
		return nil
	})
}

// Unblock removes a contact that was blocked: it is a stranger then, who may ask.
func (n *Node) Unblock(name string) error {
	return n.messenger.remove(name, func(who contact.Contact) error {
		if who.State != contact.Blocked {
			return fmt.Errorf("%q is not blocked", who.Name)
		}
		return nil
	})
}

// remove removes a contact unless check says why not.
func (m *messenger) remove(name string, check func(contact.Contact) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	who, err := m.book.Named(name)
	if err == nil {
		err = check(who)
	}
	if err != nil {
		return err
	}
	c := m.conversation(who.Hashid)
	err = m.profile.vault.Update(func(tx *vault.Tx) error {
		if err := m.erase(tx, c); err != nil {
			return err
		}
		return tx.Delete(bucketContacts, who.Hashid.String())
	})
	if err != nil {
		return fmt.Errorf("the contact could not be removed: %w", err)
	}
	tag := m.book.Tag(who.Hashid)
	m.book.Remove(who.Hashid)
	m.forgotten(c, "the contact was removed")
	m.feed.emit(control.ContactChanged{Hashid: who.Hashid.String(), Local: who.Name, Tag: tag, State: string(contact.Removed)})
	return nil
}

// Rename gives a contact another local name.
func (n *Node) Rename(name, to string) (control.Contact, error) { return n.messenger.rename(name, to) }

func (m *messenger) rename(name, to string) (control.Contact, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	who, err := m.book.Rename(name, to)
	if err != nil {
		return control.Contact{}, err
	}
	yield := append(m.book.Yield(who.Name, who.Hashid), who)
	err = m.profile.vault.Update(func(tx *vault.Tx) error {
		for _, one := range yield {
			if err := store(tx, bucketContacts, one.Hashid.String(), one); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return control.Contact{}, fmt.Errorf("the name could not be stored: %w", err)
	}
	for _, one := range yield {
		m.book.Put(one)
	}
	return m.described(who), nil
}

// tellContact says that a contact has come into a state. Called with mu held.
func (m *messenger) tellContact(who contact.Contact, state contact.State) {
	m.feed.emit(control.ContactChanged{Hashid: who.Hashid.String(), Local: who.Name, Tag: m.book.Tag(who.Hashid), State: string(state)})
}

// deleteUnderWay deletes sessions, and what waits, from the vault.
func (c *conversation) deleteUnderWay(tx *vault.Tx) error {
	for _, t := range c.talks {
		if err := t.drop(tx, c.Peer); err != nil {
			return err
		}
	}
	for _, item := range c.outbox {
		if err := errors.Join(tx.Delete(bucketOutbox, item.key()), tx.Delete(bucketFrames, item.key())); err != nil {
			return err
		}
	}
	return nil
}

// silence lets go of what deleteUnderWay has deleted, and tells of each text that it goes
// nowhere. The conversation's sender, if there is one, ends. Called with mu held.
func (m *messenger) silence(c *conversation, reason string) {
	c.remove(c.talks)
	given := c.outbox
	c.outbox = nil
	for _, item := range given {
		if item.Kind == message.Text && item.last() {
			m.ended(item, control.Failed, reason)
		}
	}
	nudge(c.kick)
}

// erase deletes all that the vault has of a person but the contact itself. The ids of its first
// messages stay, without its hashid: a copy of one must not make the person come back. Called with mu held.
func (m *messenger) erase(tx *vault.Tx, c *conversation) error {
	if err := c.deleteUnderWay(tx); err != nil {
		return err
	}
	for chunk := range uint64(seenKept / seenChunk) {
		if err := tx.Delete(bucketSeen, seenKey(c.Peer, chunk)); err != nil {
			return err
		}
	}
	err := tx.ForEach(bucketHistory(c.Peer), func(key string, raw []byte) error {
		clear(raw)
		return tx.Delete(bucketHistory(c.Peer), key)
	})
	if err != nil {
		return err
	}
	err = forEach(tx, bucketUnshown, func(key string, u unshown) error {
		if u.From != c.Peer {
			return nil
		}
		return tx.Delete(bucketUnshown, key)
	})
	if err != nil {
		return err
	}
	for id, h := range m.hellos {
		if h.from == c.Peer {
			nobody := hashid.ID{}
			raw := binary.BigEndian.AppendUint64(nobody[:], uint64(h.forget.Unix()))
			if err := tx.Put(bucketHellos, helloKey(id), raw); err != nil {
				return err
			}
		}
	}
	return errors.Join(tx.Delete(bucketRecords, c.Peer.String()), tx.Delete(bucketConversations, c.Peer.String()))
}

// forgotten lets go of what erase has deleted. Called with mu held.
func (m *messenger) forgotten(c *conversation, reason string) {
	m.silence(c, reason)
	delete(m.conversations, c.Peer)
	m.recent = slices.DeleteFunc(slices.Clone(m.recent), func(other *conversation) bool { return other == c })
	m.unshown = slices.DeleteFunc(m.unshown, func(u unshown) bool { return u.From == c.Peer })
	for id, h := range m.hellos {
		if h.from == c.Peer {
			m.hellos[id] = hello{forget: h.forget}
		}
	}
	m.people.forget(c.Peer)
}

// displace deletes a request that has to go for another, as if it had never come: should it come
// again when there is room, it is news. Called with mu held.
func (m *messenger) displace(tx *vault.Tx, from hashid.ID) error {
	if c := m.conversations[from]; c != nil {
		if err := m.erase(tx, c); err != nil {
			return err
		}
	}
	for _, id := range m.hellos.of(from) {
		if err := tx.Delete(bucketHellos, helloKey(id)); err != nil {
			return err
		}
	}
	return tx.Delete(bucketRequests, from.String())
}

// displaced lets go of what displace has deleted. Called with mu held.
func (m *messenger) displaced(from hashid.ID) {
	for _, id := range m.hellos.of(from) {
		delete(m.hellos, id)
	}
	if c := m.conversations[from]; c != nil {
		m.forgotten(c, "")
	}
}

// of returns the ids of the first messages of a person.
func (h hellos) of(from hashid.ID) []ratchet.ID {
	var ids []ratchet.ID
	for id, one := range h {
		if one.from == from {
			ids = append(ids, id)
		}
	}
	return ids
}
