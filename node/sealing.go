package node

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"chatnt/discovery/record"
	"chatnt/node/message"
	"chatnt/node/ratchet"
	"chatnt/node/vault"
)

// A sealed message is stored beside the message itself, under the same key, as
//
//	offset  size  field
//	0       32    id of the session
//	32      8     number in it
//	40      3200  frame
//
// It is sealed when it first goes out and then repeated as it is: numbers are used up
// by what is said, not by how often it is sent. The message stays, for it may have to be sealed
// anew for another session.

// The frames of this program carry its messages.
const _ = uint(message.Size-ratchet.BodySize) + uint(ratchet.BodySize-message.Size)

// sealAll seals what is due and has no frame yet, and the receipts of talks, which it
// returns. All that changes is stored before any of it may go out. The error is contact.ErrKeyChanged if
// the record has another identity key than the contact is known by. Called with mu held.
func (m *messenger) sealAll(c *conversation, to *record.KeyRecord, due []*outgoing, receipts []*talk) ([][]byte, error) {
	who, met, err := m.meet(c, keysIn(to))
	if err != nil {
		return nil, err
	}
	b, err := m.seal(c, to, due, receipts)
	met = met && len(b.sealers) > 0
	if err == nil && len(b.sealers) > 0 {
		err = m.profile.vault.Update(func(tx *vault.Tx) error {
			if met {
				if err := store(tx, bucketContacts, c.Peer.String(), who); err != nil {
					return err
				}
			}
			return b.put(tx, c)
		})
	}
	if err != nil {
		b.wipe()
		return nil, err
	}
	b.stored(c)
	if met {
		m.book.Put(who)
	}
	return b.acks, nil
}

// batch is what is sealed at once.
type batch struct {
	sealers []*sealer
	items   []*outgoing
	frames  []sealed // of the items, in the current talk
	current *sealer  // of that talk; nil if there are no items
	acks    [][]byte
}

// seal seals, and changes nothing else. The batch is to be wiped if there is an error. Called with mu held.
func (m *messenger) seal(c *conversation, to *record.KeyRecord, due []*outgoing, receipts []*talk) (*batch, error) {
	b := new(batch)
	if len(due) > 0 {
		t, session, err := m.session(c, to)
		if err != nil {
			return b, err
		}
		s := &sealer{talk: t, session: session, numbers: t.numbers, begins: t != c.current(), prekey: to.Prekey.ID}
		if b.items = c.unsealed(due, s.begins); len(b.items) == 0 {
			session.Wipe()
		} else {
			b.current, b.sealers = s, append(b.sealers, s)
			if b.frames, err = s.seal(c, b.items); err != nil {
				return b, err
			}
		}
	}
	for _, t := range receipts {
		if !slices.Contains(c.talks, t) || b.begins() && slices.Contains(c.excess(), t) { // it is over
			continue
		}
		s := b.current
		if s == nil || s.talk != t {
			s = &sealer{talk: t, session: t.session.Clone(), numbers: t.numbers}
			b.sealers = append(b.sealers, s)
		}
		frame, err := s.one(&message.Message{Kind: message.Receipt, Sequence: t.received, ID: t.last, Parts: 1})
		if err != nil {
			return b, err
		}
		b.acks = append(b.acks, frame)
	}
	return b, nil
}

// begins reports whether the batch begins a talk.
func (b *batch) begins() bool { return b.current != nil && b.current.begins }

// put stores what the batch changes.
func (b *batch) put(tx *vault.Tx, c *conversation) error {
	if b.begins() {
		if err := c.put(tx, b.ledger(c)); err != nil {
			return err
		}
		for _, old := range c.excess() {
			if err := old.drop(tx, c.Peer); err != nil {
				return err
			}
		}
	}
	for i, item := range b.items {
		if err := tx.Put(bucketFrames, item.key(), b.frames[i].append(b.current.session.ID())); err != nil {
			return err
		}
	}
	for _, s := range b.sealers {
		if err := s.talk.put(tx, c.Peer, s.numbers, s.session); err != nil {
			return err
		}
	}
	return nil
}

