package ratchet

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// overFloor runs two functions by turns, each after an untimed third, and reports the
// median time of each, and their ratio. Turns make the ratio hold on a machine whose speed
// wanders, and medians leave out the rounds in which another program had the processor.
func overFloor(b *testing.B, prepare, ours, floor func()) {
	b.Helper()
	timed := func(f func()) time.Duration {
		prepare()
		start := time.Now()
		f()
		return time.Since(start)
	}
	var first, second []time.Duration
	for b.Loop() {
		first, second = append(first, timed(ours)), append(second, timed(floor))
	}
	us := func(d []time.Duration) float64 {
		slices.Sort(d)
		return float64(d[len(d)/2]) / float64(time.Microsecond)
	}
	b.ReportMetric(0, "ns/op") // of the mix it says nothing
	b.ReportMetric(us(first), "us/ours")
	b.ReportMetric(us(second), "us/floor")
	b.ReportMetric(us(first)/us(second), "x-floor")
}

// bareMessage is the AEADs and HMACs of one message, sealed and opened, and nothing else.
func bareMessage() func() {
	key, nonce := make([]byte, 32), make([]byte, chacha20poly1305.NonceSize)
	header := make([]byte, headerSize+slotSize, bodyAt)
	body := make([]byte, BodySize, BodySize+chacha20poly1305.Overhead)
	headerData, bodyData := make([]byte, 32+len(headerLabel)), make([]byte, 32+bodyAt-saltSize)
	info := []byte(bodyLabel + "\x01")
	hash := func(n int) {
		h := hmac.New(sha256.New, key)
		for i := range n {
			if i > 0 {
				h.Reset()
			}
			_, _ = h.Write(info)
			h.Sum(key[:0])
		}
	}
	keys := func() {
		hash(2) // of the chain
		hash(1) // HKDF: extract, and expand to two blocks
		hash(2)
	}
	return func() {
		keys()
		a, _ := chacha20poly1305.New(key)
		sealedHeader := a.Seal(header[:0], nonce, header, headerData)
		c, _ := chacha20poly1305.New(key)
		sealedBody := c.Seal(body[:0], nonce, body, bodyData)
		keyOfSealed := [32]byte(key)
		keys()
		copy(key, keyOfSealed[:]) // the same again, as the other side has it
		a, _ = chacha20poly1305.New(key)
		if _, err := a.Open(sealedHeader[:0], nonce, sealedHeader, headerData); err != nil {
			panic(err)
		}
		c, _ = chacha20poly1305.New(key)
		if _, err := c.Open(sealedBody[:0], nonce, sealedBody, bodyData); err != nil {
			panic(err)
		}
	}
}

// passOn seals at one side and opens at the other.
func passOn(b *testing.B, from, to *Session, body []byte) {
	frame, err := from.Seal(body)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := to.Open(frame, testTime()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkMessageOverFloor: a message within a chain.
func BenchmarkMessageOverFloor(b *testing.B) {
	alice, bob := newPair(b)
	for range 10 {
		roundTrip(&alice, &bob)
	}
	body := testBody(1)
	passOn(b, alice.Session, bob.Session, body)
	overFloor(b, func() {}, func() { passOn(b, alice.Session, bob.Session, body) }, bareMessage())
}

// BenchmarkTurnOverX25519: a message that begins a chain, in units of one X25519 exchange.
func BenchmarkTurnOverX25519(b *testing.B) {
	secret, public := newX25519(b), newX25519(b).PublicKey()
	exchange := func() {
		if _, err := secret.ECDH(public); err != nil {
			b.Fatal(err)
		}
	}
	for _, name := range []string{"key", "ciphertext"} {
		b.Run(name, func(b *testing.B) {
			alice, bob := newPair(b)
			for range 10 {
				roundTrip(&alice, &bob)
			}
			from, to := alice.Session, bob.Session
			body := testBody(1)
			if name == "ciphertext" {
				from, to = to, from
			}
			overFloor(b, func() { passOn(b, to, from, body) }, func() { passOn(b, from, to, body) }, exchange)
		})
	}
}

// keyOperations is what a handshake asks of public keys at the least, at both sides: the first
// message included, with its ratchet key.
func keyOperations(b *testing.B) func() {
	alice, bob := newPerson(b), newPerson(b)
	signed := make([]byte, 120)
	check := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	kem := bob.prekeys[0].KEM.EncapsulationKey().Bytes()
	return func() {
		var pairs [2]*ecdh.PrivateKey // EK and DHs
		for i := range pairs {
			var err error
			pairs[i], err = ecdh.X25519().GenerateKey(rand.Reader)
			check(err)
		}
		for _, e := range [][2]*ecdh.PrivateKey{
			{alice.Agreement, bob.prekeys[0].Key}, {pairs[0], bob.Agreement}, {pairs[0], bob.prekeys[0].Key}, {pairs[1], bob.prekeys[0].Key},
		} {
			_, err := e[0].ECDH(e[1].PublicKey())
			check(err)
			_, err = e[1].ECDH(e[0].PublicKey())
			check(err)
		}
		key, err := mlkem.NewEncapsulationKey768(kem)
		check(err)
		_, ct := key.Encapsulate()
		_, err = bob.prekeys[0].KEM.Decapsulate(ct)
		check(err)
		if !ed25519.Verify(alice.Sign.Public().(ed25519.PublicKey), signed, ed25519.Sign(alice.Sign, signed)) {
			b.Fatal("the signature does not verify")
		}
	}
}

// BenchmarkHandshakeOverFloor: from a key record to the first body opened.
func BenchmarkHandshakeOverFloor(b *testing.B) {
	alice, bob := newPerson(b), newPerson(b)
	to, body := bob.record(), testBody(1)
	overFloor(b, func() {}, func() {
		s, err := Initiate(testNetwork(), &alice.Identity, to)
		if err != nil {
			b.Fatal(err)
		}
		frame, err := s.Seal(body)
		if err != nil {
			b.Fatal(err)
		}
		h, err := OpenHello(testNetwork(), &bob.Identity, bob.prekeys, frame)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := h.Accept(testTime()); err != nil {
			b.Fatal(err)
		}
	}, keyOperations(b))
}

// BenchmarkTrial: what a session costs a frame that is not of it.
func BenchmarkTrial(b *testing.B) {
	alice, bob := newPair(b)
	for range 10 {
		roundTrip(&alice, &bob)
	}
	frame := make([]byte, FrameSize)
	_, _ = rand.Read(frame)
	for name, try := range map[string]func([]byte) bool{"expects": alice.Expects, "knows": alice.Knows} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if try(frame) {
					b.Fatal("random bytes are a frame")
				}
			}
		})
	}
}

// BenchmarkState: what a session costs to keep, ten round trips on.
func BenchmarkState(b *testing.B) {
	alice, bob := newPair(b)
	for range 10 {
		roundTrip(&alice, &bob)
	}
	state := alice.Append(nil)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			state = alice.Append(state[:0])
		}
		b.ReportMetric(float64(len(state)), "bytes")
	})
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Parse(state); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("clone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			bob.Clone().Wipe()
		}
	})
}
