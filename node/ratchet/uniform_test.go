package ratchet

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"math"
	"math/big"
	"os"
	"slices"
	"testing"

	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
)

// count is how often a test does what is a matter of patience.
func count(few, many int) int {
	if os.Getenv("CHATNT_LONG") == "1" {
		return many
	}
	return few
}

// prime is p = 2^255 - 19.
func prime() *big.Int {
	p := new(big.Int).Lsh(big.NewInt(1), 255)
	return p.Sub(p, big.NewInt(19))
}

func littleEndian(x *big.Int) (b [32]byte) {
	x.FillBytes(b[:])
	slices.Reverse(b[:])
	return b
}

func fromLittleEndian(b [32]byte) *big.Int {
	slices.Reverse(b[:])
	return new(big.Int).SetBytes(b[:])
}

// elligator is the map as the paper has it (section 5.2, with u = 2), in numbers: v = -A/(1 + u r^2),
// e = chi(v^3 + A v^2 + v), x = e v - (1 - e) A / 2.
func elligator(r *big.Int) (x *big.Int, e int) {
	p, a := prime(), big.NewInt(montgomeryA)
	v := new(big.Int).Mul(r, r)
	v.Add(v.Lsh(v, 1), big.NewInt(1))
	v.ModInverse(v.Mod(v, p), p)
	v.Mod(v.Mul(v.Neg(v), a), p)
	g := new(big.Int).Exp(v, big.NewInt(3), p)
	g.Add(g, new(big.Int).Mul(a, new(big.Int).Mul(v, v)))
	g.Add(g, v)
	e = big.Jacobi(g.Mod(g, p), p)
	if e == -1 {
		v.Sub(v.Neg(v), a)
	}
	return v.Mod(v, p), e
}

// TestDecodeUniform: the map agrees with one in numbers, whatever the bytes.
func TestDecodeUniform(t *testing.T) {
	inputs := [][32]byte{{}, {1}, {31: 0x40}, {31: 0x80}, [32]byte(bytes.Repeat([]byte{0xff}, 32))}
	half := new(big.Int).Rsh(prime(), 1) // (p-1)/2, and what lies just above it
	for i := range int64(12) {
		inputs = append(inputs, littleEndian(new(big.Int).Add(half, big.NewInt(i-1))))
	}
	for range count(500, 20_000) {
		var b [32]byte
		_, _ = rand.Read(b[:])
		inputs = append(inputs, b)
	}
	for _, in := range inputs {
		masked := in
		masked[31] &= 0x3f
		x, _ := elligator(fromLittleEndian(masked))
		var got [32]byte
		decodeUniform(&got, &in)
		if got != littleEndian(x) {
			t.Fatalf("%x is mapped to %x, not %x", in, got, littleEndian(x))
		}
	}
}

// TestDecodeUniformVectors: RFC 9380, appendix J.4.2: u, and x of Q and of P, which is 8 Q.
func TestDecodeUniformVectors(t *testing.T) {
	for _, v := range [][3]string{
		{
			"608d892b641f0328523802a6603427c26e55e6f27e71a91a478148d45b5093cd",
			"51125222da5e763d97f3c10fcc92ea6860b9ccbbd2eb1285728f566721c1e65b",
			"1bb913f0c9daefa0b3375378ffa534bda5526c97391952a7789eb976edfe4d08",
		},
		{
			"46f5b22494bfeaa7f232cc8d054be68561af50230234d7d1d63d1d9abeca8da5",
			"7d56d1e08cb0ccb92baf069c18c49bb5a0dcd927eff8dcf75ca921ef7f3e6eeb",
			"7c22950b7d900fa866334262fcaea47a441a578df43b894b4625c9b450f9a026",
		},
		{
			"235fe40c443766ce7e18111c33862d66c3b33267efa50d50f9e8e5d252a40aaa",
			"3fbe66b9c9883d79e8407150e7c2a1c8680bee496c62fabe4619a72b3cabe90f",
			"31ad08a8b0deeb2a4d8b0206ca25f567ab4e042746f792f4b7973f3ae2096c52",
		},
		{
			"001e92a544463bda9bd04ddbe3d6eed248f82de32f522669efc5ddce95f46f5b",
			"227e0bb89de700385d19ec40e857db6e6a3e634b1c32962f370d26f84ff19683",
			"027877759d155b1997d0d84683a313eb78bdb493271d935b622900459d52ceaa",
		},
		{
			"1a68a1af9f663592291af987203393f707305c7bac9c8d63d6a729bdc553dc19",
			"3bcd651ee54d5f7b6013898aab251ee8ecc0688166fce6e9548d38472f6bd196",
			"5fd892c0958d1a75f54c3182a18d286efab784e774d1e017ba2fb252998b5dc1",
		},
	} {
		var n [3]*big.Int
		for i, s := range v {
			n[i] = new(big.Int).SetBytes(unhex(t, s))
		}
		r := n[0] // of r and -r, which go to the same x, the one that is a representative
		if r.BitLen() > 254 {
			r = r.Sub(prime(), r)
		}
		in := littleEndian(r)
		var got [32]byte
		decodeUniform(&got, &in)
		if got != littleEndian(n[1]) {
			t.Errorf("%s is mapped to %x (little-endian)", v[0], got)
		}
		cleared := new(edwards25519.Point).MultByCofactor(toEdwards(t, got))
		if !bytes.Equal(cleared.BytesMontgomery(), leBytes(n[2])) {
			t.Errorf("%s gives another point P", v[0])
		}
	}
}

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func leBytes(x *big.Int) []byte { b := littleEndian(x); return b[:] }

