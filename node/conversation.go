package node

import (
	"slices"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/node/contact"
	"chatnt/node/message"
	"chatnt/node/vault"
	"chatnt/overlay"
)

// ledger is the stored part of a conversation that outlives its sessions.
type ledger struct {
	Peer    hashid.ID `json:"peer"`
	Next    uint64    `json:"next"`              // place of the next message in the outbox
	Current string    `json:"current,omitempty"` // id of the talk that messages go out in; "": the next begins one
	Prekey  uint32    `json:"prekey,omitempty"`  // of the other side, that the current talk was begun with
	Seen    uint64    `json:"seen,omitempty"`    // texts remembered so far

	Generation uint32 `json:"generation,omitempty"` // of the last talk that messages went out in; 0: there was none

	History bool          `json:"history,omitempty"` // texts are kept
	TTL     time.Duration `json:"ttl,omitempty"`     // and those said from now on forgotten, this person's by both sides; 0: never
	Said    uint64        `json:"said,omitempty"`    // texts kept so far
	Forget  time.Time     `json:"forget,omitzero"`   // when the first of them is to be forgotten
}

// conversation is all that is under way with one person. messenger.mu guards it,
// but for with.
type conversation struct {
	with hashid.ID // the person; read-only
	ledger
	talks   []*talk
	outbox  []*outgoing   // in the order they were said
	seen    *seen         // nil until needed
	running bool          // a sender goroutine works
	end     uint64        // sequence of the recipient's node's descriptor, as last seen
	kick    chan struct{} // capacity 1: look again

	caller *overlay.Caller // the sender's, which alone uses it

	warned  contact.IdentityKey // the key that the person was last warned of
	doubted bool                // the last key record that was found has another key than the contact

	renewed  time.Time // by this side, the last time
	renewals int       // since something was acknowledged
	repeats  int       // by the other side, of what was confirmed, since its key record was doubted for that
}

func newConversation(l ledger) *conversation {
	return &conversation{with: l.Peer, ledger: l, kick: make(chan struct{}, 1)}
}

// put stores a ledger of the conversation.
func (c *conversation) put(tx *vault.Tx, l ledger) error {
	return store(tx, bucketConversations, c.Peer.String(), l)
}

// current is the talk that messages go out in, nil if the next begins one.
func (c *conversation) current() *talk {
	for _, t := range c.talks {
		if t.id() == c.Current {
			return t
		}
	}
	return nil
}

// prefers reports whether messages are to go out in a talk that the other side has begun.
func (c *conversation) prefers(t *talk) bool {
	if current := c.current(); current != nil {
		return t.outranks(current)
	}
	return t.generation > c.Generation // else this side is to begin one that outranks it
}

// left reports whether the other side, unless it works with an older copy, does not write in
// a talk any more.
func (c *conversation) left(t *talk) bool {
	current := c.current()
	return current != nil && current.shared() && current.outranks(t)
}

// over returns the talks that go once t is stored. If messages go out in t and the other
// side is now known to have it, those are all others, in which it does not write any more: whatever
// is on its way in them comes again in t. If there are too many all the same, it is
// the one that was unused for longest.
func (c *conversation) over(t *talk) []*talk {
	if c.Current == t.id() && (t.hello || t.answered) {
		return slices.DeleteFunc(slices.Clone(c.talks), func(other *talk) bool { return other == t })
	}
	if len(c.talks) <= maxTalks {
		return nil
	}
	return c.unused(t)
}

// excess returns what goes for one more talk.
func (c *conversation) excess() []*talk {
	if len(c.talks) < maxTalks {
		return nil
	}
	return c.unused(nil)
}

// unused returns the talk that was unused for longest, of those but one that messages do not go out in.
func (c *conversation) unused(but *talk) []*talk {
	others := slices.DeleteFunc(slices.Clone(c.talks), func(t *talk) bool { return t.id() == c.Current || t == but })
	return []*talk{slices.MinFunc(others, func(x, y *talk) int { return x.used.Compare(y.used) })}
}

// putTalk stores a talk with the numbers n, and deletes those that are over.
func (c *conversation) putTalk(tx *vault.Tx, t *talk, n numbers) error {
	for _, old := range c.over(t) {
		if err := old.drop(tx, c.Peer); err != nil {
			return err
		}
	}
	return t.put(tx, c.Peer, n, t.session)
}

// stored notes that putTalk was made durable.
func (c *conversation) stored(t *talk) {
	c.remove(c.over(t))
	t.spent, t.hello, t.answered = nil, false, false
}

// remove lets go of talks that are deleted from the vault.
func (c *conversation) remove(old []*talk) {
	c.talks = slices.DeleteFunc(slices.Clone(c.talks), func(t *talk) bool { return slices.Contains(old, t) })
	for _, t := range old {
		t.session.Wipe()
	}
}

// forgetCopies deletes what other talks hold of a text that has come in t.
func (c *conversation) forgetCopies(tx *vault.Tx, t *talk, id message.ID) error {
	for _, other := range c.talks {
		if other == t {
			continue
		}
		for _, sequence := range other.copies(id) {
			if err := tx.Delete(bucketEarly, other.earlyKey(c.Peer, sequence)); err != nil {
				return err
			}
		}
		if other.partID == id {
			if err := other.put(tx, c.Peer, other.without(id), other.session); err != nil {
				return err
			}
		}
	}
	return nil
}

// copiesForgotten notes that forgetCopies was made durable.
func (c *conversation) copiesForgotten(t *talk, id message.ID) {
	for _, other := range c.talks {
		if other == t {
			continue
		}
		for _, sequence := range other.copies(id) {
			delete(other.early, sequence)
		}
		other.numbers = other.without(id)
	}
}

// unseal has all that waits for receipts sealed anew, in the current talk or one that
// is to begin.
func (c *conversation) unseal() {
	for _, item := range c.outbox {
		item.frame, item.sequence = nil, 0
		item.acked, item.sent = false, false
		item.attempts, item.taken, item.due = 0, 0, time.Time{}
	}
}

// base is the lowest number in the current talk that is still repeated.
func (c *conversation) base(next uint64) uint64 {
	for _, item := range c.outbox {
		if item.sequence != 0 {
			return item.sequence
		}
	}
	return next
}
