package ratchet

import (
	"errors"
	"math/rand/v2"
	"testing"
)

// TestPlainLiar has A make hellos, whole in every other respect, that say something
// of A which is not so, or whose exchanges do not depend on B's keys.
func TestPlainLiar(t *testing.T) {
	draw := drawFrom(dice(t, rand.Uint64()))
	network, zero := draw(32), make([]byte, 32)
	alice, bob, mallory := newPlainPerson(draw), newPlainPerson(draw), newPlainPerson(draw)
	b := bob.public()
	for name, lie := range map[string]struct {
		ephemeral bool // is a point of small order
		ed, ik    []byte
		signature func(ed, ik []byte) []byte
	}{
		"":               {false, alice.public().ed, alice.public().ik, func(ed, ik []byte) []byte { return plainSign(alice.sign, network, ed, ik) }},
		"another's name": {false, alice.public().ed, mallory.public().ik, func(ed, ik []byte) []byte { return plainSign(mallory.sign, network, ed, ik) }},
		"another's key":  {false, alice.public().ed, mallory.public().ik, func(ed, _ []byte) []byte { return plainSign(alice.sign, network, ed, alice.public().ik) }},
		"of another network": {false, alice.public().ed, alice.public().ik, func(ed, ik []byte) []byte {
			return plainSign(alice.sign, zero, ed, ik)
		}},
		"identity key of small order":  {false, alice.public().ed, zero, func(ed, ik []byte) []byte { return plainSign(alice.sign, network, ed, ik) }},
		"ephemeral key of small order": {true, alice.public().ed, alice.public().ik, func(ed, ik []byte) []byte { return plainSign(alice.sign, network, ed, ik) }},
	} {
		ephemeral, ek, representative := plainHide(draw)
		p := &plain{draw: draw, isA: true}
		h := &p.shake
		h.DH1, h.DH2, h.DH3 = plainDH(bob.prekey, lie.ik), plainDH(ephemeral, b.ik), plainDH(ephemeral, b.spk)
		if lie.ephemeral {
			ek, representative, h.DH2, h.DH3 = zero, zero, zero, zero
		}
		if h.DH1 == nil {
			h.DH1 = zero
		}
		var ct []byte
		h.SS, ct = plainEncapsulate(b.pqspk, draw(32))
		h.early(ek, b.spk)
		h.names(ek, b.spk)
		h.finish(network, lie.ed, lie.ik, b, ek, ct)
		p.introduce(representative, ct, lie.ed, lie.ik, lie.signature(lie.ed, lie.ik))
		p.begin(b.spk)

		hello, err := OpenHello([32]byte(network), bob.identity(), bob.prekeys(), p.seal(draw(BodySize)))
		switch {
		case name != "" && !errors.Is(err, ErrUnknown):
			t.Errorf("%s: %v", name, err)
		case name == "" && (err != nil || hello.ID() != ID(h.T)):
			t.Errorf("a hello without a lie: %v", err)
		}
	}
}
