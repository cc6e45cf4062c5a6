package node

import (
	"context"
	"slices"
	"strings"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/contact"
	"chatnt/node/control"
	"chatnt/node/message"
	"chatnt/node/ratchet"
	"chatnt/node/vault"
)

// mailboxPut is the service that takes sealed frames for this person, until
// mailboxes at other nodes do. What it answers does not depend on who wrote.
//
//	offset  size  field
//	0       32    mailbox: the recipient's hashid
//	32      3200  sealed frame
func (m *messenger) mailboxPut(body []byte) []byte {
	if len(body) != len(hashid.ID{})+ratchet.FrameSize {
		return []byte{putUnknown}
	}
	if hashid.ID(body[:len(hashid.ID{})]) != m.profile.Hashid() {
		return []byte{putUnknown}
	}
	if m.feed.full() { // it would not be taken in, and its sender must not take that for a loss
		return []byte{putFull}
	}
	select {
	case m.inbox <- append([]byte(nil), body[len(hashid.ID{}):]...):
		return []byte{putStored}
	default:
		return []byte{putFull}
	}
}

// receive opens and takes in frames one at a time until ctx ends.
func (m *messenger) receive(ctx context.Context) {
	for {
		if m.feed.room(ctx) != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case frame := <-m.inbox:
			m.arrived(frame)
		}
	}
}

// take handles one message that came in a talk, and reports whether the talk has moved
// on with it; if not, it is as if the message had not come. Called with mu held.
func (m *messenger) take(c *conversation, t *talk, msg *message.Message) bool {
	if msg.Kind == message.Receipt {
		return m.acknowledged(c, t, msg.Sequence, msg.ID)
	}
	t.givenUp(msg.Base)
	switch {
	case msg.Sequence <= t.received: // its receipt may have been lost
		m.acknowledge(c, t, msg.Kind)
		return true
	case msg.Sequence > t.received+window:
		return false
	case msg.Sequence > t.received+1:
		held := m.holdEarly(c, t, msg)
		m.takeEarly(c, t) // some may have their turn after what was given up
		return held
	}
	if !m.takeTurn(c, t, msg) {
		return false
	}
	m.takeEarly(c, t)
	return true
}

// takeTurn takes in the message whose turn it is in a talk, and reports whether it did. That or
// another with its number may have come early. Called with mu held.
func (m *messenger) takeTurn(c *conversation, t *talk, msg *message.Message) bool {
	if !t.follows(msg) {
		if c.current() == t {
			m.rolledBack(c)
		}
		return false
	}
	_, early := t.early[msg.Sequence]
	if early {
		t.spent = append(t.spent, msg.Sequence)
	}
	if !m.takeNext(c, t, msg) {
		if early {
			t.spent = t.spent[:len(t.spent)-1]
		}
		return false
	}
	delete(t.early, msg.Sequence)
	m.acknowledge(c, t, msg.Kind)
	return true
}

// holdEarly stores a contact's message until those before it have come: its sender repeats the very
// same frame, which opens once only. Nothing waits in a talk that the other side has left, as all
// comes again in another. Called with mu held.
func (m *messenger) holdEarly(c *conversation, t *talk, msg *message.Message) bool {
	if who, _ := m.book.Contact(c.Peer); who.State != contact.Accepted || c.left(t) {
		return false
	}
	if seen, err := m.seenOf(c); err != nil {
		return false
	} else if msg.Kind == message.Text && seen.has(msg.ID) {
		msg.Text = nil // it came in another talk
	}
	encoded, err := msg.Append(nil)
	if err != nil {
		return false
	}
	defer clear(encoded)
	stored := m.update("a message could not be stored and will be asked for again", func(tx *vault.Tx) error {
		if err := tx.Put(bucketEarly, t.earlyKey(c.Peer, msg.Sequence), encoded); err != nil {
			return err
		}
		if err := c.put(tx, c.ledger); err != nil {
			return err
		}
		return m.putTalk(tx, c, t, t.numbers)
	})
	if !stored {
		return false
	}
	c.stored(t)
	t.early[msg.Sequence] = msg
	return true
}

