//go:build !purego

package onion

import "github.com/cloudflare/circl/dh/x25519"

// keyPair is an X25519 key pair (RFC 7748).
//
// X25519 is nearly all that a packet costs, so on amd64, where it has assembly,
// it comes from cloudflare/circl and not from the standard library. BenchmarkX25519
// with Go 1.26 and circl v1.6.3 on an AMD EPYC, medians in us:
//
//	                                   standard   circl   ratio
//	public key, amd64                      33.3    14.9    0.45
//	shared secret, amd64                   33.3    23.4    0.70
//	public key, amd64 without BMI2, ADX    33.3    18.1    0.54
//	shared secret, same                    33.2    28.2    0.85
//	public key, 386                         196     258     1.3
//	shared secret, 386                      194     406     2.1
//
// The public key gains most because its point is known beforehand: a table stands
// in for the doublings (Oliveira et al., "How to (pre-)compute a ladder", SAC 2017).
//
// The assembly asks whether the processor has BMI2 and ADX. What it does then
// depends on no secret: its ladders swap by conditional moves, and walk the table
// from its beginning to its end.
type keyPair struct {
	secret x25519.Key
	public [32]byte
}

// init computes the public key of a secret: any 32 bytes, which X25519 clamps
// by itself (RFC 7748, section 5).
func (k *keyPair) init(secret *[32]byte) {
	k.secret = *secret
	x25519.KeyGen((*x25519.Key)(&k.public), &k.secret)
}

// shared computes the shared secret with whoever holds point, and reports whether
// it is fit for use. It is not when point is of low order: then it is zero whatever
// the own secret is (RFC 7748, section 6.1), and a packet made with such a point
// would have the same keys at every node.
func (k *keyPair) shared(ss, point *[32]byte) bool {
	ok := x25519.Shared((*x25519.Key)(ss), &k.secret, (*x25519.Key)(point))
	return ok && !allZero(ss[:]) // circl goes by a list of points; the result speaks for itself
}
