package record

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// header is what all kinds of record begin with, at fixed offsets.
type header struct {
	key      [32]byte // Ed25519
	sequence uint64
	expires  uint64 // unix seconds
}

// peek reads the header of a record that may otherwise be anything.
func peek(b []byte) (header, bool) {
	if len(b) < sizeHeader || b[0] != version {
		return header{}, false
	}
	return header{
		key:      [32]byte(b[1:33]),
		sequence: binary.BigEndian.Uint64(b[33:41]),
		expires:  binary.BigEndian.Uint64(b[41:49]),
	}, true
}

func (h header) add(b *cryptobyte.Builder) { b.AddBytes(h.append(nil)) }

func (h header) append(b []byte) []byte {
	b = append(b, version)
	b = append(b, h.key[:]...)
	b = binary.BigEndian.AppendUint64(b, h.sequence)
	return binary.BigEndian.AppendUint64(b, h.expires)
}

// Newer reports whether record a replaces record b of the same owner: it has the
// higher sequence or, for equal sequences, the greater bytes, so that all
// readers keep the same one in whatever order they meet the two. Both must have
// been validated.
func Newer(a, b []byte) bool {
	ha, _ := peek(a)
	hb, _ := peek(b)
	if ha.sequence != hb.sequence {
		return ha.sequence > hb.sequence
	}
	return bytes.Compare(a, b) > 0
}

// open checks what can be checked of a record without reading its fields (its
// size, version and signature) and returns its header and the fields after it.
func open(domain string, context, record []byte, least, most int) (header, cryptobyte.String, error) {
	if len(record) > most {
		return header{}, nil, forged("it is too large")
	}
	if len(record) > 0 && record[0] != version {
		return header{}, nil, ErrVersion
	}
	if len(record) < least {
		return header{}, nil, forged("it is cut short")
	}
	h, _ := peek(record)
	if h.expires > maxUnix {
		return header{}, nil, forged("its expiry is no date")
	}
	body, signature := record[:len(record)-sizeSignature], record[len(record)-sizeSignature:]
	if !ed25519.Verify(h.key[:], signed(domain, context, body), signature) {
		return header{}, nil, forged("its signature does not match")
	}
	return h, cryptobyte.String(body[sizeHeader:]), nil
}

// seal appends the signature to a record's other bytes.
func seal(domain string, context, body []byte, key ed25519.PrivateKey) []byte {
	return append(body, ed25519.Sign(key, signed(domain, context, body))...)
}

// signed returns the bytes that a signature covers. The domain ends in a zero
// byte and contains no other, so no domain is the beginning of another; the
// context is the network's id and has one size for each domain.
func signed(domain string, context, body []byte) []byte {
	return slices.Concat([]byte(domain), context, body)
}

// owns reports whether key is the private half of the public key pub.
func owns(key ed25519.PrivateKey, pub [32]byte) bool {
	return len(key) == ed25519.PrivateKeySize && bytes.Equal(key[32:], pub[:])
}

func fromUnix(seconds uint64) time.Time { return time.Unix(int64(seconds), 0).UTC() }