// takeEarly takes in what came early and has its turn now. Called with mu held.
func (m *messenger) takeEarly(c *conversation, t *talk) {
	for {
		msg := t.early[t.received+1]
		if msg == nil || !m.takeTurn(c, t, msg) {
			return
		}
	}
}

// acknowledge asks the conversation's sender for a receipt of a message, if the
// other side is to have one: a stranger learns nothing before its request is
// accepted, and who was rejected nothing any more. Who said no to this person gets
// a receipt for just that. Called with mu held.
func (m *messenger) acknowledge(c *conversation, t *talk, kind message.Kind) {
	who, _ := m.book.Contact(c.Peer)
	saidNo := who.State == contact.Rejected && !who.Ours && kind == message.Reject
	if who.State == contact.Accepted || saidNo {
		t.receiptDue = true
		m.wake(c)
	}
}

// takeNext takes in the next message of a talk in order and reports whether it did: what
// is not taken in is not acknowledged, and comes again. Called with mu held.
func (m *messenger) takeNext(c *conversation, t *talk, msg *message.Message) bool {
	who, known := m.book.Contact(c.Peer)
	if who.Silent() {
		return false
	}
	switch msg.Kind {
	case message.Text:
		return m.takeSaid(c, t, who, msg)
	case message.Link:
		return m.takeLink(c, t, who, msg)
	case message.Request:
		return m.takeRequest(c, t, who, known, msg)
	case message.Accept, message.Reject:
		return m.takeAnswer(c, t, who, known, msg)
	}
	return false
}

// commit stores how far a talk has come, together with what also
// does, and with the conversation's ledger, which also may change. Called with mu held.
func (m *messenger) commit(c *conversation, t *talk, n numbers, next *ledger, also ...func(*vault.Tx) error) bool {
	stored := m.update("a message could not be stored and will be asked for again", func(tx *vault.Tx) error {
		for _, change := range also {
			if err := change(tx); err != nil {
				return err
			}
		}
		if err := c.put(tx, *next); err != nil {
			return err
		}
		return m.putTalk(tx, c, t, n)
	})
	if stored {
		c.ledger, t.numbers = *next, n
		c.stored(t)
	}
	return stored
}

// update changes the vault, and says what it means if it cannot. Called with mu held.
func (m *messenger) update(failure string, change func(*vault.Tx) error) bool {
	err := m.profile.vault.Update(change)
	m.report(failure, err)
	return err == nil
}

// report logs what became of a change of the vault: the same failure once until something
// succeeds, as all is tried again and again. Called with mu held.
func (m *messenger) report(failure string, err error) {
	if err == nil {
		m.failure = ""
		return
	}
	if said := failure + ": " + err.Error(); said != m.failure {
		m.failure = said
		m.log.Error(failure, "error", err)
	}
}

// putTalk stores a talk with the numbers n, and if the other side has just begun it, that it has.
func (m *messenger) putTalk(tx *vault.Tx, c *conversation, t *talk, n numbers) error {
	if t.hello {
		if err := m.hellos.put(tx, t.session.ID(), c.Peer, m.now()); err != nil {
			return err
		}
		if err := storeKeys(tx, c.Peer, t.keys); err != nil {
			return err
		}
	}
	return c.putTalk(tx, t, n)
}

// takeSaid handles a text, as only a contact sends it. Whoever was asked and says it is one: it
// does so only if it has said yes, and when that does not come this profile is a copy from before it.
func (m *messenger) takeSaid(c *conversation, t *talk, who contact.Contact, msg *message.Message) bool {
	switch who.State {
	case contact.Accepted:
		return m.takeText(c, t, msg)
	case contact.Requested:
		yes, agree := m.agreement(who)
		taken := m.takeText(c, t, msg, agree)
		if taken {
			m.answered(c, yes)
		}
		return taken
	}
	return false
}

