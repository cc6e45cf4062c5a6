package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/contact"
	"chatnt/node/control"
	"chatnt/node/message"
	"chatnt/node/vault"
	"chatnt/overlay"
)

const (
	// window is how many messages of a conversation are under way at once; the
	// receiver holds back as many that arrive before their turn.
	window = 32

	repeatFirst = 2 * time.Second        // without a receipt, over another path ...
	repeatLast  = 10 * time.Second       // ... after ever longer waits up to this
	repeatAsk   = 5 * time.Minute        // a request or a rejection that was taken: people take their time
	holdWait    = 250 * time.Millisecond // while nothing can go out
	answerWait  = 10 * time.Second       // for the end node's answer to one attempt
	giveUpAfter = 14 * 24 * time.Hour

	// giveUpUptime is how long the node must have run before it gives up anything:
	// a clock that is wrong at the start has been set by then.
	giveUpUptime = time.Hour

	// refreshAfter is how many attempts without a receipt make the recipient's
	// key record suspect of being out of date.
	refreshAfter = 3

	serviceMailboxPut = "mailbox.put"
)

// The answers of mailbox.put, one byte.
const (
	putStored  = 1
	putUnknown = 2 // no such mailbox here
	putFull    = 3
)

// numbering is the stored part of a conversation: how messages are numbered in
// both directions, so that they come out once and in order.
type numbering struct {
	Peer   hashid.ID `json:"peer"`
	Stream uint64    `json:"stream"` // of this side's messages; see package message
	Next   uint64    `json:"next"`   // number of the next message

	TheirStream uint64 `json:"their_stream"`
	Received    uint64 `json:"received"` // the last one taken in, with all before it

	// A text whose parts have come up to Received.
	PartID message.ID `json:"part_id"`
	Parts  []byte     `json:"parts,omitempty"`
}

// outgoing is one message that has not been acknowledged. The fields with tags
// are stored.
type outgoing struct {
	To       hashid.ID    `json:"to"`
	Sequence uint64       `json:"sequence"`
	Kind     message.Kind `json:"kind"`
	ID       message.ID   `json:"id"`
	At       time.Time    `json:"at"`
	Part     uint8        `json:"part"`
	Parts    uint8        `json:"parts"`
	Nick     string       `json:"nick,omitempty"`
	Text     []byte       `json:"text,omitempty"`
	Told     bool         `json:"told,omitempty"` // last part: the person has been told that all parts are sent

	attempts int
	due      time.Time
	sent     bool   // the recipient's node has it, as far as this run knows
	reason   string // why it does not go out, as last told
}

func (o *outgoing) key() string { return fmt.Sprintf("%s %016x", o.To, o.Sequence) }

func (o *outgoing) last() bool { return o.Part == o.Parts-1 }

// patient holds for what may stay without a receipt for long though it arrived:
// strangers get none, and who was rejected need not send one.
func (o *outgoing) patient() bool { return o.Kind == message.Request || o.Kind == message.Reject }

// conversation is all that is under way with one person. messenger.mu guards it,
// but for with.
type conversation struct {
	with hashid.ID // the person; read-only
	numbering
	outbox     []*outgoing                 // by sequence
	early      map[uint64]*message.Message // arrived before their turn, by sequence
	receiptDue bool
	running    bool          // a sender goroutine works
	end        uint64        // sequence of the recipient's node's descriptor, as last seen
	kick       chan struct{} // capacity 1: look again
}

func newConversation(n numbering) *conversation {
	return &conversation{with: n.Peer, numbering: n, early: make(map[uint64]*message.Message), kick: make(chan struct{}, 1)}
}

// base is the lowest number still repeated.
func (c *conversation) base() uint64 {
	if len(c.outbox) > 0 {
		return c.outbox[0].Sequence
	}
	return c.Next
}

// wake starts the conversation's sender, or makes it look again. Called with mu held.
func (m *messenger) wake(c *conversation) {
	if m.ctx == nil || m.ctx.Err() != nil {
		return
	}
	if c.running {
		nudge(c.kick)
		return
	}
	c.running = true
	m.wg.Go(func() { m.sender(m.ctx, c) })
}

// sender sends and repeats what a conversation has waiting, until nothing is or
// ctx ends.
func (m *messenger) sender(ctx context.Context, c *conversation) {
	end := m.announced(c.with)
	m.mu.Lock()
	c.end = end
	m.mu.Unlock()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		changed := m.relays.Changed()
		due, receipt, next, idle := m.takeDue(c)
		if idle || ctx.Err() != nil {
			return
		}
		if len(due) > 0 || receipt != nil {
			next = min(next, m.sendAll(ctx, c, due, receipt))
		}
		timer.Reset(next)
		select {
		case <-ctx.Done():
		case <-c.kick:
		case <-timer.C:
		case <-changed:
			m.hurry(c)
		}
	}
}

