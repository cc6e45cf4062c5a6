package ratchet

import (
	"crypto/rand"
	"errors"
	"testing"

	"chatnt/discovery/record"
)

// TestFlippedHello: nor does a hello whose sender is yet to be known.
func TestFlippedHello(t *testing.T) {
	alice, bob := newPerson(t), newPerson(t)
	s, err := Initiate(testNetwork(), &alice.Identity, bob.record())
	if err != nil {
		t.Fatal(err)
	}
	frame, err := s.Seal(testBody(1))
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < FrameSize; at += count(13, 1) {
		for _, bit := range []byte{0x80, 1} {
			frame[at] ^= bit
			h, err := OpenHello(testNetwork(), &bob.Identity, bob.prekeys, frame)
			if at < prefixSize && err == nil {
				t.Fatalf("a hello opens of which byte %d was changed", at)
			}
			if err == nil {
				if _, _, err := h.Accept(testTime()); err == nil {
					t.Fatalf("a hello is accepted of which byte %d was changed", at)
				}
			}
			frame[at] ^= bit
		}
	}
}

// TestForgedHellos: a hello with a name that is not proved, or keys of low order, is no hello.
func TestForgedHellos(t *testing.T) {
	alice, bob, eve := newPerson(t), newPerson(t), newPerson(t)
	good := forgeHello(t, alice, bob, func(*handshake, *[nameSize]byte) {})
	if _, err := OpenHello(testNetwork(), &bob.Identity, bob.prekeys, good); err != nil {
		t.Fatalf("what forgeHello makes is no hello: %v", err)
	}
	for name, change := range map[string]func(h *handshake, name *[nameSize]byte){
		"another's name": func(_ *handshake, name *[nameSize]byte) {
			ed, _ := eve.public()
			copy(name[:], ed[:])
		},
		"another's key": func(_ *handshake, name *[nameSize]byte) {
			_, ik := eve.public()
			copy(name[32:], ik[:])
		},
		"signature": func(_ *handshake, name *[nameSize]byte) { name[nameSize-1] ^= 1 },
		"no signature": func(_ *handshake, name *[nameSize]byte) {
			clear(name[64:])
		},
		"signed for another network": func(h *handshake, name *[nameSize]byte) {
			other := *h
			other.network[0]++
			*name = *other.prove(alice.Sign)
		},
		"identity key of low order": func(h *handshake, name *[nameSize]byte) {
			h.ikA = [32]byte{1}
			*name = *h.prove(alice.Sign)
		},
	} {
		frame := forgeHello(t, alice, bob, change)
		if _, err := OpenHello(testNetwork(), &bob.Identity, bob.prekeys, frame); !errors.Is(err, ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A representative of a point of small order: 0 stands for u = 0.
	if _, err := OpenHello(testNetwork(), &bob.Identity, bob.prekeys, make([]byte, FrameSize)); !errors.Is(err, ErrUnknown) {
		t.Errorf("a frame of zeros gives %v", err)
	}
	for _, size := range []int{0, 31, prefixSize, FrameSize - 1, FrameSize + 1} {
		if _, err := OpenHello(testNetwork(), &bob.Identity, bob.prekeys, make([]byte, size)); !errors.Is(err, ErrUnknown) {
			t.Errorf("a frame of %d bytes gives %v", size, err)
		}
	}
}

// forgeHello makes the prefix of a hello with the sealed name changed, and random bytes
// after it.
func forgeHello(tb testing.TB, from, to *person, change func(h *handshake, name *[nameSize]byte)) []byte {
	tb.Helper()
	frame := make([]byte, FrameSize)
	_, _ = rand.Read(frame)
	h := handshake{network: testNetwork(), spk: to.record().Prekey.Key}
	h.edA, h.ikA = from.public()
	h.edB, h.ikB = to.public()
	var secret, dh3 [32]byte
	generateUniform(&secret, &h.ek, (*[32]byte)(frame))
	if !agree(&dh3, &secret, &h.spk) {
		tb.Fatal("a prekey of low order")
	}
	ss, ct := to.prekeys[0].KEM.EncapsulationKey().Encapsulate()
	h.ct = ct
	name := h.prove(from.Sign)
	change(&h, name)
	h.sealPrefix(frame[:prefixSize], &dh3, ss, name)
	return frame
}

// TestInitiateRefuses keys that no generator makes.
func TestInitiateRefuses(t *testing.T) {
	alice, bob := newPerson(t), newPerson(t)
	for name, spoil := range map[string]func(r *record.KeyRecord){
		"prekey":       func(r *record.KeyRecord) { r.Prekey.Key = [32]byte{1} },
		"identity key": func(r *record.KeyRecord) { r.Agreement = [32]byte{} },
		"KEM prekey":   func(r *record.KeyRecord) { copy(r.KEMPrekey.Key[:], "\xff\xff\xff") },
	} {
		r := bob.record()
		spoil(r)
		if _, err := Initiate(testNetwork(), &alice.Identity, r); err == nil {
			t.Errorf("a session begins with a bad %s", name)
		}
	}
}
