package ratchet

import (
	"crypto/rand"
	"crypto/subtle"

	"github.com/cloudflare/circl/dh/x25519"
)

// generate makes an X25519 key pair (RFC 7748). Ratchet keys are bare arrays and go
// through circl because the standard library copies a private key, in a form that cannot
// be wiped, every time that one is made of its bytes, and computes its public key anew.
func generate(secret, public *[32]byte) {
	_, _ = rand.Read(secret[:]) // never fails
	x25519.KeyGen((*x25519.Key)(public), (*x25519.Key)(secret))
}

// agree computes the secret shared with the holder of public. It is false, and out is not
// to be used, when public is of low order (RFC 7748, section 6.1).
func agree(out, secret, public *[32]byte) bool {
	var zero [32]byte
	ok := x25519.Shared((*x25519.Key)(out), (*x25519.Key)(secret), (*x25519.Key)(public))
	return ok && subtle.ConstantTimeCompare(out[:], zero[:]) == 0
}
