package ratchet

import (
	"bytes"
	"crypto/mlkem"
	"crypto/rand"
	"encoding/binary"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	// FrameSize is the length of every frame, in bytes.
	FrameSize = 3200

	// BodySize is the length of the body of every frame, in bytes.
	BodySize = 1831
)

// The layout, see the package's comment.
const (
	prefixSize = 1264 // what only a hello begins with
	saltSize   = 32
	bodyAt     = FrameSize - BodySize - chacha20poly1305.Overhead

	ratchetSize = 32
	headerSize  = ratchetSize + 4 + 4 + 1
	slotSize    = 1264
)

// What a slot carries.
const (
	slotEmpty      = 0
	slotKey        = 1
	slotCiphertext = 2
)

// parts are a frame cut up: salt, sealed header and sealed body, sharing its memory.
type parts struct{ salt, header, body []byte }

// cut takes a frame of FrameSize bytes.
func cut(frame []byte, hello bool) parts {
	at := 0
	if hello {
		at = prefixSize
	}
	return parts{frame[at : at+saltSize], frame[at+saltSize : bodyAt], frame[bodyAt:]}
}

// header is what only the two of a session can read of a frame's place in it.
type header struct {
	ratchet [ratchetSize]byte // the chain's ratchet key
	pn      uint32            // messages in the sender's previous chain
	n       uint32            // number of the message in its chain
	slot    []byte            // of the size that its kind has; nil if it is empty
}

// slotKind is what the slots of a chain carry: chains are counted from 1, for
// each side.
func slotKind(initiator bool, chain uint32) byte {
	switch {
	case chain == 1:
		return slotEmpty
	case initiator:
		return slotKey
	}
	return slotCiphertext
}

// slotLength is how many bytes a slot of a kind is filled with.
func slotLength(kind byte) int {
	switch kind {
	case slotKey:
		return mlkem.EncapsulationKeySize768
	case slotCiphertext:
		return mlkem.CiphertextSize768
	}
	return 0
}

// put fills b, the header of a hello or of another frame, which is zero before.
func (h *header) put(b []byte, kind byte) {
	copy(b, h.ratchet[:])
	binary.BigEndian.PutUint32(b[32:], h.pn)
	binary.BigEndian.PutUint32(b[36:], h.n)
	b[40] = kind
	copy(b[headerSize:], h.slot)
}

// read takes apart a header, which h.slot then shares memory with. It is false for one
// that a chain with slots of that kind does not have.
func (h *header) read(b []byte, kind byte) bool {
	copy(h.ratchet[:], b)
	h.pn = binary.BigEndian.Uint32(b[32:])
	h.n = binary.BigEndian.Uint32(b[36:])
	if b[40] != kind {
		return false
	}
	slot := b[headerSize:]
	if h.slot = nil; kind != slotEmpty {
		h.slot, slot = slot[:slotLength(kind)], slot[slotLength(kind):]
	}
	return len(bytes.Trim(slot, "\x00")) == 0
}

// sealFrame makes the frame of one message: prefix is that of a hello, or nil.
func sealFrame(id *ID, prefix []byte, headerKey, messageKey *[32]byte, h *header, kind byte, body []byte) []byte {
	frame := make([]byte, FrameSize)
	copy(frame, prefix)
	p := cut(frame, prefix != nil)
	_, _ = rand.Read(p.salt) // never fails
	plain := p.header[:len(p.header)-chacha20poly1305.Overhead]
	h.put(plain, kind)
	seal(plain, headerKey, p.salt[:chacha20poly1305.NonceSize], headerAD(id))
	copy(p.body, body)
	var k bodyKey
	k.derive(messageKey, p.salt)
	seal(p.body[:BodySize], &k.key, k.nonce[:], bodyAD(id, p.header))
	k.wipe()
	return frame
}

// openBody returns the body of a frame, or nil.
func (p *parts) openBody(id *ID, messageKey *[32]byte) []byte {
	var k bodyKey
	k.derive(messageKey, p.salt)
	defer k.wipe()
	body := make([]byte, BodySize)
	if !open(body, &k.key, k.nonce[:], p.body, bodyAD(id, p.header)) {
		return nil
	}
	return body
}

// headerAD is the associated data of every header.
func headerAD(id *ID) []byte {
	return append([]byte(headerLabel), id[:]...)
}

// bodyAD is the associated data of the body below a sealed header.
func bodyAD(id *ID, sealed []byte) []byte {
	return append(append(make([]byte, 0, len(id)+bodyAt), id[:]...), sealed...)
}

// tag names a sealed header among all that its header key sealed: the first half of its
// authenticator.
func (p *parts) tag() [tagSize]byte {
	return [tagSize]byte(p.header[len(p.header)-chacha20poly1305.Overhead:])
}