// hurry makes a conversation's messages due when the recipient's node has come
// back since the last attempts: it has announced itself anew. Those that it had
// before are too, as it may have ended before it took them in.
func (m *messenger) hurry(c *conversation) {
	now := m.announced(c.with)
	m.mu.Lock()
	defer m.mu.Unlock()
	if now == 0 || now == c.end {
		return
	}
	c.end = now
	for _, item := range c.outbox {
		item.attempts, item.due = 0, time.Time{}
	}
}

// retry has every message that waits go out now.
func (m *messenger) retry() {
	m.people.retry()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.conversations {
		for _, item := range c.outbox {
			item.attempts, item.due = 0, time.Time{}
		}
		if len(c.outbox) > 0 {
			m.wake(c)
		}
	}
}

// announced returns the sequence of the descriptor of a person's node; 0 if none
// is known or the node has left.
func (m *messenger) announced(peer hashid.ID) uint64 {
	to := m.people.known(peer)
	if to == nil {
		return 0
	}
	desc, ok := m.relays.Lookup(to.Inbox.Node)
	if !ok || desc.Flags&record.FlagWithdrawn != 0 {
		return 0
	}
	return desc.Sequence
}

// takeDue returns what is to be sent now: messages within the window and a
// receipt; and when to look again, or that the sender may end.
func (m *messenger) takeDue(c *conversation) (due []*outgoing, receipt *message.Message, next time.Duration, idle bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.giveUp(c, m.now())
	if c.receiptDue {
		receipt = &message.Message{Kind: message.Receipt, Stream: c.TheirStream, Sequence: c.Received, Parts: 1}
		c.receiptDue = false
	}
	next = repeatLast
	accepted := false
	if who, ok := m.book.Contact(c.Peer); ok {
		accepted = who.State == contact.Accepted
	}
	for _, item := range c.outbox {
		if item.Sequence >= c.base()+window || (item.Kind == message.Text && !accepted) {
			break
		}
		if wait := item.due.Sub(now); wait > 0 {
			next = min(next, wait)
			continue
		}
		due = append(due, item)
	}
	if len(c.outbox) == 0 && receipt == nil {
		c.running = false
		return nil, nil, 0, true
	}
	return due, receipt, next, false
}

// giveUp drops messages that nobody acknowledged for two weeks. Called with mu held.
func (m *messenger) giveUp(c *conversation, now time.Time) {
	if time.Since(m.started) < giveUpUptime { // whatever the clock on the wall says
		return
	}
	var old []*outgoing
	for _, item := range c.outbox {
		if now.Sub(item.At) > giveUpAfter {
			old = append(old, item)
		}
	}
	if len(old) > 0 {
		m.settle(c, old, control.Failed, "not acknowledged for two weeks")
	}
}

// sendAll makes one attempt for each message and for the receipt. It returns
// when the first of them is to be repeated, or tried again if it could not go out.
func (m *messenger) sendAll(ctx context.Context, c *conversation, due []*outgoing, receipt *message.Message) time.Duration {
	to, err := m.people.record(ctx, c.with, m.suspect(due))
	if err != nil {
		return m.hold(c, due, receipt, "the recipient's key record is not to be found yet")
	}
	next := repeatLast
	for _, item := range due {
		path, err := m.overlay.Draw(ctx, to.Inbox.Node)
		if err != nil {
			return m.hold(c, due, receipt, err.Error())
		}
		m.mu.Lock()
		if !slices.Contains(c.outbox, item) { // its receipt came meanwhile
			m.mu.Unlock()
			continue
		}
		item.reason = ""
		msg := &message.Message{
			Kind: item.Kind, Stream: c.Stream, Sequence: item.Sequence, Base: c.base(), ID: item.ID,
			At: item.At, Part: item.Part, Parts: item.Parts, Nick: item.Nick, Text: item.Text,
		}
		item.attempts++
		wait := repeatAfter(item)
		item.due, next = time.Now().Add(wait), min(next, wait)
		if item.Kind == message.Text {
			m.lastPath = sentPath(item.ID, path)
		}
		m.mu.Unlock()
		m.attempt(ctx, to, path, msg, func() { m.stored(c, item) })
	}
	if receipt != nil {
		if path, err := m.overlay.Draw(ctx, to.Inbox.Node); err == nil {
			m.attempt(ctx, to, path, receipt, func() {})
		}
		// A receipt that cannot go now is asked for again by the next repeat.
	}
	return next
}

// suspect tells whether the recipient's record may be out of date.
func (m *messenger) suspect(due []*outgoing) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(due, func(item *outgoing) bool {
		return item.attempts > 0 && item.attempts%refreshAfter == 0
	})
}

// repeatAfter is how long to wait for a receipt, by the attempts made.
func repeatAfter(item *outgoing) time.Duration {
	if item.patient() && item.sent {
		return repeatAsk
	}
	wait := repeatFirst
	for range item.attempts - 1 {
		wait = min(wait*3/2, repeatLast)
	}
	return wait
}