// toEdwards gives one of the two points with a u-coordinate: y = (u-1)/(u+1).
func toEdwards(tb testing.TB, u [32]byte) *edwards25519.Point {
	tb.Helper()
	e, err := new(field.Element).SetBytes(u[:])
	if err != nil {
		tb.Fatal(err)
	}
	one := new(field.Element).One()
	y := new(field.Element).Subtract(e, one)
	y.Multiply(y, e.Invert(e.Add(e, one)))
	p, err := new(edwards25519.Point).SetBytes(y.Bytes())
	if err != nil {
		tb.Fatalf("%x is no point of the curve", u)
	}
	return p
}

// TestGenerateUniform: the representative gives the key, and the key serves as the
// one that the standard library has for the same secret.
func TestGenerateUniform(t *testing.T) {
	peer := newX25519(t)
	dirty := 0
	for range 64 {
		var secret, public, representative, decoded, agreed [32]byte
		generateUniform(&secret, &public, &representative)
		if decodeUniform(&decoded, &representative); decoded != public {
			t.Fatal("a representative gives another key")
		}
		key, err := ecdh.X25519().NewPrivateKey(secret[:])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(key.PublicKey().Bytes(), public[:]) {
			dirty++
		}
		want, err := peer.ECDH(key.PublicKey())
		if err != nil {
			t.Fatal(err)
		}
		if !agreeKey(&agreed, peer, &public) || !bytes.Equal(agreed[:], want) {
			t.Fatal("a key with a point of small order in it agrees on another secret")
		}
		theirs := [32]byte(peer.PublicKey().Bytes())
		if !agree(&agreed, &secret, &theirs) || !bytes.Equal(agreed[:], want) {
			t.Fatal("the secret agrees on another secret")
		}
	}
	if dirty < 32 { // of 64, 56 are expected
		t.Errorf("only %d of 64 keys have a part of small order", dirty)
	}
}

// TestTorsion: the constant is a point of order eight, and addTorsion reaches all.
func TestTorsion(t *testing.T) {
	seen := make(map[string]bool)
	for n := range byte(8) {
		p := edwards25519.NewIdentityPoint()
		addTorsion(p, n)
		seen[string(p.Bytes())] = true
		if new(edwards25519.Point).MultByCofactor(p).Equal(edwards25519.NewIdentityPoint()) != 1 {
			t.Errorf("point %d is not of small order", n)
		}
	}
	if len(seen) != 8 {
		t.Errorf("%d points of small order, not 8", len(seen))
	}
}

// uniformSample is what an onlooker may count in 32-byte strings: how often each bit is
// set; how many decode by the first case of the map; and the coset of the subgroup of prime
// order that they decode to, as the u-coordinate of its element of small order.
type uniformSample struct {
	bits   [256]int
	first  int
	cosets map[[32]byte]int
}

func sample(t *testing.T, n int, next func() [32]byte) uniformSample {
	t.Helper()
	s := uniformSample{cosets: make(map[[32]byte]int)}
	minusOne := new(edwards25519.Scalar).Negate(scalarOne(t))
	for range n {
		b := next()
		for i := range s.bits {
			s.bits[i] += int(b[i/8] >> (i % 8) & 1)
		}
		masked := b
		masked[31] &= 0x3f
		x, e := elligator(fromLittleEndian(masked))
		if e == 1 {
			s.first++
		}
		p := toEdwards(t, littleEndian(x))
		order := new(edwards25519.Point).ScalarMult(minusOne, p) // l-1 times
		order.Add(order, p)
		y := [32]byte(order.Bytes())
		y[31] &= 0x7f
		s.cosets[y]++
	}
	return s
}

func scalarOne(tb testing.TB) *edwards25519.Scalar {
	tb.Helper()
	one, err := new(edwards25519.Scalar).SetCanonicalBytes(append([]byte{1}, make([]byte, 31)...))
	if err != nil {
		tb.Fatal(err)
	}
	return one
}

// TestRepresentativesLookRandom: nothing that sample counts tells representatives from
// random bytes. Six standard deviations of a fair coin come up once in 500 million.
func TestRepresentativesLookRandom(t *testing.T) {
	n := count(2000, 40_000)
	off := func(got int, p float64) bool {
		return math.Abs(float64(got)-p*float64(n)) > 6*math.Sqrt(p*(1-p)*float64(n))
	}
	for name, next := range map[string]func() [32]byte{
		"representatives": func() (r [32]byte) {
			var secret, public [32]byte
			generateUniform(&secret, &public, &r)
			return r
		},
		"random bytes": func() (r [32]byte) { _, _ = rand.Read(r[:]); return r },
	} {
		s := sample(t, n, next)
		for i, set := range s.bits {
			if off(set, 0.5) {
				t.Errorf("%s: bit %d is set %d times of %d", name, i, set, n)
			}
		}
		if off(s.first, 0.5) {
			t.Errorf("%s: %d of %d decode by the first case", name, s.first, n)
		}
		// P and -P have one u: of the eight cosets, only those of order 1 and 2 stand alone.
		if len(s.cosets) != 5 {
			t.Errorf("%s: %d kinds of cosets, not 5", name, len(s.cosets))
		}
		one, minusOne := littleEndian(big.NewInt(1)), littleEndian(new(big.Int).Sub(prime(), big.NewInt(1)))
		for y, got := range s.cosets {
			p := 0.25
			if y == one || y == minusOne {
				p = 0.125
			}
			if off(got, p) {
				t.Errorf("%s: %d of %d in the coset of %x", name, got, n, y)
			}
		}
	}
}
