// Package hashid names people and nodes by the hash of their public key.
//
// The text form of a hashid is 56 letters of lower-case base32 (RFC 4648, no
// padding) over 35 bytes, laid out as a v3 onion address is (Tor rend-spec-v3,
// section 6), so that a typing error is noticed before anything is looked up:
//
//	offset  size  field
//	0       1     version, 1
//	1       32    SHA-256 of the identity's Ed25519 public key
//	33      2     checksum: first bytes of SHA-256("chatnt hashid checksum" | version | hash)
//
// A node id has another text form, 64 hexadecimal digits, so that the two are
// never taken for one another: a person is not a node.
package hashid

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
)

const (
	version      = 1
	checksumSize = 2
	rawSize      = 1 + sha256.Size + checksumSize

	// TextSize is the length of a hashid's text form, in letters.
	TextSize = rawSize * 8 / 5
)

// ErrChecksum says that a text has the shape of a hashid, but not its checksum.
var ErrChecksum = errors.New("this hashid has a typing error: its checksum does not match")

// ID is a hashid: the SHA-256 hash of an identity's Ed25519 public key.
type ID [sha256.Size]byte

// Of returns the hashid of an identity's public key.
func Of(pub ed25519.PublicKey) ID { return sha256.Sum256(pub) }

// IsZero reports whether id is the zero value, which names nobody.
func (id ID) IsZero() bool { return id == ID{} }

// String returns the text form, 56 letters.
func (id ID) String() string {
	raw := make([]byte, 0, rawSize)
	raw = append(raw, version)
	raw = append(raw, id[:]...)
	sum := checksum(id)
	raw = append(raw, sum[:]...)
	return encoding().EncodeToString(raw)
}

// MarshalText returns the text form.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads the text form.
func (id *ID) UnmarshalText(text []byte) error {
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// Parse reads the text form. It accepts nothing that String would not write.
func Parse(s string) (ID, error) {
	if len(s) != TextSize {
		return ID{}, fmt.Errorf("a hashid has %d letters, this has %d", TextSize, len(s))
	}
	raw, err := encoding().DecodeString(s)
	if err != nil || len(raw) != rawSize { // the decoder skips line breaks
		return ID{}, errors.New("a hashid is made of the letters a-z and the digits 2-7 only")
	}
	if raw[0] != version {
		return ID{}, fmt.Errorf("this hashid is of version %d, which this program does not know", raw[0])
	}
	id := ID(raw[1 : 1+sha256.Size])
	if sum := checksum(id); sum != [checksumSize]byte(raw[1+sha256.Size:]) {
		return ID{}, ErrChecksum
	}
	return id, nil
}

func checksum(id ID) [checksumSize]byte {
	sum := sha256.Sum256(append([]byte("chatnt hashid checksum\x01"), id[:]...))
	return [checksumSize]byte(sum[:])
}

func encoding() *base32.Encoding {
	return base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
}

// NodeID names a node: the SHA-256 hash of its Ed25519 public key.
type NodeID [sha256.Size]byte

// OfNode returns the node id of a node's public key.
func OfNode(pub ed25519.PublicKey) NodeID { return sha256.Sum256(pub) }

// IsZero reports whether n is the zero value, which names no node.
func (n NodeID) IsZero() bool { return n == NodeID{} }

// String returns the text form, 64 hexadecimal digits.
func (n NodeID) String() string { return hex.EncodeToString(n[:]) }

// ParseNode reads the text form. It accepts nothing that String would not write.
func ParseNode(s string) (NodeID, error) {
	var n NodeID
	if len(s) != 2*len(n) {
		return n, fmt.Errorf("a node id has %d hexadecimal digits, this has %d", 2*len(n), len(s))
	}
	if _, err := hex.Decode(n[:], []byte(s)); err != nil || n.String() != s {
		return NodeID{}, errors.New("a node id is made of the digits 0-9 and the letters a-f only")
	}
	return n, nil
}