// agreement is a contact who has said yes, and what stores it.
func (m *messenger) agreement(who contact.Contact) (yes contact.Contact, agree func(*vault.Tx) error) {
	who.State, who.Since = contact.Accepted, m.now()
	who.Last = who.Since
	return who, func(tx *vault.Tx) error { return storeContact(tx, who) }
}

// seenOf returns the texts of the other side that have come. Called with mu held.
func (m *messenger) seenOf(c *conversation) (*seen, error) {
	if c.seen == nil {
		known, err := loadSeen(m.profile.vault, c.Peer)
		if err != nil {
			m.log.Error("a message was not taken in", "error", err)
			return nil, err
		}
		c.seen = known
	}
	return c.seen, nil
}

func (m *messenger) takeText(c *conversation, t *talk, msg *message.Message, also ...func(*vault.Tx) error) bool {
	if _, err := m.seenOf(c); err != nil {
		return false
	}
	if c.seen.has(msg.ID) { // shown before, and sent again in another talk
		return m.commit(c, t, t.after(msg), &c.ledger, also...)
	}
	n := t.after(msg)
	text, whole := n.join(msg)
	if !whole {
		return m.commit(c, t, n, &c.ledger, also...)
	}
	news := unshown{
		Number: m.lastUnshown + 1, From: c.Peer, ID: msg.ID, At: msg.At,
		Text: strings.ToValidUTF8(string(text), "\ufffd"),
	}
	with, next, now := *c.seen, c.ledger, m.now()
	with.add(msg.ID, next.Seen)
	next.Seen++
	stored := m.commit(c, t, n, &next, append(also, func(tx *vault.Tx) error {
		if err := with.put(tx, c.Peer, next.Seen-1); err != nil {
			return err
		}
		theirs := said{ID: news.ID, Text: news.Text, At: news.At}
		if err := next.keep(tx, theirs, lifetime(next.TTL, msg.TTL), now); err != nil {
			return err
		}
		if err := storeLast(tx, c.Peer, now); err != nil {
			return err
		}
		if err := c.forgetCopies(tx, t, msg.ID); err != nil {
			return err
		}
		return store(tx, bucketUnshown, news.key(), news)
	})...)
	if !stored {
		return false
	}
	m.last(c.Peer, now)
	c.copiesForgotten(t, msg.ID)
	nudge(m.aged)
	*c.seen, m.lastUnshown = with, news.Number
	m.tell(news, false)
	m.tellLink(c.Peer) // should that have failed before
	return true
}

// join adds a part of a text to those before it, and returns the text when it is
// whole. A part that is there already is passed over; so is one that does not follow on
// what is there, with the rest of its text: its beginning was given up, or it never was a text.
func (n *numbers) join(msg *message.Message) (text []byte, whole bool) {
	before := n.parts
	if n.partID != msg.ID {
		before = nil
	}
	at := int(msg.Part) * message.PartSize
	if at < len(before) {
		return nil, false
	}
	// All parts but the last are full.
	whole = msg.Part == msg.Parts-1
	n.partID, n.parts, n.partEnd = message.ID{}, nil, time.Time{}
	if at != len(before) || !whole && len(msg.Text) != message.PartSize {
		return nil, false
	}
	text = slices.Concat(before, msg.Text)
	if !whole {
		n.partID, n.parts = msg.ID, text
		if msg.TTL != 0 {
			n.partEnd = msg.At.Add(msg.TTL)
		}
	}
	return text, whole && len(text) > 0
}

// takeRequest handles a request: it is news from a stranger, agreement from
// somebody who was asked as well, whatever the answer was then, and repeated by a
// contact that lost its memory.
func (m *messenger) takeRequest(c *conversation, t *talk, who contact.Contact, known bool, msg *message.Message) bool {
	if known {
		return m.takeAgreement(c, t, who, msg)
	}
	if asking, open := m.book.Request(c.Peer); open { // told once
		return m.takeRepeat(c, t, asking, msg)
	}
	return m.takeStranger(c, t, msg, contact.Request{
		From: c.Peer, Nick: msg.Nick, Text: string(msg.Text), At: m.now(), Identity: t.keys.Identity, Key: t.keys.Agreement, Link: msg.Link,
	})
}

