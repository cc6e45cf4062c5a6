package ratchet

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/mlkem"
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"

	"chatnt/discovery/record"
)

// Where the fields of a hello begin, and what is sealed in it.
const (
	ciphertextAt = 32
	nameAt       = ciphertextAt + mlkem.CiphertextSize768
	nameSize     = ed25519.PublicKeySize + 32 + ed25519.SignatureSize
)

// Identity is a person's own long-term keys.
type Identity struct {
	Sign      ed25519.PrivateKey
	Agreement *ecdh.PrivateKey // X25519
}

// public returns ED and IK.
func (id *Identity) public() (ed, ik [32]byte) {
	return [32]byte(id.Sign[ed25519.PrivateKeySize-ed25519.PublicKeySize:]), [32]byte(id.Agreement.PublicKey().Bytes())
}

// Prekeys is one generation of the keys in a person's key record.
type Prekeys struct {
	Key *ecdh.PrivateKey // X25519
	KEM *mlkem.DecapsulationKey768
}

// handshake is all that the two sides put into T.
type handshake struct {
	network   [32]byte
	edA, ikA  [32]byte
	edB, ikB  [32]byte
	spk, ek   [32]byte
	pqspk, ct []byte
}

// transcript computes T.
func (h *handshake) transcript() (id ID) {
	t := sha256.New()
	for _, part := range [][]byte{
		[]byte(transcriptLabel), h.network[:], h.edA[:], h.ikA[:], h.edB[:], h.ikB[:], h.spk[:], h.pqspk, h.ek[:], h.ct,
	} {
		_, _ = t.Write(part)
	}
	t.Sum(id[:0])
	return id
}

// mask adds the mask to ct, in place.
func (h *handshake) mask(ct []byte, dh3 *[32]byte) {
	var key, nonce [32]byte
	defer clear(key[:])
	derive(dh3[:], nil, h.info(maskLabel), key[:])
	c, err := chacha20.NewUnauthenticatedCipher(key[:], nonce[:chacha20.NonceSize])
	if err != nil {
		panic("ratchet: " + err.Error())
	}
	c.XORKeyStream(ct, ct)
}

// name derives the name key, under which A's keys are sealed.
func (h *handshake) name(key, dh3 *[32]byte, ss []byte) {
	secret := append(append(make([]byte, 0, len(dh3)+len(ss)), dh3[:]...), ss...)
	derive(secret, nil, h.info(nameLabel), key[:])
	clear(secret)
}

func (h *handshake) info(label string) string { return label + string(h.ek[:]) + string(h.spk[:]) }

// secrets are what both sides begin with.
type secrets struct {
	dh1, dh2, dh3 [32]byte
	root          [32]byte // SK
	headerA       [32]byte // HKA
	headerB       [32]byte // NHKB
}

// derive computes the three secrets from the exchanges and ss.
func (s *secrets) derive(ss []byte, id *ID) {
	secret := make([]byte, 0, 4*32+len(ss))
	for range 32 {
		secret = append(secret, 0xff)
	}
	secret = append(append(append(secret, s.dh1[:]...), s.dh2[:]...), s.dh3[:]...)
	secret = append(secret, ss...)
	derive(secret, nil, sessionLabel+string(id[:]), s.root[:], s.headerA[:], s.headerB[:])
	clear(secret)
}

func (s *secrets) wipe() { *s = secrets{} }

// signed is what binds A's identity key to its identity.
func (h *handshake) signed() []byte {
	b := append([]byte(signatureLabel), h.network[:]...)
	return append(append(b, h.edA[:]...), h.ikA[:]...)
}

// agreeKey is X25519 with a long-term key. It is false if public is of low order.
func agreeKey(out *[32]byte, secret *ecdh.PrivateKey, public *[32]byte) bool {
	key, err := ecdh.X25519().NewPublicKey(public[:])
	if err != nil {
		return false
	}
	ss, err := secret.ECDH(key)
	if err != nil {
		return false
	}
	copy(out[:], ss)
	clear(ss)
	return true
}

// sealPrefix fills what every hello begins with but for the representative, which is there:
// ct, and the name that is proved to B.
func (h *handshake) sealPrefix(prefix []byte, dh3 *[32]byte, ss []byte, name *[nameSize]byte) {
	var key [32]byte
	defer clear(key[:])
	masked, sealed := prefix[ciphertextAt:nameAt], prefix[nameAt:]
	copy(masked, h.ct)
	h.mask(masked, dh3)
	copy(sealed, name[:])
	h.name(&key, dh3, ss)
	var nonce [chacha20poly1305.NonceSize]byte // zero: the key, of a fresh EK, seals nothing else
	seal(sealed[:nameSize], &key, nonce[:], prefix[:nameAt])
}

// prove returns ED, IK and the signature that binds them.
func (h *handshake) prove(key ed25519.PrivateKey) *[nameSize]byte {
	name := new([nameSize]byte)
	copy(name[:], h.edA[:])
	copy(name[32:], h.ikA[:])
	copy(name[64:], ed25519.Sign(key, h.signed()))
	return name
}

// Initiate begins a session with the owner of a key record, that of the same network. Its
// frames are hellos until the peer has answered.
func Initiate(network [32]byte, self *Identity, peer *record.KeyRecord) (*Session, error) {
	h := handshake{
		network: network, edB: peer.Identity, ikB: peer.Agreement,
		spk: peer.Prekey.Key, pqspk: peer.KEMPrekey.Key[:],
	}
	h.edA, h.ikA = self.public()
	pqspk, err := mlkem.NewEncapsulationKey768(h.pqspk)
	if err != nil {
		return nil, fmt.Errorf("the peer's KEM prekey: %w", err)
	}
	var (
		ephemeral, dh  [32]byte
		secret, public [32]byte // DHs
		keys           secrets
		t              turn
	)
	defer func() {
		clear(ephemeral[:])
		clear(dh[:])
		clear(secret[:])
		keys.wipe()
		t.wipe()
	}()
	prefix := make([]byte, prefixSize)
	generateUniform(&ephemeral, &h.ek, (*[32]byte)(prefix))
	generate(&secret, &public)
	if !agreeKey(&keys.dh1, self.Agreement, &h.spk) || !agree(&keys.dh2, &ephemeral, &h.ikB) ||
		!agree(&keys.dh3, &ephemeral, &h.spk) || !agree(&dh, &secret, &h.spk) {
		return nil, errors.New("a key in the peer's record is of low order")
	}
	ss, ct := pqspk.Encapsulate()
	defer clear(ss)
	h.ct = ct
	id := h.transcript()
	keys.derive(ss, &id)
	h.sealPrefix(prefix, &keys.dh3, ss, h.prove(self.Sign))

	s := &Session{id: id, peer: h.edB, initiator: true}
	s.out.next, s.in.next = keys.headerA, keys.headerB
	t.derive(&keys.root, &dh, nil)
	s.beginSending(&t, &secret, &public)
	s.out.prefix = prefix
	return s, nil
}
