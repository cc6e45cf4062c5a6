package node

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/node/contact"
	"chatnt/node/control"
	"chatnt/node/message"
	"chatnt/node/ratchet"
	"chatnt/node/vault"
)

// How a conversation finds its session. Who writes first begins one; if both do,
// each having sent without an answer, both go on in the one with the smaller id. Whoever
// loses its memory, or part of it, cannot go on in the old session: the other side notices by a
// frame whose number was used before, or by texts that its node took and that nobody acknowledges,
// and begins a new one. What was not acknowledged is sealed anew then.

const (
	// renewAfter is how many attempts at one message the recipient's node must have
	// taken, without a receipt, for the session to be begun anew.
	renewAfter = 4

	renewFirst = time.Minute   // from one new session of a person to the next, doubling ...
	renewLast  = 6 * time.Hour // ... up to this while nothing is acknowledged

	aboutSession = "session" // what a control.Warning is about
)

// arrived opens a frame that came for this person and takes in what it says. All
// sessions are tried, as nothing outside tells whose it is.
func (m *messenger) arrived(frame []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.conversations {
		for _, t := range c.talks {
			if t.session.Expects(frame) {
				m.opened(c, t, frame)
				return
			}
		}
	}
	if m.greeted(frame) {
		return
	}
	for _, c := range m.conversations {
		for _, t := range c.talks {
			if t.session.Knows(frame) {
				m.opened(c, t, frame)
				return
			}
		}
	}
	m.log.Debug("a frame came that does not open")
}

// opened takes in a frame of a talk. What cannot be stored, or has no place now, has
// not been opened: it comes again. Called with mu held.
func (m *messenger) opened(c *conversation, t *talk, frame []byte) {
	before := t.session
	after := before.Clone()
	body, err := after.Open(frame, m.now())
	defer clear(body)
	switch {
	case errors.Is(err, ratchet.ErrDuplicate):
		after.Wipe()
		m.takeEarly(c, t)                   // its turn may have come when it could not be stored
		m.acknowledge(c, t, message.Reject) // the receipt may have been lost
		return
	case errors.Is(err, ratchet.ErrRolledBack):
		after.Wipe()
		m.rolledBack(c, t)
		return
	case err != nil:
		after.Wipe()
		m.log.Debug("a frame of a session came that does not open", "cause", err)
		return
	}
	msg, err := message.Parse(body)
	if err != nil {
		after.Wipe()
		m.log.Debug("a frame came with something else than a message")
		return
	}
	t.session = after
	if m.take(c, t, msg) {
		before.Wipe()
	} else {
		t.session = before
		after.Wipe()
	}
}

// greeted takes in a frame that begins a session, and reports whether it does.
// Called with mu held.
func (m *messenger) greeted(frame []byte) bool {
	h, err := ratchet.OpenHello(m.network, m.profile.identity.keys(), m.profile.prekeys.all(m.now()), frame)
	if err != nil {
		return false
	}
	defer h.Wipe()
	now, key := m.now(), h.Peer()
	peer := hashid.Of(key[:])
	who, known := m.book.Contact(peer)
	silent := who.State == contact.Rejected && who.Ours
	if m.hellos.has(h.ID()) { // one of several, that comes after what followed its answer
		if c, t := m.talkOf(peer, h.ID()); t != nil {
			m.opened(c, t, frame)
		}
		return true
	}
	if silent || !m.hellos.room(peer, known, now) {
		return true
	}
	session, body, err := h.Accept(now)
	if err != nil {
		return true
	}
	defer clear(body)
	msg, err := message.Parse(body)
	if err != nil {
		session.Wipe()
		return true
	}
	m.greet(peer, session, msg, now)
	return true
}

// talkOf finds a talk by its session, nil if it is over. Called with mu held.
func (m *messenger) talkOf(peer hashid.ID, id ratchet.ID) (*conversation, *talk) {
	c := m.conversations[peer]
	if c == nil {
		return nil, nil
	}
	for _, t := range c.talks {
		if t.session.ID() == id {
			return c, t
		}
	}
	return c, nil
}

