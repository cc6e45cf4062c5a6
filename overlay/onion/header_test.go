package onion

import (
	"bytes"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
	"pgregory.net/rapid"
)

// TestHeaderCipherIsRFC8439 holds headerCipher against the finished AEAD.
func TestHeaderCipherIsRFC8439(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		key := [32]byte(expand(seed, 32))
		ct := [ctSize]byte(expand(seed+1, ctSize))
		plain := expand(seed+2, betaSize)
		aead, err := chacha20poly1305.New(key[:])
		if err != nil {
			t.Fatal(err)
		}
		want := aead.Seal(nil, make([]byte, 12), plain, ct[:])

		beta := make([]byte, betaSize+padSize)
		copy(beta, plain)
		var c headerCipher
		c.init(&key)
		c.xor(beta)
		gamma := c.tag(&ct, beta)
		if !bytes.Equal(beta[:betaSize], want[:betaSize]) || !bytes.Equal(gamma[:], want[betaSize:]) {
			t.Fatal("headerCipher seals to something else than chacha20poly1305")
		}
		// The AEAD of a longer message has the same keystream, hence the same pad.
		long := aead.Seal(nil, make([]byte, 12), append(plain, make([]byte, padSize)...), nil)
		if !bytes.Equal(beta[betaSize:], long[betaSize:betaSize+padSize]) {
			t.Fatal("the pad is not the rest of the keystream")
		}

		var d headerCipher
		d.init(&key)
		if !d.verify(&ct, gamma[:], beta) {
			t.Fatal("verify refuses its own tag")
		}
		d.xor(beta)
		if !bytes.Equal(beta[:betaSize], plain) {
			t.Fatal("xor does not undo itself")
		}
		gamma[rapid.IntRange(0, gammaSize-1).Draw(t, "byte")] ^= 1
		if d.verify(&ct, gamma[:], beta) {
			t.Fatal("verify takes another tag")
		}
	})
}
