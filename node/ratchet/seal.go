package ratchet

import (
	"crypto/mlkem"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
)

// Seal makes the frame of a body of [BodySize] bytes, for which it moves the state on: keep the
// new state before the frame goes out, and repeat the frame, not the call. On an error the
// state is as it was.
func (s *Session) Seal(body []byte) ([]byte, error) {
	if len(body) != BodySize {
		return nil, fmt.Errorf("a body to seal has %d bytes, not %d", len(body), BodySize)
	}
	if s.out.due {
		if err := s.turn(); err != nil {
			return nil, err
		}
	}
	o := &s.out
	if o.n == math.MaxUint32 {
		return nil, errors.New("the session has run out of message numbers: start another")
	}
	var messageKey [32]byte
	defer clear(messageKey[:])
	step(&o.key, &messageKey)
	h := header{ratchet: o.public, pn: o.previous, n: o.n, slot: o.slot}
	o.n++
	return sealFrame(&s.id, o.prefix, &o.header, &messageKey, &h, slotKind(s.initiator, s.chain()), body), nil
}

// turn begins the sending chain that is due.
func (s *Session) turn() error {
	var secret, public, dh [32]byte
	defer clear(secret[:])
	defer clear(dh[:])
	generate(&secret, &public)
	current := &s.in.chains[len(s.in.chains)-1]
	if !agree(&dh, &secret, &current.ratchet) {
		return errors.New("the peer's ratchet key is of low order")
	}
	var (
		slot, ss []byte
		seed     [mlkem.SeedSize]byte
	)
	defer clear(seed[:])
	if s.initiator {
		_, _ = rand.Read(seed[:]) // never fails
		key, err := mlkem.NewDecapsulationKey768(seed[:])
		if err != nil {
			return fmt.Errorf("making a KEM key: %w", err)
		}
		slot = key.EncapsulationKey().Bytes()
	} else if s.in.offered != nil {
		key, err := mlkem.NewEncapsulationKey768(s.in.offered)
		if err != nil {
			return fmt.Errorf("the peer's KEM key: %w", err)
		}
		ss, slot = key.Encapsulate()
		defer clear(ss)
	}
	var t turn
	defer t.wipe()
	t.derive(&s.root, &dh, ss)
	s.beginSending(&t, &secret, &public)
	s.out.slot, s.out.seed = slot, seed
	s.in.offered = nil
	return nil
}
