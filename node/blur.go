package node

import (
	"crypto/rand"
	"encoding/binary"
	"math/big"
	"time"

	"chatnt/discovery/record"
	"chatnt/node/vault"
)

// Who keeps records sees the sequence and the expiry of each, also of those that do not say
// whose they are. If these were of the second in which something was signed, an unlisted
// record could be told from all others by what the same person, or their node, signs in that
// second under its name: a descriptor; and so could a withdrawal, which names the person. So
// both are blurred, to within the hour. That does not hide the second in which something is put.
const (
	blurSequence = time.Hour        // by up to this the sequence is behind the clock ...
	blurStep     = 60 * time.Second // ... or, by up to so many, beyond the one before
	blurExpiry   = time.Hour        // the expiry is a whole multiple
)

// blurred returns the next sequence of a count, and a time within the last two
// hours, in whole hours, by which its expiry is to be reckoned.
func (p *Profile) blurred(count string, now time.Time) (sequence uint64, signed time.Time, err error) {
	at := now.Add(-upTo(blurSequence))
	err = p.vault.Update(func(tx *vault.Tx) error {
		last, err := lastSequence(tx, count)
		if err != nil {
			return err
		}
		sequence = record.NextSequence(last+uint64(upTo(blurStep)/time.Second), at)
		return tx.Put(bucketProfile, keySequence+count, binary.BigEndian.AppendUint64(nil, sequence))
	})
	return sequence, now.Add(-upTo(blurExpiry)).Truncate(blurExpiry), err
}

// upTo draws a time of up to most, that included.
func upTo(most time.Duration) time.Duration {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(most)+1))
	if err != nil { // never: the reader does not fail
		return most
	}
	return time.Duration(n.Int64())
}
