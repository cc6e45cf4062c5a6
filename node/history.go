package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/node/control"
	"chatnt/node/message"
	"chatnt/node/ratchet"
	"chatnt/node/vault"
)

// historyKept is how many texts of a conversation are kept at most, the newest.
const historyKept = 10_000

// said is a text of a conversation whose history is on. Each conversation's are in a bucket of
// their own, under the numbers that the ledger counts.
type said struct {
	ID     message.ID `json:"id"`
	Own    bool       `json:"own,omitempty"`
	Text   string     `json:"text"`
	At     time.Time  `json:"at"`
	Forget time.Time  `json:"forget,omitzero"` // when it is deleted
}

func bucketHistory(peer hashid.ID) string { return "history " + peer.String() }

func historyKey(number uint64) string { return fmt.Sprintf("%016x", number) }

// lifetime is the shorter of two times after which a text is forgotten; 0 is for ever.
func lifetime(x, y time.Duration) time.Duration {
	if x == 0 || y != 0 && y < x {
		return y
	}
	return x
}

// keep stores a text of a conversation, if its history is on, and counts it in the ledger.
// It is forgotten ttl after now, if ttl is not 0.
func (l *ledger) keep(tx *vault.Tx, s said, ttl time.Duration, now time.Time) error {
	if !l.History {
		return nil
	}
	if ttl != 0 {
		s.Forget = now.Add(ttl)
		if l.Forget.IsZero() || s.Forget.Before(l.Forget) {
			l.Forget = s.Forget
		}
	}
	if l.Said >= historyKept {
		if err := tx.Delete(bucketHistory(l.Peer), historyKey(l.Said-historyKept)); err != nil {
			return err
		}
	}
	l.Said++
	return store(tx, bucketHistory(l.Peer), historyKey(l.Said-1), s)
}

// sweep deletes what is past its time, and notes in the ledger when the next will be.
func (l *ledger) sweep(tx *vault.Tx, now time.Time) error {
	l.Forget = time.Time{}
	bucket := bucketHistory(l.Peer)
	return forEach(tx, bucket, func(key string, s said) error {
		switch {
		case s.Forget.IsZero():
			return nil
		case !now.Before(s.Forget):
			return tx.Delete(bucket, key)
		case l.Forget.IsZero() || s.Forget.Before(l.Forget):
			l.Forget = s.Forget
		}
		return nil
	})
}

// forgetful deletes texts when their time has come, until ctx ends.
func (m *messenger) forgetful(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.aged:
		case <-timer.C:
		}
		timer.Reset(m.sweepAll())
	}
}

// sweepAll deletes what is past its time and returns how long nothing more will be.
func (m *messenger) sweepAll() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, next := m.now(), time.Hour
	for _, c := range m.conversations {
		m.expire(c, now)
		if c.Forget.IsZero() {
			continue
		}
		if !now.Before(c.Forget) {
			after := c.ledger
			swept := m.update("texts whose time was up could not be deleted and are deleted later", func(tx *vault.Tx) error {
				if err := after.sweep(tx, now); err != nil {
					return err
				}
				return c.put(tx, after)
			})
			if !swept {
				return time.Minute
			}
			c.ledger = after
		}
		if !c.Forget.IsZero() {
			next = min(next, c.Forget.Sub(now))
		}
	}
	return next
}

// expire lets go of the keys of messages that have been missing for too long, and of talks
// that were left for another, when nothing has come in them for as long. Called with mu held.
func (m *messenger) expire(c *conversation, now time.Time) {
	old := slices.DeleteFunc(slices.Clone(c.talks), func(t *talk) bool {
		return t.id() == c.Current || now.Sub(t.used) <= ratchet.SkippedLife
	})
	dropped := len(old) == 0 || m.update("old sessions could not be deleted and are deleted later", func(tx *vault.Tx) error {
		for _, t := range old {
			if err := t.drop(tx, c.Peer); err != nil {
				return err
			}
		}
		return nil
	})
	if dropped {
		c.remove(old)
	}
	for _, t := range c.talks {
		m.expireEarly(c, t, now)
		n, ahead := t.numbers, t.used.After(now) // of a clock that went wrong
		if ahead {
			n.used = now
		}
		late := len(n.parts) > 0 && (now.Sub(n.used) > giveUpAfter || !n.partEnd.IsZero() && now.After(n.partEnd))
		if late {
			n = n.without(n.partID)
		}
		if t.session.Expire(now) || ahead || late {
			if m.update("keys that are too old could not be deleted and are deleted later", func(tx *vault.Tx) error {
				return t.put(tx, c.Peer, n, t.session)
			}) {
				t.numbers = n
			}
		}
	}
}

