package node

import (
	"crypto/ed25519"
	"crypto/mlkem"
	"errors"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"chatnt/discovery/hashid"
	"chatnt/node/message"
	"chatnt/node/vault"
)

// migrate brings the contents of a vault of version 1 up to date. Profiles of that time
// had one generation of prekeys, in the identity, no sessions, and longer parts of texts.
func migrate(tx *vault.Tx) error {
	if err := migrateIdentity(tx); err != nil {
		return err
	}
	last, err := migrateOutbox(tx)
	if err != nil {
		return err
	}
	return migrateConversations(tx, last)
}

// migrateIdentity takes the prekeys out of the identity. When they were made is not
// known: they are replaced at once, and kept for two weeks as any are.
func migrateIdentity(tx *vault.Tx) error {
	raw, err := tx.Get(bucketProfile, keyIdentity)
	if errors.Is(err, vault.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer clear(raw)
	var (
		s         = cryptobyte.String(raw)
		version   uint8
		long      []byte // the keys that stay
		id        uint32
		key, seed []byte
	)
	if !s.ReadUint8(&version) || version != 1 || !s.ReadBytes(&long, ed25519.SeedSize+32) ||
		!s.ReadUint32(&id) || !s.ReadBytes(&key, 32) || !s.ReadBytes(&seed, mlkem.SeedSize) || !s.Empty() {
		return errors.New("the stored identity is damaged")
	}
	made := max(0, time.Now().Add(-prekeyUsed).Unix())
	b := cryptobyte.NewBuilder([]byte{prekeysVersion, 1})
	b.AddUint32(id)
	b.AddUint64(uint64(made))
	b.AddBytes(key)
	b.AddBytes(seed)
	stored := b.BytesOrPanic()
	defer clear(stored)
	if _, err := parsePrekeys(stored); err != nil {
		return err
	}
	if err := tx.Put(bucketProfile, keyPrekeys, stored); err != nil {
		return err
	}
	identity := append([]byte{identityVersion}, long...)
	defer clear(identity)
	return tx.Put(bucketProfile, keyIdentity, identity)
}

// migrateOutbox splits the texts that wait anew, and returns the last place taken in
// each conversation. Of a text whose beginning was acknowledged, the rest becomes a text of its own.
func migrateOutbox(tx *vault.Tx) (map[hashid.ID]uint64, error) {
	items, err := loadAll[outgoing](tx, bucketOutbox) // in the order of hashid, then number
	if err != nil {
		return nil, err
	}
	err = tx.ForEach(bucketOutbox, func(key string, _ []byte) error { return tx.Delete(bucketOutbox, key) })
	if err != nil {
		return nil, err
	}
	last := make(map[hashid.ID]uint64)
	for len(items) > 0 {
		first, text := items[0], []byte(nil)
		for len(items) > 0 && items[0].ID == first.ID {
			text = append(text, items[0].Text...)
			first.Told = items[0].Told
			items = items[1:]
		}
		parts := [][]byte{text}
		if first.Kind == message.Text {
			if first.Part > 0 {
				first.ID = message.NewID()
			}
			parts = message.Cut(text)
		}
		for i, part := range parts {
			last[first.To]++
			item := first
			item.Place, item.Part, item.Parts, item.Text = last[first.To], uint8(i), uint8(len(parts)), part
			if err := store(tx, bucketOutbox, item.key(), item); err != nil {
				return nil, err
			}
		}
	}
	return last, nil
}

// migrateConversations leaves out how messages were numbered: sessions do that, and
// none has begun. Of a text whose beginning has come, its sender has the rest only: the
// beginning becomes a text of its own here, too.
func migrateConversations(tx *vault.Tx, last map[hashid.ID]uint64) error {
	type old struct {
		Peer   hashid.ID  `json:"peer"`
		PartID message.ID `json:"part_id"`
		Parts  []byte     `json:"parts"`
	}
	shown, err := loadAll[unshown](tx, bucketUnshown)
	if err != nil {
		return err
	}
	number := uint64(0)
	if n := len(shown); n > 0 {
		number = shown[n-1].Number
	}
	return forEach(tx, bucketConversations, func(key string, l old) error {
		if key != l.Peer.String() {
			return errors.New("a stored conversation is damaged")
		}
		if len(l.Parts) > 0 {
			number++
			news := unshown{Number: number, From: l.Peer, ID: l.PartID, At: time.Now(), Text: strings.ToValidUTF8(string(l.Parts), "\ufffd")}
			if err := store(tx, bucketUnshown, news.key(), news); err != nil {
				return err
			}
		}
		return store(tx, bucketConversations, key, ledger{Peer: l.Peer, Next: last[l.Peer] + 1})
	})
}
