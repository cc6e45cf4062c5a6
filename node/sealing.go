package node

import (
	"encoding/binary"
	"errors"
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
// returns. All that changes is stored before any of it may go out. Called with mu held.
func (m *messenger) sealAll(c *conversation, to *record.KeyRecord, due []*outgoing, receipts []*talk) ([][]byte, error) {
	t, after, err := m.session(c, to)
	if err != nil {
		return nil, err
	}
	s := sealer{session: after, numbers: t.numbers, renewed: c.current() != t}
	items := c.unsealed(due, s.renewed)
	if len(items) == 0 && len(receipts) == 0 {
		after.Wipe()
		return nil, nil
	}
	frames, acks, err := s.seal(c, items, receipts)
	if err != nil {
		after.Wipe()
		return nil, err
	}
	next, old := c.ledger, c.excess(s.renewed)
	if s.renewed {
		next.Current, next.Prekey = t.id(), to.Prekey.ID
	}
	err = m.profile.vault.Update(func(tx *vault.Tx) error {
		for _, gone := range old {
			if err := gone.drop(tx, c.Peer); err != nil {
				return err
			}
		}
		for i, item := range items {
			if err := tx.Put(bucketFrames, item.key(), frames[i].append(after.ID())); err != nil {
				return err
			}
		}
		if s.renewed {
			if err := c.put(tx, next); err != nil {
				return err
			}
		}
		return t.put(tx, c.Peer, s.numbers, after)
	})
	if err != nil {
		after.Wipe()
		return nil, err
	}
	if s.renewed {
		c.unseal()
		c.talks = slices.DeleteFunc(c.talks, func(t *talk) bool { return slices.Contains(old, t) })
		for _, gone := range old {
			gone.session.Wipe()
		}
		c.talks = slices.Insert(c.talks, 0, t)
	} else {
		t.session.Wipe()
	}
	c.ledger, t.numbers, t.session = next, s.numbers, after
	t.spent = nil
	for i, item := range items {
		item.sequence, item.frame = frames[i].sequence, frames[i].frame
	}
	return acks, nil
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
	return newTalk(session, m.now()), session, nil
}

// excess returns the talks that have to go for a new one.
func (c *conversation) excess(renewed bool) []*talk {
	if !renewed || len(c.talks) < maxTalks {
		return nil
	}
	return slices.Clone(c.talks[maxTalks-1:])
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

// sealer seals messages one after the other.
type sealer struct {
	numbers
	session *ratchet.Session
	renewed bool // it is a new session: numbers begin anew
}

func (s *sealer) seal(c *conversation, items []*outgoing, receipts []*talk) (frames []sealed, acks [][]byte, err error) {
	base := c.base(s.next)
	if s.renewed {
		base = s.next
	}
	for _, item := range items {
		sequence, before := item.sequence, c.before(item)
		if sequence == 0 || s.renewed {
			sequence, before = s.next, s.before
			s.next++
			s.before = item.ID.Short()
		}
		frame, err := s.one(&message.Message{
			Kind: item.Kind, Before: before, Sequence: sequence, Base: min(base, sequence), ID: item.ID, At: item.At, TTL: item.TTL,
			Part: item.Part, Parts: item.Parts, Nick: item.Nick, Text: item.Text,
		})
		if err != nil {
			return nil, nil, err
		}
		frames = append(frames, sealed{sequence, frame})
	}
	for _, t := range receipts {
		frame, err := s.one(&message.Message{Kind: message.Receipt, Session: t.number(), Sequence: t.received, ID: t.last, Parts: 1})
		if err != nil {
			return nil, nil, err
		}
		acks = append(acks, frame)
	}
	return frames, acks, nil
}

func (s *sealer) one(msg *message.Message) ([]byte, error) {
	body, err := msg.Append(nil)
	if err != nil {
		return nil, err
	}
	defer clear(body)
	return s.session.Seal(body)
}