// expireEarly empties the texts that came early and whose senders do not repeat what is missing before them
// any more. Called with mu held.
func (m *messenger) expireEarly(c *conversation, t *talk, now time.Time) {
	for sequence, msg := range t.early {
		late := now.Sub(t.used) > giveUpAfter || msg.TTL != 0 && now.After(msg.At.Add(msg.TTL))
		if !late || len(msg.Text) == 0 {
			continue
		}
		empty := *msg
		empty.Text = nil
		encoded, err := empty.Append(nil)
		if err != nil {
			continue
		}
		if m.update("a text that is over could not be deleted and is deleted later", func(tx *vault.Tx) error {
			return tx.Put(bucketEarly, t.earlyKey(c.Peer, sequence), encoded)
		}) {
			t.early[sequence] = &empty
		}
	}
}

// Settings returns what is set for the conversation with a contact.
func (n *Node) Settings(name string) (control.Settings, error) {
	return n.messenger.configure(name, func(*vault.Tx, *ledger) error { return nil })
}

// SetHistory has the texts of the conversation with a contact kept from now on, or
// deletes those that were kept.
func (n *Node) SetHistory(name string, on bool) (control.Settings, error) {
	return n.messenger.configure(name, func(tx *vault.Tx, l *ledger) error {
		l.History = on
		if on {
			return nil
		}
		l.Forget = time.Time{}
		return forEach(tx, bucketHistory(l.Peer), func(key string, _ said) error {
			return tx.Delete(bucketHistory(l.Peer), key)
		})
	})
}

// SetTTL has both sides forget the texts that this person says in a conversation from now on
// after ttl, and this side those of the other; 0 is never.
func (n *Node) SetTTL(name string, ttl time.Duration) (control.Settings, error) {
	if ttl < 0 || ttl > message.MaxTTL || ttl%time.Second != 0 {
		return control.Settings{}, errors.New("texts are forgotten after one second to one year: try 1h, or off")
	}
	return n.messenger.configure(name, func(_ *vault.Tx, l *ledger) error { l.TTL = ttl; return nil })
}

// configure changes and stores the settings of a conversation.
func (m *messenger) configure(name string, change func(*vault.Tx, *ledger) error) (control.Settings, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	who, err := m.book.Named(name)
	if err != nil {
		return control.Settings{}, err
	}
	c := m.conversation(who.Hashid)
	next := c.ledger
	err = m.profile.vault.Update(func(tx *vault.Tx) error {
		if err := change(tx, &next); err != nil {
			return err
		}
		return c.put(tx, next)
	})
	if err != nil {
		return control.Settings{}, fmt.Errorf("the setting could not be stored: %w", err)
	}
	c.ledger = next
	return control.Settings{Name: who.Name, Tag: m.book.Tag(who.Hashid), History: next.History, TTL: int(next.TTL / time.Second)}, nil
}

// History returns the last texts, up to limit, that were kept of the conversation with a
// contact, the oldest first.
func (n *Node) History(name string, limit int) ([]control.Said, error) {
	return n.messenger.history(name, limit)
}

func (m *messenger) history(name string, limit int) ([]control.Said, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	who, err := m.book.Named(name)
	if err != nil {
		return nil, err
	}
	var list []control.Said
	now, count, tag := m.now(), m.conversation(who.Hashid).Said, m.book.Tag(who.Hashid)
	err = m.profile.vault.View(func(tx *vault.Tx) error {
		for number := count; number > 0 && len(list) < limit && count-number < historyKept; number-- {
			s, err := load[said](tx, bucketHistory(who.Hashid), historyKey(number-1))
			if errors.Is(err, vault.ErrNotFound) || err == nil && !s.Forget.IsZero() && !now.Before(s.Forget) {
				continue
			}
			if err != nil {
				return err
			}
			list = append(list, control.Said{ID: s.ID.String(), Own: s.Own, Name: who.Name, Tag: tag, Text: s.Text, At: s.At})
		}
		return nil
	})
	slices.Reverse(list)
	return list, err
}
