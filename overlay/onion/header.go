package onion

import (
	"crypto/subtle"
	"encoding/binary"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/poly1305" //nolint:staticcheck // low level on purpose: the one-time authenticator inside RFC 8439.
)

// padSize is how much a relay appends to a header, so that it leaves as long
// as it came: as much as the relay took off.
const padSize = relayBlockSize

// headerCipher is ChaCha20-Poly1305 (RFC 8439, section 2.8) under the nonce
// zero, with a keystream that goes on past the message. Its blocks are
//
//	0      the one-time Poly1305 key, and 32 bytes that nothing uses
//	1..6   the keystream over beta (288 bytes), then over the pad (88 bytes)
//
// so that one pass yields what Sphinx (section 3.6) needs: the opened header
// and the pad, which the sender has to predict. The sender needs most of it
// twice, for the filler and for the seal, so all of it is computed beforehand
// and kept. The nonce may be constant because the key is not: each is derived
// from a fresh key agreement, seals one header and is forgotten. A node asked to
// open another header under the same key is looking at the same ct, hence the
// same replay tag; and a change of beta under it fails the tag.
//
// It is written out here, and not taken from chacha20poly1305, because that
// interface does not give the rest of the keystream and would move each header
// to the heap. The tests hold the two against each other.
type headerCipher struct {
	blocks [7 * chachaBlock]byte // the last 8 bytes are spare
}

func (c *headerCipher) init(key *[32]byte) {
	var nonce [chacha20.NonceSize]byte
	s, err := chacha20.NewUnauthenticatedCipher(key[:], nonce[:])
	must(err)
	clear(c.blocks[:])
	s.XORKeyStream(c.blocks[:], c.blocks[:])
	*s = chacha20.Cipher{}
}

// keystream runs over beta and the pad: betaSize + padSize bytes.
func (c *headerCipher) keystream() []byte {
	return c.blocks[chachaBlock : chachaBlock+betaSize+padSize]
}

// xor applies the keystream to b, a beta with or without the pad.
func (c *headerCipher) xor(b []byte) { subtle.XORBytes(b, b, c.keystream()[:len(b)]) }

// tag authenticates an encrypted beta, with ct as associated data. Both are
// multiples of 16 bytes, so the padding of RFC 8439 is empty.
func (c *headerCipher) tag(ct *[ctSize]byte, beta []byte) (gamma [gammaSize]byte) {
	var lengths [16]byte
	binary.LittleEndian.PutUint64(lengths[:8], ctSize)
	binary.LittleEndian.PutUint64(lengths[8:], betaSize)
	m := poly1305.New((*[32]byte)(c.blocks[:]))
	_, _ = m.Write(ct[:])
	_, _ = m.Write(beta[:betaSize])
	_, _ = m.Write(lengths[:])
	m.Sum(gamma[:0])
	return gamma
}

// verify reports, in constant time, whether gamma is the tag of ct and beta.
func (c *headerCipher) verify(ct *[ctSize]byte, gamma, beta []byte) bool {
	want := c.tag(ct, beta)
	return subtle.ConstantTimeCompare(want[:], gamma) == 1
}

// wipe clears the keys.
func (c *headerCipher) wipe() { clear(c.blocks[:]) }
