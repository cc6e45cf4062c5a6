package node

import (
	"encoding/binary"
	"errors"
	"fmt"

	"chatnt/discovery/hashid"
	"chatnt/node/message"
	"chatnt/node/vault"
)

const (
	// seenKept is how many texts of a person are remembered by their ids, so that they
	// are not shown again when they come in a new session: as many as may be unacknowledged. One
	// that its sender repeats from a copy of its profile, more than so many texts later, is shown again.
	seenKept  = 1024
	seenChunk = 64 // stored together
)

// seen is the ids of the last texts of one person, each cut to 8 bytes: who makes
// two that are alike only keeps texts of its own from being shown. The ring is stored
// in chunks, under the hashid and the number of the chunk.
type seen [seenKept]uint64

func (s *seen) has(id message.ID) bool {
	short := binary.BigEndian.Uint64(id[:])
	for _, other := range s {
		if other == short && short != 0 {
			return true
		}
	}
	return false
}

func seenKey(peer hashid.ID, chunk uint64) string { return fmt.Sprintf("%s %02x", peer, chunk) }

// add remembers the nth id, counted from 0, in place of the one seenKept before it.
func (s *seen) add(id message.ID, nth uint64) { s[nth%seenKept] = binary.BigEndian.Uint64(id[:]) }

// put stores the chunk with the nth id.
func (s *seen) put(tx *vault.Tx, peer hashid.ID, nth uint64) error {
	chunk := nth % seenKept / seenChunk
	raw := make([]byte, 0, 8*seenChunk)
	for _, id := range s[chunk*seenChunk : (chunk+1)*seenChunk] {
		raw = binary.BigEndian.AppendUint64(raw, id)
	}
	return tx.Put(bucketSeen, seenKey(peer, chunk), raw)
}

// loadSeen reads what is stored of a person's texts.
func loadSeen(v *vault.Vault, peer hashid.ID) (*seen, error) {
	s := new(seen)
	err := v.View(func(tx *vault.Tx) error {
		for chunk := range uint64(seenKept / seenChunk) {
			raw, err := tx.Get(bucketSeen, seenKey(peer, chunk))
			if errors.Is(err, vault.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if len(raw) != 8*seenChunk {
				return errors.New("the stored ids of texts are damaged")
			}
			for i := range seenChunk {
				s[chunk*seenChunk+uint64(i)] = binary.BigEndian.Uint64(raw[8*i:])
			}
		}
		return nil
	})
	return s, err
}
