package onion

import (
	"testing"

	"golang.org/x/crypto/blake2b"
	"golang.org/x/crypto/chacha20"
)

func BenchmarkUnwrap(b *testing.B) {
	u := newUnwrapper(b)
	b.ReportAllocs()
	b.SetBytes(Size)
	for b.Loop() {
		u.run(b)
	}
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
