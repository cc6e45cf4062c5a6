package record

import (
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	"chatnt/discovery/hashid"
)

// DHT keys are a name space, which chooses the kind, and raw bytes:
//
//	/key/       salt (1, 0 or 1) | hashid (32)
//	/unlisted/  SHA-256 of the blinded key (32)
//	/relay/     node id (32)
//
// The DHT hashes the whole string to find the nodes that keep a record, so the
// salt moves the second copy of a key record to other ones: who surrounds one
// place with Sybils does not hide the other. The two copies of an unlisted record
// have keys of their own, so that who keeps one cannot even tell where the other is.
const (
	keySpace      = "/key/"
	unlistedSpace = "/unlisted/"
	relaySpace    = "/relay/"
	copies        = 2 // of a key record
)

// KeyRecordKeys returns the two DHT keys that a key record is kept under.
func KeyRecordKeys(id hashid.ID) [2]string {
	return [copies]string{
		keySpace + "\x00" + string(id[:]),
		keySpace + "\x01" + string(id[:]),
	}
}

// DescriptorKey returns the DHT key that a relay descriptor is kept under.
func DescriptorKey(id hashid.NodeID) string { return relaySpace + string(id[:]) }

// unlistedKey returns the DHT key that an unlisted record is kept under.
func unlistedKey(blinded [32]byte) string {
	hash := sha256.Sum256(blinded[:])
	return unlistedSpace + string(hash[:])
}

// kind tells the kinds of record apart.
type kind int

const (
	kindKeyRecord kind = iota + 1
	kindUnlisted
	kindDescriptor
)

// limit is the most bytes that a record of a kind may have.
func (k kind) limit() int {
	switch k {
	case kindUnlisted:
		return sizeUnlisted
	case kindDescriptor:
		return MaxDescriptor
	}
	return MaxKeyRecord
}

// parseKey takes a DHT key apart: the kind of record kept there and the hash of
// the key that must be inside.
func parseKey(key string) (kind, [sha256.Size]byte, bool) {
	if s, ok := strings.CutPrefix(key, keySpace); ok && len(s) == 1+sha256.Size && s[0] < copies {
		return kindKeyRecord, [sha256.Size]byte([]byte(s[1:])), true
	}
	if s, ok := strings.CutPrefix(key, unlistedSpace); ok && len(s) == sha256.Size {
		return kindUnlisted, [sha256.Size]byte([]byte(s)), true
	}
	if s, ok := strings.CutPrefix(key, relaySpace); ok && len(s) == sha256.Size {
		return kindDescriptor, [sha256.Size]byte([]byte(s)), true
	}
	return 0, [sha256.Size]byte{}, false
}

// IsKey reports whether a DHT key is one that a record may be kept under.
func IsKey(key string) bool {
	_, _, ok := parseKey(key)
	return ok
}

// IsPersonKey reports whether a DHT key is one that a person's key record may be
// kept under, listed or not.
func IsPersonKey(key string) bool {
	kind, _, ok := parseKey(key)
	return ok && kind != kindDescriptor
}

// Validator decides what the DHT keeps and which of several records wins. It
// serves all name spaces and is safe for concurrent use.
type Validator struct {
	Network [32]byte         // id of the network whose records are good
	Now     func() time.Time // nil: time.Now
}

// Validate tells whether value may be kept under a DHT key now. The cheap tests
// come first, since anyone may send anything.
func (v Validator) Validate(key string, value []byte) error {
	kind, owner, ok := parseKey(key)
	if !ok {
		return forged("its DHT key is malformed")
	}
	if len(value) > kind.limit() {
		return forged("it is too large")
	}
	if h, ok := peek(value); ok && sha256.Sum256(h.key[:]) != owner {
		return forged("it belongs under another DHT key")
	}
	switch kind {
	case kindKeyRecord:
		r, err := ParseKeyRecord(v.Network, value)
		if err != nil {
			return err
		}
		return r.CheckTime(v.now())
	case kindUnlisted:
		h, err := checkUnlisted(v.Network, value)
		if err != nil {
			return err
		}
		return checkTime(v.now(), KeyRecordLifetime, fromUnix(h.expires), h.sequence)
	}
	d, err := ParseDescriptor(v.Network, value)
	if err != nil {
		return err
	}
	return d.CheckTime(v.now())
}

// Select returns the index of the value to keep, the one that is Newer than all
// others. Values that Validate refuses now are passed over, so one that expired
// or was forged never displaces a good one; it is an error if none is left.
func (v Validator) Select(key string, values [][]byte) (int, error) {
	best := -1
	for i, value := range values {
		// Comparing is far cheaper than validating.
		if (best < 0 || Newer(value, values[best])) && v.Validate(key, value) == nil {
			best = i
		}
	}
	if best < 0 {
		return 0, errors.New("none of the records is valid")
	}
	return best, nil
}

func (v Validator) now() time.Time {
	if v.Now == nil {
		return time.Now()
	}
	return v.Now()
}

// Expiry reads when a stored value expires, for a store to sweep. It checks the
// shape only, no signature; it is false for what could not be a record.
func Expiry(key string, value []byte) (time.Time, bool) {
	kind, _, ok := parseKey(key)
	if !ok || len(value) > kind.limit() {
		return time.Time{}, false
	}
	h, ok := peek(value)
	if !ok || h.expires > maxUnix {
		return time.Time{}, false
	}
	return fromUnix(h.expires), true
}
