package ratchet

import (
	"crypto/rand"

	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
)

// An X25519 public key is told from random bytes at once: only half of all u-coordinates
// belong to a point of the curve. Elligator 2 (Bernstein, Hamburg, Krasnova, Lange, "Elligator:
// Elliptic-curve points indistinguishable from uniform random strings", CCS 2013, section 5) maps the
// numbers 0 ... (p-1)/2 to half of the curve's points, one to one. A key from that half is
// sent as the number that is mapped to it, its representative.

// montgomeryA is A of curve25519, v^2 = u^3 + A u^2 + u.
const montgomeryA = 486662

// torsion8 encodes a point of order 8 (RFC 8032, section 5.1.2).
const torsion8 = "\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f" +
	"\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a"

// generateUniform makes an X25519 key pair, and the representative of its public key: 32
// bytes that nobody can tell from random ones.
//
// The public key is secret * base point plus a point of small order, drawn anew. Without
// that, whoever decodes representatives would find all of them in the subgroup of prime
// order, and an eighth of random bytes. X25519 multiplies by eight, so that the shared
// secrets are those of secret * base point.
func generateUniform(secret, public, representative *[32]byte) {
	var random [33]byte
	defer clear(random[:])
	for { // twice on average; what a failed round drew is not used
		_, _ = rand.Read(random[:]) // never fails
		scalar, err := new(edwards25519.Scalar).SetBytesWithClamping(random[:32])
		if err != nil {
			panic("ratchet: " + err.Error())
		}
		point := new(edwards25519.Point).ScalarBaseMult(scalar)
		scalar.Set(edwards25519.NewScalar())
		addTorsion(point, random[32])
		if represent(public, representative, point, random[32]>>3) {
			break
		}
	}
	copy(secret[:], random[:32])
}

// addTorsion adds the point of small order that the three lower bits of n name.
func addTorsion(point *edwards25519.Point, n byte) {
	small, err := new(edwards25519.Point).SetBytes([]byte(torsion8))
	if err != nil {
		panic("ratchet: " + err.Error())
	}
	for i := range 3 {
		sum := new(edwards25519.Point).Add(point, small)
		point.Select(sum, point, int(n>>i&1))
		small.Double(small)
	}
}

// represent gives the u-coordinate of a point and its representative, or is false if it has
// none. For the sender only u counts, that is the point or its negative; the lowest bit of n
// chooses which of them is meant, and so one of u's two representatives. The next two bits fill
// the two that a representative, less than 2^254, leaves free.
func represent(public, representative *[32]byte, point *edwards25519.Point, n byte) bool {
	// u = U/W (RFC 7748, section 4.1), and r^2 = -u / 2(u+A) or r^2 = -(u+A) / 2u: both
	// are squares or none is.
	_, y, z, _ := point.ExtendedCoordinates()
	w := new(field.Element).Subtract(z, y)
	u := new(field.Element).Add(z, y)
	ua := new(field.Element).Mult32(w, montgomeryA)
	ua.Add(ua, u)

	over, under := new(field.Element).Set(u), new(field.Element).Set(ua)
	over.Swap(under, int(n&1))
	over.Negate(over)
	under.Add(under, under)
	r, square := new(field.Element).SqrtRatio(over, under)
	if square == 0 {
		return false
	}
	// Of r and -r, the one up to (p-1)/2: its double does not wrap around.
	double := new(field.Element).Add(r, r)
	r.Select(new(field.Element).Negate(r), r, double.IsNegative())

	copy(representative[:], r.Bytes())
	representative[31] |= n >> 1 & 3 << 6
	copy(public[:], u.Multiply(u, w.Invert(w)).Bytes())
	return true
}

// decodeUniform gives the public key of a representative: any 32 bytes are one. This is the map of
// RFC 9380, section 6.7.1, with J = A, K = 1 and Z = 2.
func decodeUniform(public, representative *[32]byte) {
	b := *representative
	b[31] &= 0x3f
	r, err := new(field.Element).SetBytes(b[:])
	if err != nil {
		panic("ratchet: " + err.Error())
	}
	one := new(field.Element).One()
	a := new(field.Element).Mult32(one, montgomeryA)

	// x1 = -A / (1 + 2 r^2); the divisor is never zero, for -1/2 is no square.
	x1 := r.Square(r)
	x1.Add(x1, x1)
	x1.Add(x1, one)
	x1.Invert(x1)
	x1.Multiply(x1, a)
	x1.Negate(x1)

	// g(x1) = x1 (x1 (x1 + A) + 1)
	g := new(field.Element).Add(x1, a)
	g.Multiply(g, x1)
	g.Add(g, one)
	g.Multiply(g, x1)
	_, square := new(field.Element).SqrtRatio(g, one)

	x2 := new(field.Element).Add(x1, a)
	x2.Negate(x2)
	copy(public[:], x1.Select(x1, x2, square).Bytes())
}
