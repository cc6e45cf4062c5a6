package ratchet

import (
	"crypto/ecdh"
	"math/big"
	"slices"
)

// The curve v^2 = u^3 + A u^2 + u over the integers modulo p = 2^255 - 19
// (RFC 7748, section 4.1), in big integers: only as much of it as Elligator 2 needs.

func plainP() *big.Int {
	return new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
}

func plainA() *big.Int { return big.NewInt(486662) }

func plainMod(n *big.Int) *big.Int { return new(big.Int).Mod(n, plainP()) }

func plainAdd(a, b *big.Int) *big.Int { return plainMod(new(big.Int).Add(a, b)) }

func plainSub(a, b *big.Int) *big.Int { return plainMod(new(big.Int).Sub(a, b)) }

func plainMul(a, b *big.Int) *big.Int { return plainMod(new(big.Int).Mul(a, b)) }

// plainDiv returns a / b, and 0 when b is 0, as RFC 9380 has inv0.
func plainDiv(a, b *big.Int) *big.Int {
	inverse := new(big.Int).ModInverse(b, plainP())
	if inverse == nil {
		return new(big.Int)
	}
	return plainMul(a, inverse)
}

// plainSquare reports whether n has a root; 0 has.
func plainSquare(n *big.Int) bool { return big.Jacobi(plainMod(n), plainP()) >= 0 }

func plainRoot(n *big.Int) *big.Int { return new(big.Int).ModSqrt(plainMod(n), plainP()) }

// plainCurve is the right side of the curve's equation.
func plainCurve(u *big.Int) *big.Int {
	return plainMul(u, plainAdd(plainMul(u, plainAdd(u, plainA())), big.NewInt(1)))
}

func plainLittle(b []byte) *big.Int {
	b = slices.Clone(b)
	slices.Reverse(b)
	return new(big.Int).SetBytes(b)
}

func plainLittle32(n *big.Int) []byte {
	b := n.FillBytes(make([]byte, 32))
	slices.Reverse(b)
	return b
}

// plainPoint is an affine point, nil the one at infinity.
type plainPoint struct{ u, v *big.Int }

// plainSum adds two points (RFC 7748 names the law; Costello and Smith,
// "Montgomery curves and their arithmetic", section 2.2, write it out).
func plainSum(a, b *plainPoint) *plainPoint {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	var slope *big.Int
	switch {
	case a.u.Cmp(b.u) != 0:
		slope = plainDiv(plainSub(b.v, a.v), plainSub(b.u, a.u))
	case plainAdd(a.v, b.v).Sign() == 0:
		return nil
	default:
		top := plainAdd(plainMul(a.u, plainAdd(plainMul(big.NewInt(3), a.u), plainMul(big.NewInt(2), plainA()))), big.NewInt(1))
		slope = plainDiv(top, plainMul(big.NewInt(2), a.v))
	}
	u := plainSub(plainSub(plainSub(plainMul(slope, slope), plainA()), a.u), b.u)
	return &plainPoint{u, plainSub(plainMul(slope, plainSub(a.u, u)), a.v)}
}

// plainSmall returns the eight points whose order divides eight: the multiples
// of the one of order eight with the smaller u (RFC 7748 clamps them away).
func plainSmall() []*plainPoint {
	u, _ := new(big.Int).SetString("325606250916557431795983626356110631294008115727848805560023387167927233504", 10)
	generator := &plainPoint{u, plainRoot(plainCurve(u))}
	points := []*plainPoint{nil}
	for range 7 {
		points = append(points, plainSum(points[len(points)-1], generator))
	}
	return points
}

// plainMap is Elligator 2 for this curve (RFC 9380, section 6.7.1, with Z = 2):
// the two highest bits of the representative mean nothing.
func plainMap(representative []byte) []byte {
	b := slices.Clone(representative)
	b[31] &= 0x3f
	r := plainLittle(b)
	u := plainDiv(plainSub(new(big.Int), plainA()), plainAdd(big.NewInt(1), plainMul(big.NewInt(2), plainMul(r, r))))
	if !plainSquare(plainCurve(u)) {
		u = plainSub(plainSub(new(big.Int), u), plainA())
	}
	return plainLittle32(u)
}

// plainHide makes a key pair whose public key, of any of the curve's eight
// cosets, is the map of the representative, which is uniform: a point u has
// either no preimages or r = sqrt(-u / 2(u+A)), sqrt(-(u+A) / 2u) and their
// negatives (Bernstein, Hamburg, Krasnova and Lange, "Elligator", 2013,
// section 5.3), of which the one below p/2 is written.
func plainHide(draw func(int) []byte) (key *ecdh.PrivateKey, public, representative []byte) {
	small := plainSmall()
	for {
		choice := draw(1)[0]
		key, err := ecdh.X25519().NewPrivateKey(draw(32))
		if err != nil {
			panic(err)
		}
		clean := plainLittle(key.PublicKey().Bytes())
		point := plainSum(&plainPoint{clean, plainRoot(plainCurve(clean))}, small[choice&7])
		top, bottom := plainSub(new(big.Int), point.u), plainMul(big.NewInt(2), plainAdd(point.u, plainA()))
		if choice&8 != 0 {
			top, bottom = plainSub(top, plainA()), plainMul(big.NewInt(2), point.u)
		}
		square := plainDiv(top, bottom)
		if bottom.Sign() == 0 || !plainSquare(square) {
			continue
		}
		r := plainRoot(square)
		if other := plainSub(new(big.Int), r); other.Cmp(r) < 0 {
			r = other
		}
		representative = plainLittle32(r)
		representative[31] |= choice & 0xc0
		return key, plainLittle32(point.u), representative
	}
}
