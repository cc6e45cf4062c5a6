package record

import (
	"crypto/ed25519"
	"crypto/mlkem"
	"errors"
	"fmt"
	"time"

	"chatnt/discovery/hashid"

	"golang.org/x/crypto/cryptobyte"
)

// KeyRecord is what a person publishes under its hashid, for others to write to
// it: the keys that PQXDH needs (Signal, "The PQXDH Key Agreement Protocol",
// section 3.2) and the place of its inbox. The record's signature takes the
// place of PQXDH's three.
type KeyRecord struct {
	Identity  [32]byte // Ed25519 public key; the hashid is its hash
	Agreement [32]byte // X25519 identity key
	Prekey    Prekey
	KEMPrekey KEMPrekey
	Inbox     Inbox
	Sequence  uint64    // see NextSequence
	Expires   time.Time // whole seconds, at most KeyRecordLifetime ahead
}

// Prekey is an X25519 public key of medium life, and the number by which its
// owner finds the private half again.
type Prekey struct {
	ID  uint32
	Key [32]byte
}

// KEMPrekey is an ML-KEM-768 encapsulation key of medium life, numbered like a
// Prekey.
type KEMPrekey struct {
	ID  uint32
	Key [mlkem.EncapsulationKeySize768]byte
}

// Hashid returns the hashid that the record belongs to.
func (r *KeyRecord) Hashid() hashid.ID { return hashid.Of(r.Identity[:]) }

// Sign encodes the record and signs it for a network with the identity's
// private key. It refuses a record that ParseKeyRecord would refuse, and drops
// fractions of a second from Expires.
func (r *KeyRecord) Sign(network [32]byte, key ed25519.PrivateKey) ([]byte, error) {
	if !owns(key, r.Identity) {
		return nil, errors.New("signing the key record: the key is not that of its identity")
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("signing the key record: %w", err)
	}
	return seal(keyRecordDomain, network[:], r.encode(), key), nil
}

// encode returns the bytes before the signature.
func (r *KeyRecord) encode() []byte {
	b := cryptobyte.NewBuilder(make([]byte, 0, MaxKeyRecord))
	header{r.Identity, r.Sequence, unix(r.Expires)}.add(b)
	b.AddBytes(r.Agreement[:])
	b.AddUint32(r.Prekey.ID)
	b.AddBytes(r.Prekey.Key[:])
	b.AddUint32(r.KEMPrekey.ID)
	b.AddBytes(r.KEMPrekey.Key[:])
	b.AddUint16LengthPrefixed(r.Inbox.add)
	return b.BytesOrPanic() // no field outgrows its length
}

// ParseKeyRecord reads a key record signed for a network: its structure, its
// signature and its keys, but not the time, for which see CheckTime. The result
// shares no memory with b. Errors satisfy IsForged, or are ErrVersion.
func ParseKeyRecord(network [32]byte, b []byte) (*KeyRecord, error) {
	return parseKeyRecord(keyRecordDomain, network[:], b)
}

func parseKeyRecord(domain string, context, b []byte) (*KeyRecord, error) {
	h, s, err := open(domain, context, b, minKeyRecord, MaxKeyRecord)
	if err != nil {
		return nil, err
	}
	r := &KeyRecord{Identity: h.key, Sequence: h.sequence, Expires: fromUnix(h.expires)}
	var inbox cryptobyte.String
	if !s.CopyBytes(r.Agreement[:]) ||
		!s.ReadUint32(&r.Prekey.ID) || !s.CopyBytes(r.Prekey.Key[:]) ||
		!s.ReadUint32(&r.KEMPrekey.ID) || !s.CopyBytes(r.KEMPrekey.Key[:]) ||
		!s.ReadUint16LengthPrefixed(&inbox) || !r.Inbox.read(inbox) || !s.Empty() {
		return nil, forged("it is malformed")
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", errForged, err)
	}
	return r, nil
}

// CheckTime returns ErrExpired or ErrFuture when the record is not good at now.
func (r *KeyRecord) CheckTime(now time.Time) error {
	return checkTime(now, KeyRecordLifetime, r.Expires, r.Sequence)
}

// check tests the values that the layout leaves open.
func (r *KeyRecord) check() error {
	if unix(r.Expires) > maxUnix {
		return errors.New("its expiry is no date")
	}
	if err := checkX25519(r.Agreement); err != nil {
		return err
	}
	if err := checkX25519(r.Prekey.Key); err != nil {
		return err
	}
	if _, err := mlkem.NewEncapsulationKey768(r.KEMPrekey.Key[:]); err != nil {
		return errors.New("the ML-KEM-768 encapsulation key is not valid")
	}
	return r.Inbox.check()
}
