package onion

import (
	"bytes"
	"crypto/ecdh"
	"testing"

	"github.com/cloudflare/circl/dh/x25519"
	"pgregory.net/rapid"
)

// x25519Std is X25519 as the standard library computes it: the public key of a
// secret, and the secret shared with point, nil where the point is refused.
func x25519Std(t rapid.TB, secret, point *[32]byte) (public, shared []byte) {
	t.Helper()
	own, err := ecdh.X25519().NewPrivateKey(secret[:])
	if err != nil {
		t.Fatal(err)
	}
	peer, err := ecdh.X25519().NewPublicKey(point[:])
	if err != nil {
		t.Fatal(err)
	}
	shared, err = own.ECDH(peer)
	if err != nil {
		shared = nil
	}
	return own.PublicKey().Bytes(), shared
}

// sameX25519 holds the key pair in use, the standard library and circl against
// each other, two of which are one, and reports whether the point was refused.
func sameX25519(t rapid.TB, secret, point *[32]byte) (refused bool) {
	t.Helper()
	public, shared := x25519Std(t, secret, point)
	var pair keyPair
	pair.init(secret)
	var ss [32]byte
	ok := pair.shared(&ss, point)
	if !bytes.Equal(pair.public[:], public) {
		t.Errorf("secret %x: public key %x, want %x", secret, pair.public, public)
	}
	if ok != (shared != nil) || ok && !bytes.Equal(ss[:], shared) {
		t.Errorf("secret %x, point %x: shared %x (%v), want %x", secret, point, ss, ok, shared)
	}
	var other x25519.Key
	x25519.KeyGen(&other, (*x25519.Key)(secret))
	if !bytes.Equal(other[:], public) {
		t.Errorf("secret %x: circl's public key is %x, want %x", secret, other, public)
	}
	ok = x25519.Shared(&other, (*x25519.Key)(secret), (*x25519.Key)(point))
	if ok != (shared != nil) || ok && !bytes.Equal(other[:], shared) {
		t.Errorf("secret %x, point %x: circl's shared is %x (%v), want %x", secret, point, other, ok, shared)
	}
	return shared == nil
}

// littleEndian is the 32 bytes that begin with first, go on with middle, and end
// with last.
func littleEndian(first, middle, last byte) (b [32]byte) {
	copy(b[:], bytes.Repeat([]byte{middle}, 32))
	b[0], b[31] = first, last
	return b
}

func TestX25519AgainstStandardLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		secret, point := [32]byte(expand(seed, 32)), [32]byte(expand(seed+1, 32))
		sameX25519(t, &secret, &point)
	})
}

// TestX25519Edges covers what random bytes never hit: secrets that clamping
// changes most, every encoding of a number that is not reduced, either value of
// the top bit, and every point of low order.
func TestX25519Edges(t *testing.T) {
	secrets := [][32]byte{{}, littleEndian(0xff, 0xff, 0xff), littleEndian(7, 0, 0x80), littleEndian(0xf8, 0xff, 0x7f), littleEndian(0, 0, 0x40), [32]byte(expand(1, 32))}
	var points [][32]byte
	for low := range 32 { // 0 to 31, and 2^255-32 to 2^255-1, which is p+18
		points = append(points, littleEndian(byte(low), 0, 0), littleEndian(0xe0+byte(low), 0xff, 0x7f))
	}
	// The points of order 8: Bernstein, https://cr.yp.to/ecdh.html#validate.
	for _, s := range []string{
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	} {
		points = append(points, [32]byte(unhex(t, s)))
	}
	refused := map[[32]byte]bool{}
	for _, point := range points {
		for range 2 {
			for i := range secrets {
				if sameX25519(t, &secrets[i], &point) {
					refused[point] = true
				}
			}
			point[31] ^= 0x80
		}
	}
	// 0, 1, p-1, p, p+1 and the two of order 8, each with the top bit clear and set.
	if len(refused) != 14 {
		t.Errorf("%d encodings of points of low order are refused, want 14", len(refused))
	}
}

// TestX25519BothWays makes keys with one implementation and recovers them with
// the other, as between nodes on different processors.
func TestX25519BothWays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		hopSecret, ephemeralSecret := [32]byte(expand(seed, 32)), [32]byte(expand(seed+1, 32))
		hop, err := generateKey(bytes.NewReader(hopSecret[:]))
		if err != nil {
			t.Fatal(err)
		}
		pk := hop.Public()

		// Encapsulated by the key pair in use, recovered by the standard library.
		var ephemeral keyPair
		ephemeral.init(&ephemeralSecret)
		var sent, recovered hopKeys
		if err := encapsulate(&sent, &ephemeral, &pk); err != nil {
			t.Fatal(err)
		}
		_, shared := x25519Std(t, &hopSecret, &ephemeral.public)
		recovered.derive((*[32]byte)(shared), &ephemeral.public, (*[32]byte)(&pk))
		if sent != recovered {
			t.Error("the standard library recovers other keys")
		}

		// The other way round.
		ct, shared := x25519Std(t, &ephemeralSecret, (*[32]byte)(&pk))
		sent.derive((*[32]byte)(shared), (*[32]byte)(ct), (*[32]byte)(&pk))
		if err := hop.decapsulate(&recovered, (*[32]byte)(ct)); err != nil || sent != recovered {
			t.Errorf("other keys than the standard library sent, or %v", err)
		}
	})
}

// FuzzX25519 looks for a secret and a point on which implementations differ.
func FuzzX25519(f *testing.F) {
	ones := littleEndian(0xff, 0xff, 0xff)
	minusOne := littleEndian(0xec, 0xff, 0x7f)
	base := littleEndian(9, 0, 0)
	f.Add(ones[:], base[:])
	f.Add(base[:], ones[:])
	f.Add(ones[:], minusOne[:])
	f.Fuzz(func(t *testing.T, secret, point []byte) {
		var s, p [32]byte
		copy(s[:], secret)
		copy(p[:], point)
		sameX25519(t, &s, &p)
	})
}

// BenchmarkX25519 times both implementations by turns, with what can be parsed
// once parsed beforehand.
func BenchmarkX25519(b *testing.B) {
	secret := x25519.Key(expand(1, 32))
	own, err := ecdh.X25519().NewPrivateKey(secret[:])
	if err != nil {
		b.Fatal(err)
	}
	other, err := ecdh.X25519().NewPrivateKey(expand(2, 32))
	if err != nil {
		b.Fatal(err)
	}
	peer := other.PublicKey()
	point := x25519.Key(peer.Bytes())
	var out x25519.Key

	turns := func(std, circl func()) func(*testing.B) {
		return func(b *testing.B) {
			first, second := alternate(b, std, circl)
			b.ReportMetric(first, "us/std")
			b.ReportMetric(second, "us/circl")
		}
	}
	b.Run("public", turns(
		func() { _, _ = ecdh.X25519().NewPrivateKey(secret[:]) },
		func() { x25519.KeyGen(&out, &secret) },
	))
	b.Run("shared", turns(
		func() { _, _ = own.ECDH(peer) },
		func() { x25519.Shared(&out, &secret, &point) },
	))
}
