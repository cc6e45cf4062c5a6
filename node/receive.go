package node

import (
	"context"
	"maps"
	"slices"
	"strings"

	"chatnt/discovery/hashid"
	"chatnt/node/contact"
	"chatnt/node/control"
	"chatnt/node/message"
	"chatnt/node/vault"
)

// mailboxPut is the service that takes sealed frames for this person, until
// mailboxes at other nodes do. What it answers does not depend on who wrote.
//
//	offset  size  field
//	0       32    mailbox: the recipient's hashid
//	32      3200  sealed frame
func (m *messenger) mailboxPut(body []byte) []byte {
	if len(body) != len(hashid.ID{})+frameSize {
		return []byte{putUnknown}
	}
	if hashid.ID(body[:len(hashid.ID{})]) != m.profile.Hashid() {
		return []byte{putUnknown}
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
			from, msg, err := open(m.network, m.profile.identity, frame)
			if err != nil {
				m.log.Debug("a frame came that does not open")
				continue
			}
			m.take(from, msg)
		}
	}
}

// take handles one message of a person.
func (m *messenger) take(from hashid.ID, msg *message.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.conversations[from]
	if _, known := m.book.Contact(from); known && c == nil {
		c = m.conversation(from)
	}
	if c == nil {
		// A stranger: only a request makes a conversation, and only one that
		// is taken in stays.
		if msg.Kind != message.Request {
			return
		}
		c = newConversation(numbering{Peer: from, Stream: uint64(m.now().UnixNano()), Next: 1})
	}
	if msg.Kind == message.Receipt {
		if msg.Stream == c.Stream && msg.Sequence < c.Next {
			m.acknowledged(c, msg.Sequence)
		}
		return
	}
	if !c.expects(msg) {
		if msg.Stream == c.TheirStream && msg.Sequence <= c.Received {
			m.acknowledge(c, msg.Kind) // its receipt may have been lost
		}
		return
	}
	c.early[msg.Sequence] = msg
	m.takeInOrder(c)
}

// expects tells whether msg may be held for its turn, and moves on to a new
// stream, or past what the other side has given up, as msg says.
func (c *conversation) expects(msg *message.Message) bool {
	switch {
	case msg.Stream < c.TheirStream:
		return false // from before the other side started afresh
	case msg.Stream > c.TheirStream:
		c.TheirStream, c.Received = msg.Stream, msg.Base-1
		clear(c.early)
		c.Parts = nil
	case msg.Base-1 > c.Received:
		c.Received = msg.Base - 1
		c.Parts = nil
		maps.DeleteFunc(c.early, func(sequence uint64, _ *message.Message) bool { return sequence <= c.Received })
	}
	return msg.Sequence > c.Received && msg.Sequence <= c.Received+window
}

// takeInOrder takes in what has its turn. Called with mu held.
func (m *messenger) takeInOrder(c *conversation) {
	for {
		msg := c.early[c.Received+1]
		if msg == nil {
			return
		}
		delete(c.early, msg.Sequence)
		if !m.takeNext(c, msg) {
			return
		}
		m.acknowledge(c, msg.Kind)
	}
}

// acknowledge asks the conversation's sender for a receipt of a message, if the
// other side is to have one: a stranger learns nothing before its request is
// accepted, and who was rejected nothing any more. Who said no to this person gets
// a receipt for just that. Called with mu held.
func (m *messenger) acknowledge(c *conversation, kind message.Kind) {
	who, _ := m.book.Contact(c.Peer)
	saidNo := who.State == contact.Rejected && !who.Ours && kind == message.Reject
	if who.State == contact.Accepted || saidNo {
		c.receiptDue = true
		m.wake(c)
	}
}

// takeNext takes in the next message in order and reports whether it did: what
// is not taken in is not acknowledged, and comes again. Called with mu held.
func (m *messenger) takeNext(c *conversation, msg *message.Message) bool {
	who, known := m.book.Contact(c.Peer)
	if who.State == contact.Rejected && who.Ours {
		return false // silence
	}
	switch msg.Kind {
	case message.Text:
		return known && who.State == contact.Accepted && m.takeText(c, msg)
	case message.Request:
		return m.takeRequest(c, who, known, msg)
	case message.Accept, message.Reject:
		return m.takeAnswer(c, who, known, msg)
	}
	return false
}

// commit stores that the conversation has come one message further, together
// with what also does. Called with mu held.
func (m *messenger) commit(next numbering, also func(*vault.Tx) error) bool {
	err := m.profile.vault.Update(func(tx *vault.Tx) error {
		if also != nil {
			if err := also(tx); err != nil {
				return err
			}
		}
		return store(tx, bucketConversations, next.Peer.String(), next)
	})
	if err != nil {
		m.log.Error("a message could not be stored and will be asked for again", "error", err)
	}
	return err == nil
}

