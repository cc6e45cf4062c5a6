package ratchet

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/mlkem"
	"crypto/rand"
	"testing"
	"time"

	"chatnt/discovery/record"
)

// testNetwork and testTime are where and when the tests talk.
func testNetwork() [32]byte { return [32]byte{7} }

func testTime() time.Time { return time.Unix(1_800_000_000, 0) }

// person is an identity with one generation of prekeys.
type person struct {
	Identity
	prekeys []Prekeys
}

func newPerson(tb testing.TB) *person {
	tb.Helper()
	_, sign, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return &person{Identity{sign, newX25519(tb)}, []Prekeys{newPrekeys(tb)}}
}

func newX25519(tb testing.TB) *ecdh.PrivateKey {
	tb.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func newPrekeys(tb testing.TB) Prekeys {
	tb.Helper()
	kem, err := mlkem.GenerateKey768()
	if err != nil {
		tb.Fatal(err)
	}
	return Prekeys{newX25519(tb), kem}
}

// record has the newest prekeys, and what else Initiate reads.
func (p *person) record() *record.KeyRecord {
	r := &record.KeyRecord{Agreement: [32]byte(p.Agreement.PublicKey().Bytes())}
	copy(r.Identity[:], p.Sign.Public().(ed25519.PublicKey))
	copy(r.Prekey.Key[:], p.prekeys[0].Key.PublicKey().Bytes())
	copy(r.KEMPrekey.Key[:], p.prekeys[0].KEM.EncapsulationKey().Bytes())
	return r
}

// testBody is the n-th body of all.
func testBody(n int) []byte {
	body := bytes.Repeat([]byte{byte(n)}, BodySize)
	body[0], body[1] = byte(n>>16), byte(n>>8)
	return body
}

// side is a session in a test, which numbers what is sealed.
type side struct {
	*Session
	tb   testing.TB
	sent *int
}

// letter is a frame and what must come out of it.
type letter struct{ frame, body []byte }

// newPair has a session begun by a hello that was sealed and accepted.
func newPair(tb testing.TB) (a, b side) {
	tb.Helper()
	a, b, _ = newPairAndHello(tb)
	return a, b
}

// newPairAndHello returns the first letter, too.
func newPairAndHello(tb testing.TB) (a, b side, first letter) {
	tb.Helper()
	alice, bob := newPerson(tb), newPerson(tb)
	s, err := Initiate(testNetwork(), &alice.Identity, bob.record())
	if err != nil {
		tb.Fatal(err)
	}
	a = side{s, tb, new(int)}
	first = a.seal()
	hello, err := OpenHello(testNetwork(), &bob.Identity, bob.prekeys, first.frame)
	if err != nil {
		tb.Fatal(err)
	}
	if hello.Peer() != alice.record().Identity || hello.ID() != a.ID() || a.Peer() != bob.record().Identity {
		tb.Fatal("the hello names others")
	}
	answer, body, err := hello.Accept(testTime())
	if err != nil || !bytes.Equal(body, first.body) {
		tb.Fatalf("the hello does not open: %v", err)
	}
	hello.Wipe()
	b = side{answer, tb, a.sent}
	if b.Peer() != alice.record().Identity || b.ID() != a.ID() {
		tb.Fatal("the answering session names others")
	}
	return a, b, first
}

func (s *side) seal() letter {
	s.tb.Helper()
	*s.sent++
	body := testBody(*s.sent)
	frame, err := s.Seal(body)
	if err != nil {
		s.tb.Fatal(err)
	}
	if len(frame) != FrameSize {
		s.tb.Fatalf("a frame of %d bytes", len(frame))
	}
	return letter{frame, body}
}

// opens opens a letter, which it must.
func (s *side) opens(l letter) {
	s.tb.Helper()
	body, err := s.Open(l.frame, testTime())
	if err != nil || !bytes.Equal(body, l.body) {
		s.tb.Fatalf("a frame does not open to what was sealed: %v", err)
	}
}

// refuses opens a frame that must be refused for a reason, and leave no trace.
func (s *side) refuses(frame []byte, want error) {
	s.tb.Helper()
	before, copied := s.Append(nil), bytes.Clone(frame)
	body, err := s.Open(frame, testTime())
	if err != want { //nolint:errorlint // these are bare
		s.tb.Fatalf("a frame to refuse gave %v, not %v", err, want)
	}
	if body != nil || !bytes.Equal(before, s.Append(nil)) || !bytes.Equal(frame, copied) {
		s.tb.Fatal("a refused frame gave a body, changed the state or was changed")
	}
}

// roundTrip has each side answer the other.
func roundTrip(a, b *side) {
	a.tb.Helper()
	b.opens(a.seal())
	a.opens(b.seal())
}

// stored is a session that was written and read again.
func stored(tb testing.TB, s *Session) *Session {
	tb.Helper()
	b := s.Append(nil)
	again, err := Parse(b)
	if err != nil {
		tb.Fatal(err)
	}
	if !bytes.Equal(again.Append(nil), b) {
		tb.Fatal("a state is written otherwise than it was read")
	}
	return again
}
