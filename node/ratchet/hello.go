package ratchet

import (
	"crypto/ed25519"
	"crypto/sha256"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// Hello is a hello whose sender is known, and whose session has not been begun.
type Hello struct {
	session   Session // as B has it before the first message
	agreement [32]byte
	frame     []byte
}

// OpenHello reads a frame as a hello to one of the generations of prekeys, which
// are tried in order. It is ErrUnknown for everything that is not a whole hello to one of
// them. It costs two key exchanges a generation: ask the sessions first.
//
// A hello that comes again opens again. Whoever answers keeps the IDs of the hellos that it
// accepted for as long as their prekeys.
func OpenHello(network [32]byte, self *Identity, prekeys []Prekeys, frame []byte) (*Hello, error) {
	if len(frame) != FrameSize {
		return nil, ErrUnknown
	}
	h := handshake{network: network}
	h.edB, h.ikB = self.public()
	decodeUniform(&h.ek, (*[32]byte)(frame))
	for i := range prekeys {
		if hello := h.open(self, &prekeys[i], frame); hello != nil {
			return hello, nil
		}
	}
	return nil, ErrUnknown
}

// open tries one generation.
func (h *handshake) open(self *Identity, prekeys *Prekeys, frame []byte) *Hello {
	var (
		name, nonce [32]byte
		keys        secrets
		sealed      [nameSize]byte
	)
	defer func() {
		clear(name[:])
		keys.wipe()
	}()
	h.spk = [32]byte(prekeys.Key.PublicKey().Bytes())
	if !agreeKey(&keys.dh3, prekeys.Key, &h.ek) {
		return nil
	}
	h.ct = append([]byte(nil), frame[ciphertextAt:nameAt]...)
	h.mask(h.ct, &keys.dh3)
	ss, err := prekeys.KEM.Decapsulate(h.ct)
	if err != nil {
		return nil
	}
	defer clear(ss)
	h.name(&name, &keys.dh3, ss)
	if !open(sealed[:], &name, nonce[:chacha20poly1305.NonceSize], frame[nameAt:prefixSize], frame[:nameAt]) {
		return nil
	}
	h.edA, h.ikA = [32]byte(sealed[:]), [32]byte(sealed[32:])
	if !ed25519.Verify(h.edA[:], h.signed(), sealed[64:]) ||
		!agreeKey(&keys.dh1, prekeys.Key, &h.ikA) || !agreeKey(&keys.dh2, self.Agreement, &h.ek) {
		return nil
	}
	h.pqspk = prekeys.KEM.EncapsulationKey().Bytes()
	id := h.transcript()
	keys.derive(ss, &id)

	hello := &Hello{agreement: h.ikA, frame: append([]byte(nil), frame...)}
	s := &hello.session
	s.id, s.peer, s.root = id, h.edA, keys.root
	s.out.next, s.in.next = keys.headerB, keys.headerA
	secret := prekeys.Key.Bytes()
	copy(s.out.secret[:], secret)
	clear(secret)
	s.in.prefix = sha256.Sum256(frame[:prefixSize])
	return hello
}

// Peer returns the Ed25519 key of the sender, who proved to hold it, or to hold the
// prekeys: see the package's comment on what it does not give.
func (h *Hello) Peer() [32]byte { return h.session.peer }

// Agreement returns the X25519 identity key of the sender, who signed it with the key
// that Peer returns. Whoever knows the sender by another one does not accept the hello.
func (h *Hello) Agreement() [32]byte { return h.agreement }

// ID is that of the session to be.
func (h *Hello) ID() ID { return h.session.id }

// Accept begins the session as B, and returns the body of the hello besides.
// Errors are those of [Session.Open].
func (h *Hello) Accept(now time.Time) (*Session, []byte, error) {
	s := h.session.Clone()
	body, err := s.Open(h.frame, now)
	if err != nil {
		s.Wipe()
		return nil, nil, err
	}
	return s, body, nil
}

// Wipe overwrites the keys. The hello must not be used any more.
func (h *Hello) Wipe() {
	h.session.Wipe()
	clear(h.frame)
}