// takeStranger takes in a stranger's request, if need be in place of one that has shown less work.
func (m *messenger) takeStranger(c *conversation, t *talk, msg *message.Message, asking contact.Request) bool {
	least, displaced, err := m.book.Room(asking)
	if err != nil {
		m.log.Debug("a request was left out", "cause", err)
		return false
	}
	stored := m.commit(c, t, t.after(msg), &c.ledger, func(tx *vault.Tx) error {
		if displaced {
			if err := m.displace(tx, least.From); err != nil {
				return err
			}
		}
		return store(tx, bucketRequests, c.Peer.String(), asking)
	})
	if !stored {
		return false
	}
	if err := m.book.Ask(asking); err != nil {
		m.log.Error("a request was stored and is not shown before the next start", "error", err)
	}
	if displaced {
		m.displaced(least.From)
	}
	m.enter(c)
	m.feed.emit(control.RequestReceived{From: c.Peer.String(), Nick: asking.Nick, Tag: m.book.Tag(c.Peer), Text: asking.Text})
	return true
}

// takeAgreement answers the request of a contact with yes.
func (m *messenger) takeAgreement(c *conversation, t *talk, who contact.Contact, msg *message.Message) bool {
	answered := slices.ContainsFunc(c.outbox, func(item *outgoing) bool { return item.Kind == message.Accept })
	if answered { // whoever asks on and on gets one at a time
		return m.commit(c, t, t.after(msg), &c.ledger)
	}
	who.Nick, who.State, who.Last = msg.Nick, contact.Accepted, m.now()
	who.Told = record.LinkKey{} // who asks may have forgotten it
	if !c.left(t) {
		who = who.At(msg.Link)
	}
	nick, err := m.profile.nick()
	n := t.after(msg)
	if err == nil {
		err = m.become(who, &outgoing{Kind: message.Accept, ID: message.NewID(), Parts: 1, Nick: nick}, func(tx *vault.Tx) error {
			return m.putTalk(tx, c, t, n)
		})
	}
	if err != nil {
		m.log.Error("a request could not be answered and will be asked for again", "error", err)
		return false
	}
	t.numbers = n
	c.stored(t)
	m.tellLink(c.Peer)
	return true
}

// takeAnswer handles the answer to a request of this person's.
func (m *messenger) takeAnswer(c *conversation, t *talk, who contact.Contact, known bool, msg *message.Message) bool {
	if !known {
		return false
	}
	news := who.State == contact.Requested
	if news {
		who.State, who.Since = contact.Rejected, m.now()
		who.Last = who.Since
		if msg.Kind == message.Accept {
			who.State = contact.Accepted
		}
	}
	if msg.Kind == message.Accept && who.State == contact.Accepted {
		who.Nick = msg.Nick
	}
	if !m.commit(c, t, t.after(msg), &c.ledger, func(tx *vault.Tx) error { return storeContact(tx, who) }) {
		return false
	}
	m.book.Put(who)
	if news {
		m.answered(c, who)
	}
	return true
}

// answered takes note of the answer to a request of this person's, which is stored. Called with mu held.
func (m *messenger) answered(c *conversation, who contact.Contact) {
	m.book.Put(who)
	m.tellContact(who, who.State)
	var done []*outgoing
	for _, item := range c.outbox {
		if item.Kind == message.Request || who.State == contact.Rejected {
			done = append(done, item)
		}
	}
	if len(done) > 0 {
		m.settle(c, done, control.Failed, "the contact said no") // requests are settled without a word
	}
	m.tellLink(c.Peer)
	m.wake(c)
}
