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
	"chatnt/node/safety"
	"chatnt/node/vault"
)

// How a conversation finds its session. Who writes first begins one, and counts it: its generation
// is one more than that of the last it knows of (see renewAll for a profile that was restored). Both
// sides write in the one that outranks the others they have (see talk.outranks), so a first message
// that comes late changes nothing. Whoever loses part of its memory cannot go on in the old session.
// The other side notices by a frame whose number was used before, by one in a session that it has
// long left behind, or by texts that a node took and nobody acknowledges, and begins a new one. What
// was not acknowledged is sealed anew then.

const (
	// renewAfter is how many attempts at one message the recipient's node must have
	// taken, without a receipt, for the session to be begun anew.
	renewAfter = 4

	renewFirst = time.Minute   // from one new session of a person to the next, doubling ...
	renewLast  = 6 * time.Hour // ... up to this while nothing is acknowledged

	aboutSession = "session" // what a control.Warning is about

	// triedAtOnce is how many conversations a frame is tried in before others may go on.
	triedAtOnce = 64
)

// arrived opens a frame that came for this person and takes in what it says. All
// sessions are tried, as nothing outside tells whose it is: those first in which something came last.
func (m *messenger) arrived(frame []byte) {
	m.mu.Lock()
	all := slices.Clone(m.recent)
	m.mu.Unlock()
	if m.openedIn(all, frame, (*ratchet.Session).Expects) || m.greeted(frame) {
		return
	}
	if !m.openedIn(all, frame, (*ratchet.Session).Knows) {
		m.log.Debug("a frame came that does not open")
	}
}

// openedIn takes in a frame of one of the talks of conversations, and reports whether it is
// of any, as far as the test tells.
func (m *messenger) openedIn(all []*conversation, frame []byte, test func(*ratchet.Session, []byte) bool) bool {
	for some := range slices.Chunk(all, triedAtOnce) {
		if m.openedInSome(some, frame, test) {
			return true
		}
	}
	return false
}

func (m *messenger) openedInSome(some []*conversation, frame []byte, test func(*ratchet.Session, []byte) bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range some {
		for _, t := range c.talks {
			if test(t.session, frame) {
				m.opened(c, t, frame)
				if at := slices.Index(m.recent, c); at >= 0 {
					m.recent = slices.Insert(slices.Delete(m.recent, at, at+1), 0, c)
				}
				return true
			}
		}
	}
	return false
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
		if len(t.early) == 0 {              // else it need not have been confirmed
			c.repeats++
		}
		return
	case errors.Is(err, ratchet.ErrRolledBack):
		after.Wipe()
		if c.current() == t { // else it is left behind already
			m.rolledBack(c)
		}
		return
	case err != nil:
		after.Wipe()
		m.log.Debug("a frame of a session came that does not open", "cause", err)
		return
	}
	msg, err := message.Parse(body)
	if err != nil || msg.Generation != t.generation {
		after.Wipe()
		m.log.Debug("a frame came with something else than a message of its session")
		return
	}
	used, answered := t.used, t.answered
	t.session, t.used, t.answered = after, m.now(), answered || !before.Answered()
	if !m.take(c, t, msg) {
		t.session, t.used, t.answered = before, used, answered
		after.Wipe()
		return
	}
	before.Wipe()
	if c.left(t) && after.Established() {
		m.rolledBack(c) // or its sender would not write here any more
	}
}

// greeted takes in a frame that begins a session, and reports whether it does.
func (m *messenger) greeted(frame []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, err := ratchet.OpenHello(m.network, m.profile.identity.keys(), m.profile.prekeys.all(m.now()), frame)
	if err != nil {
		return false
	}
	defer h.Wipe()
	now, key := m.now(), h.Peer()
	peer, keys := hashid.Of(key[:]), safety.Keys{Identity: key, Agreement: h.Agreement()}
	who, _ := m.book.Contact(peer)
	known := func(id hashid.ID) bool { _, known := m.book.Contact(id); return known }
	if m.hellos.has(h.ID()) { // one of several, that comes after what followed its answer
		if c, t := m.talkOf(peer, h.ID()); t != nil {
			m.opened(c, t, frame)
		}
		return true
	}
	if who.Silent() || !m.hellos.room(peer, known, now) || m.another(peer, keys) {
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
	m.greet(peer, keys, session, msg, now)
	return true
}

// another reports whether somebody comes with another identity key than it is known by, and
// puts that to the person if it is a contact. Called with mu held.
func (m *messenger) another(peer hashid.ID, keys safety.Keys) bool {
	if asking, open := m.book.Request(peer); open {
		return !asking.Key.IsZero() && asking.Key != keys.Agreement
	}
	who, known := m.book.Contact(peer)
	if _, err := who.Meet(keys); !known || err == nil {
		return false
	}
	m.offered(m.conversation(peer), who, keys.Agreement)
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
func (m *messenger) greet(peer hashid.ID, keys safety.Keys, session *ratchet.Session, msg *message.Message, now time.Time) {
	c := m.conversations[peer]
	who, known := m.book.Contact(peer)
	if known && c == nil {
		c = m.conversation(peer)
	}
	if c == nil && (msg.Kind != message.Request || msg.Sequence != 1) || msg.Kind == message.Receipt {
		session.Wipe()
		return
	}
	if c == nil {
		c = newConversation(ledger{Peer: peer, Next: 1})
	}
	t := newTalk(session, msg.Generation, now)
	t.hello, t.keys = true, keys
	before, talks, old := c.ledger, c.talks, c.current()
	began := old != nil && old.session.Established() && t.generation > old.generation
	preferred := c.prefers(t)
	c.talks = append(slices.Clone(c.talks), t)
	if preferred {
		c.Current, c.Generation = t.id(), t.generation
	}
	if met, err := who.Meet(keys); known && err == nil {
		m.book.Put(met) // whatever is stored of it now has the keys
	}
	if !m.take(c, t, msg) {
		if left, known := m.book.Contact(peer); known {
			left.Identity, left.Key = who.Identity, who.Key
			m.book.Put(left)
		}
		c.Current, c.Generation, c.talks = before.Current, before.Generation, talks
		session.Wipe()
		return
	}
	m.hellos.add(session.ID(), c.Peer, now)
	if !preferred {
		return
	}
	c.unseal()
	c.repeats = refreshAfter - 1 // if it is repeated, it comes from another node perhaps
	m.people.moved(peer)
	m.wake(c)
	if before.Generation > 0 || t.generation > 1 { // the two had another before, as far as one of them knows
		m.tellLinkAnew(c)
	}
	if began {
		m.warnRenewed(c, "%s has begun the conversation anew, as after a profile was restored")
	}
}

// rolledBack begins a new session when one side works with an older copy of the conversation. Called with mu held.
func (m *messenger) rolledBack(c *conversation) {
	if m.renew(c) {
		m.warnRenewed(c, "the conversation with %s was continued from an older copy of one of the two profiles")
	}
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
	if !m.update("a new session could not be begun", func(tx *vault.Tx) error { return c.put(tx, next) }) {
		return false
	}
	c.ledger, c.renewed = next, now
	c.renewals++
	c.unseal()
	m.tellLinkAnew(c) // so there is something to begin it with, too
	m.wake(c)
	return true
}

// warnRenewed tells the person that a conversation has new keys, and why, with the name of the other side in it.
// Called with mu held.
func (m *messenger) warnRenewed(c *conversation, why string) {
	m.feed.emit(control.Warning{About: aboutSession, Text: fmt.Sprintf(why, m.called(c.Peer)) + ": it goes on under new keys"})
}
