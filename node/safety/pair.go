// Package safety makes the number that two people compare to know that nobody
// stands between them.
//
// It covers every long-term key of both: the Ed25519 key that the hashid is the
// hash of, and the X25519 identity key that sessions are agreed with. Whoever sits in
// the middle gives each side another key for the other, so what the two see differs;
// and it changes whenever one of the four keys does. It says nothing of the keys'
// owners but this, and is no secret.
//
//	fingerprint = SHA-256("chatnt identity fingerprint\x01" | Ed25519 key | X25519 key)
//	pair        = SHA-256("chatnt safety pair\x01" | lesser fingerprint | greater fingerprint)
//	number      = PBKDF2-HMAC-SHA-512(password: pair, salt: "chatnt safety number\x01", 8,192 iterations, 32 bytes)
//
// Both sides get the same, as fingerprints are sorted as big-endian numbers. The
// number is shown in three ways:
//
//	digits  60 decimal digits in groups of five: number, big-endian, modulo 10^60 (199 bits)
//	words   20 words of ten bits each, from its first bit on (200 bits)
//	QR      "chatnt-safety:" and the whole number in lower-case base32 (256 bits)
//
// # How many digits are enough
//
// Somebody who wants to pass for one person whose keys are given needs a second
// preimage: 2^199 tries. Who stands in the middle does better. It chooses a key for
// either side, and needs any two that give both sides one number: a collision,
// about 2^99.7 tries for 60 digits. Signal's number has this place too, and answers
// it as is done here: each try costs 8,192 HMACs, 2^13, which makes it 2^112, and a
// few milliseconds for us. Signal's is two fingerprints side by side; here both go into
// each digit, so that someone who compares a part only, checks both sides in that part.
package safety

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"errors"
)

// Keys are the long-term public keys of one person.
type Keys struct {
	Identity  [32]byte // Ed25519
	Agreement [32]byte // X25519
}

// Pair names the long-term keys of two people, the same whoever comes first. It is
// cheap, for machines that look whether a key has changed; people compare its Number.
type Pair [sha256.Size]byte

// Of returns the pair of a and b.
func Of(a, b Keys) Pair {
	x, y := a.fingerprint(), b.fingerprint()
	if bytes.Compare(x[:], y[:]) > 0 {
		x, y = y, x
	}
	h := sha256.New()
	h.Write([]byte("chatnt safety pair\x01"))
	h.Write(x[:])
	h.Write(y[:])
	return Pair(h.Sum(nil))
}

func (k Keys) fingerprint() [sha256.Size]byte {
	h := sha256.New()
	h.Write([]byte("chatnt identity fingerprint\x01"))
	h.Write(k.Identity[:])
	h.Write(k.Agreement[:])
	return [sha256.Size]byte(h.Sum(nil))
}

// IsZero reports whether p is the zero value, which names nobody.
func (p Pair) IsZero() bool { return p == Pair{} }

// MarshalText returns 52 letters of lower-case base32 (RFC 4648, no padding).
func (p Pair) MarshalText() ([]byte, error) { return []byte(encoding().EncodeToString(p[:])), nil }

// UnmarshalText reads what MarshalText writes, and nothing else.
func (p *Pair) UnmarshalText(text []byte) error {
	raw, err := encoding().DecodeString(string(text))
	if err != nil || len(raw) != len(p) || encoding().EncodeToString(raw) != string(text) {
		return errors.New("the stored safety number is damaged")
	}
	*p = Pair(raw)
	return nil
}

func encoding() *base32.Encoding {
	return base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
}