func (m *messenger) takeText(c *conversation, msg *message.Message) bool {
	next := c.numbering
	next.Received = msg.Sequence
	text, whole := next.join(msg)
	if !whole {
		if !m.commit(next, nil) {
			return false
		}
		c.numbering = next
		return true
	}
	news := unshown{
		Number: m.arrived + 1, From: c.Peer, ID: msg.ID, At: msg.At,
		Text: strings.ToValidUTF8(string(text), "\ufffd"),
	}
	if !m.commit(next, func(tx *vault.Tx) error { return store(tx, bucketUnshown, news.key(), news) }) {
		return false
	}
	c.numbering, m.arrived = next, news.Number
	m.tell(news, false)
	return true
}

// join adds a part of a text to those before it, and returns the text when it is
// whole. A part that does not follow on what is there is passed over, and so is
// the rest of its text: its beginning was given up, or it never was a text.
func (n *numbering) join(msg *message.Message) (text []byte, whole bool) {
	before := n.Parts
	if msg.Part == 0 {
		before = nil
	}
	// All parts but the last are full.
	follows := msg.Part == 0 || (n.PartID == msg.ID && len(before) == int(msg.Part)*message.PartSize)
	whole = msg.Part == msg.Parts-1
	n.PartID, n.Parts = message.ID{}, nil
	if !follows || !whole && len(msg.Text) != message.PartSize {
		return nil, false
	}
	text = slices.Concat(before, msg.Text)
	if !whole {
		n.PartID, n.Parts = msg.ID, text
	}
	return text, whole && len(text) > 0
}

// takeRequest handles a request: it is news from a stranger, agreement from
// somebody who was asked as well, whatever the answer was then, and repeated by a
// contact that lost its memory.
func (m *messenger) takeRequest(c *conversation, who contact.Contact, known bool, msg *message.Message) bool {
	next := c.numbering
	next.Received = msg.Sequence
	if known {
		return m.takeAgreement(c, next, who, msg)
	}
	if _, open := m.book.Request(c.Peer); open {
		// Told once. That it was repeated is stored with whatever is stored next.
		c.numbering = next
		return true
	}
	if len(m.book.Requests()) >= contact.MaxRequests {
		m.log.Debug("a request was left out: too many wait for an answer already")
		return false
	}
	asking := contact.Request{From: c.Peer, Nick: msg.Nick, Text: string(msg.Text), At: m.now()}
	if !m.commit(next, func(tx *vault.Tx) error { return store(tx, bucketRequests, c.Peer.String(), asking) }) {
		return false
	}
	if err := m.book.Ask(asking); err != nil {
		m.log.Error("a request was stored and is not shown before the next start", "error", err)
	}
	c.numbering = next
	m.conversations[c.Peer] = c
	m.feed.emit(control.RequestReceived{From: c.Peer.String(), Nick: asking.Nick, Text: asking.Text})
	return true
}

// takeAgreement answers the request of a contact with yes.
func (m *messenger) takeAgreement(c *conversation, next numbering, who contact.Contact, msg *message.Message) bool {
	answered := slices.ContainsFunc(c.outbox, func(item *outgoing) bool { return item.Kind == message.Accept })
	if answered { // whoever asks on and on gets one at a time
		if !m.commit(next, nil) {
			return false
		}
		c.numbering = next
		return true
	}
	before := c.numbering
	c.numbering = next // it is stored with the answer
	who.Nick, who.State = msg.Nick, contact.Accepted
	nick, err := m.profile.nick()
	if err == nil {
		err = m.become(who, &outgoing{Kind: message.Accept, ID: message.NewID(), Parts: 1, Nick: nick})
	}
	if err != nil {
		m.log.Error("a request could not be answered and will be asked for again", "error", err)
		c.numbering = before
	}
	return err == nil
}

// takeAnswer handles the answer to a request of this person's.
func (m *messenger) takeAnswer(c *conversation, who contact.Contact, known bool, msg *message.Message) bool {
	if !known {
		return false
	}
	next := c.numbering
	next.Received = msg.Sequence
	news := who.State == contact.Requested
	if news {
		who.State, who.Since = contact.Rejected, m.now()
		if msg.Kind == message.Accept {
			who.State, who.Nick = contact.Accepted, msg.Nick
		}
	}
	if !m.commit(next, func(tx *vault.Tx) error { return storeContact(tx, who) }) {
		return false
	}
	c.numbering = next
	if !news {
		return true
	}
	m.book.Put(who)
	m.feed.emit(control.ContactChanged{Hashid: c.Peer.String(), Local: who.Name, State: string(who.State)})
	var done []*outgoing
	for _, item := range c.outbox {
		if item.Kind == message.Request || who.State == contact.Rejected {
			done = append(done, item)
		}
	}
	if len(done) > 0 {
		m.settle(c, done, control.Failed, "the contact said no") // requests are settled without a word
	}
	m.wake(c)
	return true
}
