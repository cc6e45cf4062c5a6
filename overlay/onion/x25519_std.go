//go:build !amd64 || purego

package onion

import "crypto/ecdh"

// keyPair is an X25519 key pair (RFC 7748) of the standard library, on processors
// for which no other was measured to be faster: see x25519_amd64.go.
type keyPair struct {
	// key is kept as it is, since parsing a secret costs as much as agreeing on
	// one: the standard library computes the public key as it parses.
	key    *ecdh.PrivateKey
	public [32]byte
}

// init computes the public key of a secret: any 32 bytes, which X25519 clamps
// by itself (RFC 7748, section 5).
func (k *keyPair) init(secret *[32]byte) {
	key, err := ecdh.X25519().NewPrivateKey(secret[:])
	must(err)
	k.key = key
	copy(k.public[:], key.PublicKey().Bytes())
}

// shared computes the shared secret with whoever holds point, and reports whether
// it is fit for use. It is not when point is of low order: then it is zero whatever
// the own secret is (RFC 7748, section 6.1), and a packet made with such a point
// would have the same keys at every node.
func (k *keyPair) shared(ss, point *[32]byte) bool {
	peer, err := ecdh.X25519().NewPublicKey(point[:])
	must(err)
	secret, err := k.key.ECDH(peer)
	if err != nil {
		return false
	}
	copy(ss[:], secret)
	clear(secret)
	return true
}