// hold tells once of each message why it waits, and keeps the receipt for the next try.
func (m *messenger) hold(c *conversation, due []*outgoing, receipt *message.Message, reason string) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	c.receiptDue = c.receiptDue || receipt != nil
	for _, item := range due {
		asked := item.Kind == message.Text && item.last() || item.Kind == message.Request
		waits := !item.sent && !item.Told && slices.Contains(c.outbox, item) // its receipt may have come meanwhile
		if asked && waits && item.reason != reason {
			item.reason = reason
			m.feed.emit(control.StatusChanged{ID: item.ID.String(), To: c.Peer.String(), State: control.Queued, Reason: reason})
		}
	}
	if len(due) == 0 {
		return repeatLast // only a receipt: whoever waits for it asks again
	}
	return holdWait
}

// attempt sends one message over one path in the background and calls stored if
// the end node answers that it has it.
func (m *messenger) attempt(ctx context.Context, to *record.KeyRecord, path *overlay.Path, msg *message.Message, stored func()) {
	m.wg.Go(func() {
		frame, err := seal(m.network, m.profile.identity, to, msg)
		if err != nil {
			m.log.Error("sealing a message failed", "error", err)
			return
		}
		mailbox := to.Hashid()
		ctx, cancel := context.WithTimeout(ctx, answerWait)
		defer cancel()
		answer, err := m.overlay.Request(ctx, path, serviceMailboxPut, append(mailbox[:], frame...))
		switch {
		case err != nil:
			if !errors.Is(err, overlay.ErrNoAnswer) {
				m.log.Debug("an attempt failed", "error", err)
			}
		case len(answer) == 1 && answer[0] == putStored:
			stored()
		}
	})
}

// stored notes that the recipient's node has taken a message.
func (m *messenger) stored(c *conversation, item *outgoing) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if item.sent {
		return
	}
	item.sent = true
	if item.patient() {
		item.due = time.Now().Add(repeatAsk)
	}
	if item.Kind != message.Text || !slices.Contains(c.outbox, item) {
		return
	}
	var last *outgoing
	for _, other := range c.outbox {
		if other.ID != item.ID {
			continue
		}
		if !other.sent {
			return // other parts are still under way
		}
		last = other
	}
	if last.last() && !last.Told {
		last.Told = true
		err := m.profile.vault.Update(func(tx *vault.Tx) error { return store(tx, bucketOutbox, last.key(), last) })
		if err != nil {
			m.log.Error("the outbox could not be stored", "error", err) // then it is told again after the next start
		}
		m.feed.emit(control.StatusChanged{ID: item.ID.String(), To: c.Peer.String(), State: control.Sent})
	}
}

// acknowledged drops what the other side says it has: of somebody who has not
// said yes, that is the request alone. Called with mu held.
func (m *messenger) acknowledged(c *conversation, upTo uint64) {
	who, _ := m.book.Contact(c.Peer)
	var done []*outgoing
	for _, item := range c.outbox {
		if item.Sequence <= upTo && (who.State != contact.Requested || item.Kind == message.Request) {
			done = append(done, item)
		}
	}
	if len(done) > 0 {
		m.settle(c, done, control.Delivered, "")
		m.wake(c)
	}
}

// settle takes messages out of the outbox and tells how they ended. Called with mu held.
func (m *messenger) settle(c *conversation, items []*outgoing, state, reason string) {
	err := m.profile.vault.Update(func(tx *vault.Tx) error { return deleteOutgoing(tx, items) })
	if err != nil {
		m.log.Error("the outbox could not be stored", "error", err)
		return // they are repeated, and acknowledged again
	}
	c.drop(items)
	for _, item := range items {
		if item.Kind == message.Text && item.last() {
			if state == control.Delivered && !item.Told { // the receipt was faster than the node's answer
				m.feed.emit(control.StatusChanged{ID: item.ID.String(), To: c.Peer.String(), State: control.Sent})
			}
			m.feed.emit(control.StatusChanged{ID: item.ID.String(), To: c.Peer.String(), State: state, Reason: reason})
		}
	}
}

func deleteOutgoing(tx *vault.Tx, items []*outgoing) error {
	for _, item := range items {
		if err := tx.Delete(bucketOutbox, item.key()); err != nil {
			return err
		}
	}
	return nil
}

// drop takes messages out of the outbox once they are deleted from the vault.
func (c *conversation) drop(items []*outgoing) {
	c.outbox = slices.DeleteFunc(c.outbox, func(item *outgoing) bool { return slices.Contains(items, item) })
}

func sentPath(id message.ID, path *overlay.Path) *control.Path {
	p := &control.Path{ID: id.String(), End: path.End.String()}
	for _, r := range path.Relays {
		p.Relays = append(p.Relays, r.String())
	}
	return p
}
