package record

import (
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"fmt"
	"time"

	"chatnt/discovery/hashid"
)

// Withdrawal returns a key record that says nothing but that there is none any
// more: its keys are of nobody and its inbox is nowhere. It takes the place of a
// person's record at the nodes that keep that, which would otherwise hold it until
// it expires: when the person is not to be listed any more, or a link key is given
// up. It is to be published until the last record before it has expired, and no
// longer; a shorter-lived one would let a node that had missed it bring that back.
func Withdrawal(identity [32]byte, sequence uint64, expires time.Time) (*KeyRecord, error) {
	r := &KeyRecord{Identity: identity, Inbox: Inbox{Node: nowhere()}, Sequence: sequence, Expires: expires}
	for _, public := range []*[32]byte{&r.Agreement, &r.Prekey.Key} {
		key, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("withdrawing the key record: %w", err)
		}
		*public = [32]byte(key.PublicKey().Bytes())
	}
	kem, err := mlkem.GenerateKey768()
	if err != nil {
		return nil, fmt.Errorf("withdrawing the key record: %w", err)
	}
	r.KEMPrekey.Key = [mlkem.EncapsulationKeySize768]byte(kem.EncapsulationKey().Bytes())
	return r, nil
}

// Withdrawn reports whether there is nothing behind the record, see Withdrawal.
func (r *KeyRecord) Withdrawn() bool { return r.Inbox.Node == nowhere() }

// nowhere is a node id that no key is known to hash to.
func nowhere() (id hashid.NodeID) {
	for i := range id {
		id[i] = 0xff
	}
	return id
}
