package ratchet

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
)

// plainHandshake is what both sides of PQXDH compute.
type plainHandshake struct {
	DH1, DH2, DH3, SS []byte
	T                 []byte
	MaskKey, NameKey  []byte
	SK, HKA, NHKB     []byte
}

func (h *plainHandshake) early(ek, spk []byte) {
	h.MaskKey = plainHKDF(nil, h.DH3, plainJoin(plainLabel("chatnt pqxdh mask 1"), ek, spk), 32)[0]
}

func (h *plainHandshake) names(ek, spk []byte) {
	h.NameKey = plainHKDF(nil, plainJoin(h.DH3, h.SS), plainJoin(plainLabel("chatnt pqxdh name 1"), ek, spk), 32)[0]
}

func (h *plainHandshake) finish(network, edA, ikA []byte, b *plainPublic, ek, ct []byte) {
	t := sha256.Sum256(plainJoin(plainLabel("chatnt pqxdh transcript 1"), network, edA, ikA, b.ed, b.ik, b.spk, b.pqspk, ek, ct))
	h.T = t[:]
	secret := plainJoin(bytes.Repeat([]byte{0xff}, 32), h.DH1, h.DH2, h.DH3, h.SS)
	keys := plainHKDF(nil, secret, plainJoin(plainLabel("chatnt pqxdh session 1"), h.T), 96)
	h.SK, h.HKA, h.NHKB = keys[0], keys[1], keys[2]
}

// plainInitiate is A's side of PQXDH.
func plainInitiate(draw func(int) []byte, network []byte, a *plainPerson, b *plainPublic) *plain {
	ephemeral, _, representative := plainHide(draw)
	ss, ct := plainEncapsulate(b.pqspk, draw(32))
	p := plainBegin(network, a, b, ephemeral, representative, ss, ct)
	p.draw = draw
	return p
}

// plainBegin is plainInitiate with what is drawn there.
func plainBegin(network []byte, a *plainPerson, b *plainPublic, ephemeral *ecdh.PrivateKey, representative, ss, ct []byte) *plain {
	ek := plainMap(representative)
	p := &plain{isA: true}
	h := &p.shake
	h.SS, h.DH1, h.DH2, h.DH3 = ss, plainDH(a.agreement, b.spk), plainDH(ephemeral, b.ik), plainDH(ephemeral, b.spk)
	h.early(ek, b.spk)
	h.names(ek, b.spk)
	ed, ik := []byte(a.sign.Public().(ed25519.PublicKey)), a.agreement.PublicKey().Bytes()
	h.finish(network, ed, ik, b, ek, ct)

	p.introduce(representative, ct, ed, ik, plainSign(a.sign, network, ed, ik))
	p.begin(b.spk)
	return p
}

func plainSign(key ed25519.PrivateKey, network, ed, ik []byte) []byte {
	return ed25519.Sign(key, plainJoin(plainLabel("chatnt identity key 1"), network, ed, ik))
}

// introduce makes what A's hellos begin with.
func (p *plain) introduce(representative, ct, ed, ik, signature []byte) {
	front := plainJoin(representative, plainMask(p.shake.MaskKey, ct))
	p.prefix = plainJoin(front, plainSealAEAD(p.shake.NameKey, make([]byte, 12), plainJoin(ed, ik, signature), front))
}

var errPlain = errors.New("refused")

// plainAccept is B's side of PQXDH, up to the header of the first message, which
// open reads: it returns the session and who A is.
func plainAccept(draw func(int) []byte, network []byte, b *plainPerson, frame []byte) (*plain, []byte, error) {
	front, sealed := frame[:1120], frame[1120:1264]
	ek := plainMap(front[:32])
	mine := b.public()
	p := &plain{draw: draw, prefix: frame[:1264]}
	h := &p.shake
	if h.DH3 = plainDH(b.prekey, ek); h.DH3 == nil {
		return nil, nil, fmt.Errorf("%w: a small point", errPlain)
	}
	h.early(ek, mine.spk)
	ct := plainMask(h.MaskKey, front[32:])
	h.SS = plainDecapsulate(b.kem, ct)
	h.names(ek, mine.spk)
	names := plainOpenAEAD(h.NameKey, make([]byte, 12), sealed, front)
	if names == nil {
		return nil, nil, fmt.Errorf("%w: not for these prekeys", errPlain)
	}
	edA, ikA, signature := names[:32], names[32:64], names[64:]
	if !ed25519.Verify(edA, plainJoin(plainLabel("chatnt identity key 1"), network, edA, ikA), signature) {
		return nil, nil, fmt.Errorf("%w: the keys are not bound", errPlain)
	}
	h.DH1, h.DH2 = plainDH(b.prekey, ikA), plainDH(b.agreement, ek)
	if h.DH1 == nil || h.DH2 == nil {
		return nil, nil, fmt.Errorf("%w: a small point", errPlain)
	}
	h.finish(network, edA, ikA, mine, ek, ct)
	p.rk, p.ours, p.nextHKs, p.nextHKr = h.SK, b.prekey, h.NHKB, h.HKA
	return p, edA, nil
}
