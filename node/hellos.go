package node

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/node/ratchet"
	"chatnt/node/vault"
)

const (
	// How many first messages are remembered of one person: more are not taken in until
	// some are forgotten. Strangers have room for fewer, and for so many in all, as there may
	// be any number of them: a contact's never wait for theirs.
	maxHellosOfContact   = 256
	maxHellosOfStranger  = 8
	maxHellosOfStrangers = 8192
)

// hellos are the first messages that were taken in, by the id of their session: who
// kept one cannot have it taken in again once its session is gone. They are forgotten when
// no prekey is left that opens them. messenger.mu guards them.
//
// Each is stored under the id in hexadecimal, as the hashid (32 bytes; zeros once the person
// was removed) and when to forget it (8, unix seconds).
type hellos map[ratchet.ID]hello

type hello struct {
	from   hashid.ID
	forget time.Time
}

func (h hellos) has(id ratchet.ID) bool { _, ok := h[id]; return ok }

// room reports whether one more of a person's may be remembered.
func (h hellos) room(from hashid.ID, contact func(hashid.ID) bool, now time.Time) bool {
	strangers, own := 0, 0
	for _, one := range h {
		switch {
		case now.After(one.forget):
		case one.from == from:
			own++
		case !contact(one.from):
			strangers++
		}
	}
	if contact(from) {
		return own < maxHellosOfContact
	}
	return own < maxHellosOfStranger && own+strangers < maxHellosOfStrangers
}

func helloKey(id ratchet.ID) string { return hex.EncodeToString(id[:]) }

// put stores that one was taken in, and deletes those that may be forgotten.
func (h hellos) put(tx *vault.Tx, id ratchet.ID, from hashid.ID, now time.Time) error {
	for old, one := range h {
		if now.After(one.forget) {
			if err := tx.Delete(bucketHellos, helloKey(old)); err != nil {
				return err
			}
		}
	}
	return tx.Put(bucketHellos, helloKey(id), binary.BigEndian.AppendUint64(from[:], uint64(now.Add(helloKept).Unix())))
}

// add is for what was put, once it is stored.
func (h hellos) add(id ratchet.ID, from hashid.ID, now time.Time) {
	for old, one := range h {
		if now.After(one.forget) {
			delete(h, old)
		}
	}
	h[id] = hello{from, now.Add(helloKept)}
}

func loadHellos(tx *vault.Tx) (hellos, error) {
	h := make(hellos)
	err := tx.ForEach(bucketHellos, func(key string, raw []byte) error {
		id, err := hex.DecodeString(key)
		if err != nil || len(id) != len(ratchet.ID{}) || hex.EncodeToString(id) != key || len(raw) != len(hashid.ID{})+8 {
			return errors.New("the stored first messages are damaged")
		}
		until := binary.BigEndian.Uint64(raw[len(hashid.ID{}):])
		if until > maxUnix {
			return errors.New("the stored first messages are damaged")
		}
		h[ratchet.ID(id)] = hello{hashid.ID(raw[:len(hashid.ID{})]), time.Unix(int64(until), 0)}
		return nil
	})
	return h, err
}
