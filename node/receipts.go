package node

import (
	"errors"
	"iter"
	"slices"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/node/contact"
	"chatnt/node/control"
	"chatnt/node/message"
	"chatnt/node/vault"
)

// acknowledged drops what the other side says it has of a talk, if it is the current one. The parts of a text stay until it has all:
// should its session be lost, it needs them all again. It reports whether all is stored. Called with mu held.
//
// A receipt counts only if it names what has its number now: after one of the two has put an
// earlier copy of its profile back, other messages had the numbers that are used again.
func (m *messenger) acknowledged(c *conversation, t *talk, upTo uint64, id message.ID) bool {
	named := func(item *outgoing) bool { return item.sequence == upTo && item.ID == id }
	if t != c.current() || !slices.ContainsFunc(c.outbox, named) {
		return m.commit(c, t, t.numbers, &c.ledger) // the session has moved on
	}
	if who, _ := m.book.Contact(c.Peer); who.State == contact.Requested {
		// Only who has said yes confirms anything: this profile is a copy from before the answer, or that is under way.
		yes, agree := m.agreement(who)
		if !m.commit(c, t, t.numbers, &c.ledger, agree) {
			return false
		}
		m.answered(c, yes)
		return true
	}
	var done []*outgoing
	for _, item := range c.outbox {
		if item.sequence != 0 && item.sequence <= upTo {
			item.acked = true
		}
	}
	for i, item := range c.outbox {
		if item.acked && item.last() && whole(c.outbox[:i+1], item) {
			done = append(done, slices.Collect(partsOf(c.outbox[:i+1], item))...)
		}
	}
	if len(done) == 0 {
		return m.commit(c, t, t.numbers, &c.ledger)
	}
	c.renewals = 0
	if !m.settle(c, done, control.Delivered, "") {
		for _, item := range done {
			item.acked = false // it is repeated, so that it is acknowledged again
		}
		return false
	}
	m.wake(c)
	return true
}

// partsOf yields the parts of the text that an item is one of.
func partsOf(outbox []*outgoing, of *outgoing) iter.Seq[*outgoing] {
	return func(yield func(*outgoing) bool) {
		for _, item := range outbox {
			if item.ID == of.ID && !yield(item) {
				return
			}
		}
	}
}

// whole reports whether all parts of a text are acknowledged.
func whole(outbox []*outgoing, of *outgoing) bool {
	for item := range partsOf(outbox, of) {
		if !item.acked {
			return false
		}
	}
	return true
}

// settle takes messages out of the outbox and tells how they ended. It reports whether
// that could be stored. Called with mu held.
func (m *messenger) settle(c *conversation, items []*outgoing, state, reason string) bool {
	now := m.now()
	err := m.profile.vault.Update(func(tx *vault.Tx) error {
		if t := c.current(); t != nil { // who takes the vault is not to find keys that are past
			if err := c.putTalk(tx, t, t.numbers); err != nil {
				return err
			}
		}
		if state == control.Delivered {
			if err := storeLast(tx, c.Peer, now); err != nil {
				return err
			}
		}
		return c.deleteOutgoing(tx, items)
	})
	if err != nil {
		m.log.Error("the outbox could not be stored", "error", err)
		return false // they are repeated, and acknowledged again
	}
	if state == control.Delivered {
		m.last(c.Peer, now)
	}
	if t := c.current(); t != nil {
		c.stored(t)
	}
	c.drop(items)
	for _, item := range items {
		if item.Kind == message.Link && state == control.Delivered {
			m.toldLink(c, item.Link)
		}
		if item.Kind == message.Text && item.last() {
			if state == control.Delivered && !item.Told { // the receipt was faster than the node's answer
				m.feed.emit(control.StatusChanged{ID: item.ID.String(), To: c.Peer.String(), State: control.Sent})
			}
			m.ended(item, state, reason)
		}
	}
	return true
}

// storeLast stores when something was last exchanged with a contact, beside what it was, and beside what else
// the transaction has changed of the contact; last is for when that is done.
func storeLast(tx *vault.Tx, peer hashid.ID, at time.Time) error {
	who, err := load[contact.Contact](tx, bucketContacts, peer.String())
	if errors.Is(err, vault.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	who.Last = at
	return store(tx, bucketContacts, peer.String(), who)
}

func (m *messenger) last(peer hashid.ID, at time.Time) {
	if who, ok := m.book.Contact(peer); ok {
		who.Last = at
		m.book.Put(who)
	}
}

// deleteOutgoing deletes messages from the vault, and the frames of all if those that are left
// are to be sealed anew.
func (c *conversation) deleteOutgoing(tx *vault.Tx, items []*outgoing) error {
	for _, item := range items {
		if err := tx.Delete(bucketOutbox, item.key()); err != nil {
			return err
		}
	}
	stale := items
	if givenUp(items) {
		stale = c.outbox
	}
	for _, item := range stale {
		if err := tx.Delete(bucketFrames, item.key()); err != nil {
			return err
		}
	}
	return nil
}

// drop takes messages out of the outbox once they are deleted from the vault.
func (c *conversation) drop(items []*outgoing) {
	c.outbox = slices.DeleteFunc(c.outbox, func(item *outgoing) bool { return slices.Contains(items, item) })
	if givenUp(items) {
		c.unseal()
	}
}

// givenUp reports whether messages were sealed and not acknowledged. When such leave the
// outbox, all that is left is sealed anew: the other side waits for their numbers until it is told
// that it need not.
func givenUp(items []*outgoing) bool {
	return slices.ContainsFunc(items, func(item *outgoing) bool { return item.sequence != 0 && !item.acked })
}