// greet takes in the first message of a session that another person has begun: a stranger's
// only if it is a request. Called with mu held.
func (m *messenger) greet(peer hashid.ID, session *ratchet.Session, msg *message.Message, now time.Time) {
	c := m.conversations[peer]
	if _, known := m.book.Contact(peer); known && c == nil {
		c = m.conversation(peer)
	}
	if c == nil {
		if msg.Kind != message.Request || msg.Sequence != 1 {
			session.Wipe()
			return
		}
		c = newConversation(ledger{Peer: peer, Next: 1})
	}
	t := newTalk(session, now)
	t.hello = true
	before, talks := c.ledger, c.talks
	old := c.current()
	c.talks = slices.Insert(slices.Clone(c.talks), 0, t)
	if old == nil || old.session.Answered() || t.id() < old.id() {
		c.Current = t.id()
	}
	if !m.take(c, t, msg) || t.hello && !m.storeHello(c, t) {
		c.Current, c.talks = before.Current, talks
		session.Wipe()
		return
	}
	for _, old := range c.talks[min(maxTalks, len(c.talks)):] {
		old.session.Wipe()
	}
	c.talks = c.talks[:min(maxTalks, len(c.talks))]
	m.hellos.add(session.ID(), c.Peer, now)
	if c.Current == before.Current {
		return
	}
	c.unseal()
	m.wake(c)
	if old != nil && old.session.Answered() {
		m.warnRenewed(c, "has begun the conversation anew, as it does after its profile was restored")
	}
}

// storeHello stores a talk that the other side has begun with what is stored nowhere else, a
// receipt. Called with mu held.
func (m *messenger) storeHello(c *conversation, t *talk) bool {
	stored := m.update("a new session could not be stored and will be asked for again", func(tx *vault.Tx) error {
		if err := c.put(tx, c.ledger); err != nil {
			return err
		}
		return m.putTalk(tx, c, t, t.numbers)
	})
	if stored {
		t.stored()
	}
	return stored
}

// rolledBack begins a new session when one side works with an older copy of a talk. Frames that
// show it may come again for as long as the talk is kept: once is enough. Called with mu held.
func (m *messenger) rolledBack(c *conversation, t *talk) {
	if t.noticed || !m.renew(c) {
		return
	}
	t.noticed = true
	m.warnRenewed(c, "wrote from an older state of the conversation, as a profile does that was copied back")
}

// renew has the next message begin a new session, if the last new one is not too
// recent, and reports whether it does. Called with mu held.
func (m *messenger) renew(c *conversation) bool {
	who, _ := m.book.Contact(c.Peer)
	if who.State != contact.Accepted {
		return false
	}
	now := time.Now()
	if !c.renewed.IsZero() && now.Sub(c.renewed) < min(renewFirst<<min(c.renewals, 20), renewLast) {
		return false
	}
	next := c.ledger
	next.Current = ""
	if err := m.profile.vault.Update(func(tx *vault.Tx) error { return c.put(tx, next) }); err != nil {
		m.log.Error("a new session could not be begun", "error", err)
		return false
	}
	c.ledger, c.renewed = next, now
	c.renewals++
	c.unseal()
	if len(c.outbox) == 0 {
		if err := m.queue(c, []*outgoing{{Kind: message.Renew, ID: message.NewID(), Parts: 1}}, nil); err != nil {
			m.log.Error("a new session could not be begun", "error", err)
		}
	}
	m.wake(c)
	return true
}

// warnRenewed tells the person that a conversation has new keys, and why. Called with mu held.
func (m *messenger) warnRenewed(c *conversation, why string) {
	name := c.Peer.String()
	if who, ok := m.book.Contact(c.Peer); ok {
		name = who.Name
	}
	m.feed.emit(control.Warning{About: aboutSession, Text: fmt.Sprintf("%s %s: it goes on under new keys", name, why)})
}