// stored takes over what put has stored.
func (b *batch) stored(c *conversation) {
	if b.begins() {
		next := b.ledger(c)
		c.remove(c.excess())
		c.talks = append(c.talks, b.current.talk)
		c.ledger = next
		c.unseal()
	}
	for _, s := range b.sealers {
		if s.session != s.talk.session {
			s.talk.session.Wipe()
		}
		s.talk.session, s.talk.numbers, s.talk.spent = s.session, s.numbers, nil
	}
	for i, item := range b.items {
		item.sequence, item.frame, item.out = b.frames[i].sequence, b.frames[i].frame, true
	}
}

// ledger is that of a conversation that goes on in a talk which the batch begins.
func (b *batch) ledger(c *conversation) ledger {
	next := c.ledger
	next.Current, next.Prekey, next.Generation = b.current.talk.id(), b.current.prekey, b.current.talk.generation
	return next
}

// wipe lets go of a batch that is not stored.
func (b *batch) wipe() {
	for _, s := range b.sealers {
		s.session.Wipe()
	}
}

// unsealed returns what has to be sealed so that all that is due can go out. Numbers
// are given in the order of the outbox, so that is also what stands before it there; what is
// due but no longer in the outbox is left out: its receipt has come.
func (c *conversation) unsealed(due []*outgoing, renewed bool) []*outgoing {
	var items, skipped []*outgoing
	for _, item := range c.outbox {
		if item.frame == nil && !item.acked || renewed {
			skipped = append(skipped, item)
		}
		if slices.Contains(due, item) {
			items, skipped = append(items, skipped...), nil
		}
	}
	return items
}

// session returns the talk to send in, and its session to go on with: the current, or
// a new one. A session that nobody has answered is given up when the recipient has other
// prekeys now: it may have lost those that would open it. Called with mu held.
func (m *messenger) session(c *conversation, to *record.KeyRecord) (*talk, *ratchet.Session, error) {
	if t := c.current(); t != nil && (t.session.Answered() || c.Prekey == to.Prekey.ID) {
		return t, t.session.Clone(), nil
	}
	session, err := ratchet.Initiate(m.network, m.profile.identity.keys(), to)
	if err != nil {
		return nil, nil, err
	}
	generation := min(c.Generation, math.MaxUint32-1) + 1
	return newTalk(session, generation, m.now()), session, nil
}

// sealed is a frame and the number of the message in it.
type sealed struct {
	sequence uint64
	frame    []byte
}

func (s *sealed) append(id ratchet.ID) []byte {
	raw := binary.BigEndian.AppendUint64(id[:], s.sequence)
	return append(raw, s.frame...)
}

// parseSealed reads what append has written.
func parseSealed(raw []byte) (id ratchet.ID, s sealed, err error) {
	if len(raw) != len(id)+8+ratchet.FrameSize {
		return id, s, errors.New("a stored frame is damaged")
	}
	copy(id[:], raw)
	s.sequence, s.frame = binary.BigEndian.Uint64(raw[len(id):]), raw[len(id)+8:]
	if s.sequence == 0 {
		return id, s, errors.New("a stored frame is damaged")
	}
	return id, s, nil
}

// sealer seals messages of a talk one after the other.
type sealer struct {
	numbers
	talk    *talk
	session *ratchet.Session
	begins  bool   // the talk is new
	prekey  uint32 // of the other side, that it was begun with
}

func (s *sealer) seal(c *conversation, items []*outgoing) ([]sealed, error) {
	base := s.next
	if !s.begins {
		base = c.base(s.next)
	}
	var frames []sealed
	for _, item := range items {
		frame, err := s.one(&message.Message{
			Kind: item.Kind, Before: s.before, Sequence: s.next, Base: base, ID: item.ID, At: item.At, TTL: item.TTL,
			Part: item.Part, Parts: item.Parts, Nick: item.Nick, Text: item.Text, Link: item.Link,
		})
		if err != nil {
			return nil, err
		}
		frames = append(frames, sealed{s.next, frame})
		s.next++
		s.before = item.ID.Short()
	}
	return frames, nil
}

func (s *sealer) one(msg *message.Message) ([]byte, error) {
	msg.Generation = s.talk.generation
	body, err := msg.Append(nil)
	if err != nil {
		return nil, err
	}
	defer clear(body)
	return s.session.Seal(body)
}
