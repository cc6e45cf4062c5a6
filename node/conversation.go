package node

import (
	"time"

	"chatnt/discovery/hashid"
	"chatnt/node/vault"
)

// ledger is the stored part of a conversation that outlives its sessions.
type ledger struct {
	Peer    hashid.ID `json:"peer"`
	Next    uint64    `json:"next"`              // place of the next message in the outbox
	Current string    `json:"current,omitempty"` // id of the talk that messages go out in; "": the next begins one
	Prekey  uint32    `json:"prekey,omitempty"`  // of the other side, that the current talk was begun with
	Seen    uint64    `json:"seen,omitempty"`    // texts remembered so far

	History bool          `json:"history,omitempty"` // texts are kept
	TTL     time.Duration `json:"ttl,omitempty"`     // and those said from now on forgotten, by both sides; 0: never
	Said    uint64        `json:"said,omitempty"`    // texts kept so far
	Forget  time.Time     `json:"forget,omitzero"`   // when the first of them is to be forgotten
}

// conversation is all that is under way with one person. messenger.mu guards it,
// but for with.
type conversation struct {
	with hashid.ID // the person; read-only
	ledger
	talks   []*talk       // the newest first
	outbox  []*outgoing   // in the order they were said
	seen    *seen         // nil until needed
	running bool          // a sender goroutine works
	end     uint64        // sequence of the recipient's node's descriptor, as last seen
	kick    chan struct{} // capacity 1: look again

	renewed  time.Time // by this side, the last time
	renewals int       // since something was acknowledged
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

// unseal has all that waits for receipts sealed anew, in the current talk or one that
// is to begin.
func (c *conversation) unseal() {
	for _, item := range c.outbox {
		item.frame, item.sequence = nil, 0
		item.acked, item.sent = false, false
		item.attempts, item.taken, item.due = 0, 0, time.Time{}
	}
}

// before names the message before one that is sealed again, if it still waits.
func (c *conversation) before(item *outgoing) uint64 {
	for _, other := range c.outbox {
		if other.sequence != 0 && other.sequence == item.sequence-1 {
			return other.ID.Short()
		}
	}
	return 0
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
