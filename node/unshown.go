package node

import (
	"errors"
	"fmt"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/node/control"
	"chatnt/node/message"
	"chatnt/node/vault"
)

// unshown is a text that was taken in, and so acknowledged, but not yet shown to
// the person. It is stored together with the numbering that says it was taken in,
// and deleted once its reader has asked for the event after it: a crash between
// shows it once more, marked as such, but never loses it. There are not many more
// than maxUnread at a time.
type unshown struct {
	Number uint64     `json:"number"` // in the order of arrival, from all contacts
	From   hashid.ID  `json:"from"`
	ID     message.ID `json:"id"`
	Text   string     `json:"text"`
	At     time.Time  `json:"at"`
}

func (u *unshown) key() string { return fmt.Sprintf("%016x", u.Number) }

// tell emits a text. Called with mu held.
func (m *messenger) tell(u unshown, again bool) {
	name := u.From.String()
	if who, ok := m.book.Contact(u.From); ok {
		name = who.Name
	}
	m.feed.emitStored(control.MessageReceived{
		ID: u.ID.String(), From: u.From.String(), Name: name, Tag: m.book.Tag(u.From), Text: u.Text, At: u.At, Again: again,
	}, u.key())
}

// tellUnshown emits what the last run of the node left, in order. Called with mu held.
func (m *messenger) tellUnshown() {
	for _, u := range m.unshown {
		m.tell(u, true)
	}
	m.unshown = nil
}

// forget deletes texts that were shown.
func (m *messenger) forget(keys []string) {
	err := m.profile.vault.Update(func(tx *vault.Tx) error {
		for _, key := range keys {
			if err := tx.Delete(bucketUnshown, key); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, vault.ErrClosed) { // closed: the reader outlived the node
		m.log.Error("texts that were shown are shown again after the next start", "error", err)
	}
}
