package record

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"chatnt/discovery/hashid"
)

// Locator is what it takes to find a person's key record and to read it.
type Locator struct {
	Hashid hashid.ID
	Link   LinkKey // of an unlisted person; zero: the person is listed
}

// Copy is a record and the DHT key that it belongs under.
type Copy struct {
	Key   string
	Value []byte
}

// ErrWithdrawn says that a person has taken the key record back.
var ErrWithdrawn = errors.New("this person is not to be found this way any more: ask for a new invite")

// Copies signs the record for a network with the identity's private key and
// returns what to publish: the record under both its keys or, for an unlisted
// person, the two records sealed for those who have the link key. link is the
// private half of that; nil: the person is listed. It refuses what Locator.Parse
// would refuse, and drops fractions of a second from Expires.
func (r *KeyRecord) Copies(network [32]byte, key, link ed25519.PrivateKey) ([]Copy, error) {
	if link == nil {
		raw, err := r.Sign(network, key)
		if err != nil {
			return nil, err
		}
		var listed []Copy
		for _, k := range KeyRecordKeys(r.Hashid()) {
			listed = append(listed, Copy{Key: k, Value: raw})
		}
		return listed, nil
	}
	unlisted, err := r.seal(network, key, link)
	if err != nil {
		return nil, fmt.Errorf("sealing the key record: %w", err)
	}
	return unlisted, nil
}

func (r *KeyRecord) seal(network [32]byte, key, link ed25519.PrivateKey) ([]Copy, error) {
	if !owns(key, r.Identity) {
		return nil, errors.New("the key is not that of its identity")
	}
	// Halves that do not belong together would sign where no reader looks.
	if len(link) != ed25519.PrivateKeySize || !link.Equal(ed25519.NewKeyFromSeed(link.Seed())) {
		return nil, errLinkKey
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	inner := seal(sealedDomain, sealedContext(network, LinkKey(link[32:])), r.encode(), key)
	defer clear(inner)
	h := header{sequence: r.Sequence, expires: unix(r.Expires)}
	var unlisted []Copy
	for i := range uint8(copies) {
		at := place{network: network, period: periodOf(h.expires), copy: i}
		raw, err := sealFor(at, r.Hashid(), link, h, inner)
		if err != nil {
			return nil, err
		}
		unlisted = append(unlisted, Copy{Key: unlistedKey([32]byte(raw[1:33])), Value: raw})
	}
	return unlisted, nil
}

// Places returns the DHT keys that the person's record may be kept under at now:
// each pair is to be asked together, the second if there is one only when the first
// has nothing. It is an error if the link key is none.
//
// Whoever publishes signs for the longest time there is, so the first pair is that
// of the period in which a record signed now expires, by the clock of somebody who
// may be ahead. What is left in the earlier period was signed before that began.
func (l Locator) Places(network [32]byte, now time.Time) ([][copies]string, error) {
	if l.Link.IsZero() {
		return [][copies]string{KeyRecordKeys(l.Hashid)}, nil
	}
	last := periodOf(unix(now.Add(KeyRecordLifetime + ClockSkew)))
	var pairs [][copies]string
	for _, period := range []uint64{last, last - 1} { // a period has passed before now
		var pair [copies]string
		for i := range pair {
			public, err := l.Link.blind(place{network: network, period: period, copy: uint8(i)})
			if err != nil {
				return nil, err
			}
			pair[i] = unlistedKey(public)
		}
		pairs = append(pairs, pair)
	}
	return pairs, nil
}

// Parse reads the person's key record as it is kept, listed or not: its structure,
// its signatures, whose it is, but not the time, for which see CheckTime. The
// result shares no memory with raw. ErrWithdrawn says that the person has taken it
// back; of other errors, IsForged tells whether whoever served the bytes must have
// known.
func (l Locator) Parse(network [32]byte, raw []byte) (*KeyRecord, error) {
	r, err := l.parse(network, raw)
	if err != nil {
		return nil, err
	}
	if r.Withdrawn() {
		return nil, ErrWithdrawn
	}
	return r, nil
}

func (l Locator) parse(network [32]byte, raw []byte) (*KeyRecord, error) {
	if l.Link.IsZero() {
		r, err := ParseKeyRecord(network, raw)
		if err == nil && r.Hashid() != l.Hashid {
			return nil, forged("it is another person's")
		}
		return r, err
	}
	h, inner, err := openUnlisted(network, l.Hashid, l.Link, raw)
	if err != nil {
		return nil, err
	}
	defer clear(inner)
	r, err := parseKeyRecord(sealedDomain, sealedContext(network, l.Link), inner)
	if errors.Is(err, ErrVersion) {
		return nil, err
	}
	if err != nil || r.Hashid() != l.Hashid || r.Sequence != h.sequence || unix(r.Expires) != h.expires {
		return nil, errOtherLink
	}
	return r, nil
}

// sealedContext is what the signature of a key record inside an unlisted one
// covers before its bytes. With the link key in it, nobody can pass another's
// record on under a link of their own and so have it rolled back or watched; with
// a domain of its own, nobody who has the link can list the person.
func sealedContext(network [32]byte, link LinkKey) []byte {
	return append(network[:], link[:]...)
}
