package onion

import (
	"crypto/aes"
	"crypto/ecdh"
	"crypto/sha3"
	"testing"
	"time"

	"golang.org/x/crypto/blake2b"
	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/poly1305" //nolint:staticcheck // the floor is made of bare primitives.
)

// unwrapper is a relay with one packet to forward, over and over.
type unwrapper struct {
	key *PrivateKey
	in  Packet
	out Packet
}

func newUnwrapper(tb testing.TB) *unwrapper {
	path, keys, _ := testPath(tb, 1, Layers)
	u := &unwrapper{key: keys[0]}
	if err := Wrap(&u.in, path, make([]byte, BodySize)); err != nil {
		tb.Fatal(err)
	}
	return u
}

func (u *unwrapper) run(tb testing.TB) {
	u.out = u.in
	h, err := u.key.Open(&u.out)
	if err != nil {
		tb.Fatal(err)
	}
	h.Strip(&u.out)
}

// floor is the least that any relay of such packets computes, and nothing
// around it: parsing a public key, one X25519, one hash for the keys, an AEAD
// over the header, and the primitives of HPolyC, each at its fastest.
type floor struct {
	own    *ecdh.PrivateKey
	peer   []byte
	beta   []byte
	delta  []byte
	aesKey [32]byte
}

func newFloor(tb testing.TB) *floor {
	_, keys, _ := testPath(tb, 2, 2)
	f := &floor{own: keys[0].key, peer: keys[1].pub[:], delta: make([]byte, PayloadSize)}
	aead, err := chacha20poly1305.New(make([]byte, 32))
	if err != nil {
		tb.Fatal(err)
	}
	f.beta = aead.Seal(nil, make([]byte, 12), make([]byte, betaSize+padSize), f.peer)
	return f
}

func (f *floor) run(tb testing.TB) {
	point, err := ecdh.X25519().NewPublicKey(f.peer)
	if err != nil {
		tb.Fatal(err)
	}
	ss, err := f.own.ECDH(point)
	if err != nil {
		tb.Fatal(err)
	}
	var keys [80]byte
	h := sha3.NewSHAKE256()
	_, _ = h.Write(ss)
	_, _ = h.Write(f.peer)
	_, _ = h.Write(f.peer)
	_, _ = h.Read(keys[:])

	var key, nonce [32]byte
	aead, _ := chacha20poly1305.New(key[:])
	var beta [betaSize + padSize]byte
	if _, err := aead.Open(beta[:0], nonce[:12], f.beta, f.peer); err != nil {
		tb.Fatal(err)
	}

	var sum [16]byte
	poly1305.Sum(&sum, f.delta, &key)
	stream, _ := chacha20poly1305.New(keys[:32])
	stream.Seal(f.delta[:0], nonce[:12], f.delta[:PayloadSize-16], nil)
	block, _ := aes.NewCipher(f.aesKey[:])
	block.Decrypt(f.delta[:16], f.delta[:16])
	poly1305.Sum(&sum, f.delta, &key)
}

func BenchmarkUnwrap(b *testing.B) {
	u := newUnwrapper(b)
	b.ReportAllocs()
	b.SetBytes(Size)
	for b.Loop() {
		u.run(b)
	}
}

func BenchmarkFloor(b *testing.B) {
	f := newFloor(b)
	b.ReportAllocs()
	b.SetBytes(Size)
	for b.Loop() {
		f.run(b)
	}
}

// BenchmarkUnwrapOverFloor takes turns between the two, so that their ratio,
// reported as x-floor, holds on a machine whose speed wanders.
func BenchmarkUnwrapOverFloor(b *testing.B) {
	u, f := newUnwrapper(b), newFloor(b)
	var unwrapped, least time.Duration
	for b.Loop() {
		start := time.Now()
		u.run(b)
		middle := time.Now()
		f.run(b)
		unwrapped += middle.Sub(start)
		least += time.Since(middle)
	}
	b.ReportMetric(float64(unwrapped)/float64(least), "x-floor")
}

func BenchmarkWrap(b *testing.B) {
	path, _, _ := testPath(b, 1, Layers)
	body := make([]byte, BodySize)
	p := new(Packet)
	b.ReportAllocs()
	for b.Loop() {
		if err := Wrap(p, path, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSURB(b *testing.B) {
	path, keys, _ := testPath(b, 1, Layers)
	body := make([]byte, BodySize)
	b.Run("create", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, _, err := NewSURB(path); err != nil {
				b.Fatal(err)
			}
		}
	})
	surb, _, reply, err := NewSURB(path)
	if err != nil {
		b.Fatal(err)
	}
	p := new(Packet)
	b.Run("use", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s := surb
			if err := s.Use(p, body); err != nil {
				b.Fatal(err)
			}
		}
	})
	for i := range keys[:Relays] {
		h, err := keys[i].Open(p)
		if err != nil {
			b.Fatal(err)
		}
		h.Strip(p)
	}
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			k, back := *reply, *p
			if _, err := k.Open(back.Payload()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkHPolyC(b *testing.B) {
	key, delta := &[32]byte{1}, new([PayloadSize]byte)
	b.ReportAllocs()
	b.SetBytes(PayloadSize)
	for b.Loop() {
		decryptPayload(key, delta)
	}
}

// BenchmarkLIONESS times what HPolyC was chosen over: LIONESS (Anderson and
// Biham 1996) of ChaCha20 and BLAKE2b, as Sphinx has it.
func BenchmarkLIONESS(b *testing.B) {
	const half = 32
	key, delta := make([]byte, 32), make([]byte, PayloadSize)
	stream := func() {
		var k [32]byte
		for i := range k {
			k[i] = key[i] ^ delta[i]
		}
		var nonce [chacha20.NonceSize]byte
		s, _ := chacha20.NewUnauthenticatedCipher(k[:], nonce[:])
		s.XORKeyStream(delta[half:], delta[half:])
	}
	hash := func() {
		h, _ := blake2b.New256(key)
		_, _ = h.Write(delta[half:])
		var sum [32]byte
		for i, v := range h.Sum(sum[:0]) {
			delta[i] ^= v
		}
	}
	b.ReportAllocs()
	b.SetBytes(PayloadSize)
	for b.Loop() {
		stream()
		hash()
		stream()
		hash()
	}
}

func BenchmarkReplaySet(b *testing.B) {
	random := source(1)
	s := new(ReplaySet)
	var tag Tag
	b.ReportAllocs()
	for b.Loop() {
		_, _ = random.Read(tag[:])
		if s.Len() == MaxReplayTags {
			s = new(ReplaySet)
		}
		s.Insert(tag)
	}
}
