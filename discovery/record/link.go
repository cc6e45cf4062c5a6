package record

import (
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/binary"
	"errors"

	"filippo.io/edwards25519"
)

// LinkKey is what a link to an unlisted person carries beside the hashid: the
// public half L of an Ed25519 key pair made for this purpose alone, which only
// those who have the link are told. It finds the person's key record and opens
// it; publishing one takes the private half.
//
// A person's unlisted record is kept in copies 0 and 1, each signed with another
// key pair, blinded as those of Tor's onion services are (rend-spec-v3, appendix
// A.2). With a the private scalar and prefix the other half of the private key
// (RFC 8032, section 5.1.5), B the base point and l its order:
//
//	period   expires of the record, in unix seconds, / 1,209,600, rounded down (8 bytes)
//	h        SHA-512("chatnt link blinding" 0 | L | network | period | copy (1)) mod l
//	A'       h·L, the blinded key; it is also a'·B
//	a'       h·a mod l
//	prefix'  SHA-512("chatnt blinded prefix" 0 | prefix | A'), the first 32 bytes
//	keys     HKDF-SHA256(secret L, salt hashid, info "chatnt unlisted sealing" 0 | A'),
//	         32 bytes for the nonce and 32 to seal
//	nonce    HMAC-SHA256(first key, header | plaintext), the first 24 bytes
//	sealed   XChaCha20-Poly1305(second key, nonce, plaintext), header authenticated
//
// A node that stores a copy knows A' and not L. h is then as good as random, and
// so A' is a random point: it tells nothing of L or the hashid, nor which other
// blinded keys are of the same person, in the other copy, another period, another
// network or under another link key. Somebody who holds the link can compute A'
// but has no a', so can neither replace a record nor sign an older one anew.
//
// The identity's own key stays out of it: the hashid is only a hash of it, so a
// reader could not blind it, and it keeps to signing as RFC 8032 has it.
//
// A period is as long as a record lives. A storing node, or whoever surrounds the
// place of a copy with Sybils, thus has it for two weeks and then loses sight of
// it, while readers look in two periods at the most. The period is that of the
// expiry, so that a record says by itself where it belongs.
//
// What storing nodes do see is how many records there are in a period, and of each
// how often it is renewed, when, to the second (the sequence), and who brings it: the
// two copies of a person can be matched by these if one node, or several together,
// have both.
//
// The nonce depends on all that is sealed. A machine that was set back to an
// earlier state therefore never seals two contents with one nonce.
type LinkKey [32]byte

const (
	blindingDomain = "chatnt link blinding\x00"
	prefixDomain   = "chatnt blinded prefix\x00"
)

var errLinkKey = errors.New("the link key is not one that a key generator makes")

// IsZero reports whether k is the zero value, which stands for no link key.
func (k LinkKey) IsZero() bool { return k == LinkKey{} }

// Check refuses keys that no key generator makes: those that are no point of the
// curve, and points outside the subgroup of prime order, whose blinded keys could
// be told by their torsion.
func (k LinkKey) Check() error {
	if _, ok := primeOrderPoint(k); !ok {
		return errLinkKey
	}
	return nil
}

// primeOrderPoint decodes a point, other than the identity, of the subgroup of
// prime order. The library reads some encodings that it would not write, but a
// point of the subgroup has one only: those with a second are few, and a test goes
// through them.
func primeOrderPoint(b [32]byte) (*edwards25519.Point, bool) {
	p, err := new(edwards25519.Point).SetBytes(b[:])
	if err != nil {
		return nil, false
	}
	if p.Equal(edwards25519.NewIdentityPoint()) == 1 {
		return nil, false
	}
	// Its product with l-1 is -p exactly if its product with l is the identity.
	least := new(edwards25519.Point).ScalarMult(minusOne(), p)
	return p, least.Equal(new(edwards25519.Point).Negate(p)) == 1
}

// minusOne returns l-1, the greatest scalar.
func minusOne() *edwards25519.Scalar {
	one, err := new(edwards25519.Scalar).SetCanonicalBytes(append([]byte{1}, make([]byte, 31)...))
	if err != nil {
		panic("record: " + err.Error()) // 1 is reduced
	}
	return one.Negate(one)
}

// place is where a copy of an unlisted record belongs: its public key there
// follows from the link key and these.
type place struct {
	network [32]byte
	period  uint64
	copy    uint8
}

// periodOf is the blinding period of a record that expires then, in unix seconds.
func periodOf(expires uint64) uint64 { return expires / seconds(KeyRecordLifetime) }

// factor returns h.
func (k LinkKey) factor(at place) *edwards25519.Scalar {
	b := append([]byte(blindingDomain), k[:]...)
	b = append(b, at.network[:]...)
	b = binary.BigEndian.AppendUint64(b, at.period)
	b = append(b, at.copy)
	digest := sha512.Sum512(b)
	h, err := new(edwards25519.Scalar).SetUniformBytes(digest[:])
	if err != nil {
		panic("record: " + err.Error()) // a digest has 64 bytes
	}
	return h
}

// blind returns A', the public key of a place.
func (k LinkKey) blind(at place) ([32]byte, error) {
	p, ok := primeOrderPoint(k)
	if !ok {
		return [32]byte{}, errLinkKey
	}
	return [32]byte(p.ScalarMult(k.factor(at), p).Bytes()), nil
}

// blindedKey is the key pair of a place.
type blindedKey struct {
	public [32]byte
	scalar *edwards25519.Scalar // a'
	prefix [32]byte
}

// blindPrivate returns the key pair of a place. The private half of the link key
// has been checked to be one.
func blindPrivate(link ed25519.PrivateKey, at place) *blindedKey {
	expanded := sha512.Sum512(link.Seed())
	defer clear(expanded[:])
	a, err := new(edwards25519.Scalar).SetBytesWithClamping(expanded[:32])
	if err != nil {
		panic("record: " + err.Error()) // it has 32 bytes
	}
	k := &blindedKey{scalar: a.Multiply(a, LinkKey(link[32:]).factor(at))}
	k.public = [32]byte(new(edwards25519.Point).ScalarBaseMult(k.scalar).Bytes())
	// The prefix differs for each blinded key: two keys with a known ratio that
	// signed one message with one nonce would give both away.
	digest := hash512([]byte(prefixDomain), expanded[32:], k.public[:])
	k.prefix = [32]byte(digest[:32])
	clear(digest[:])
	return k
}

// sign returns an Ed25519 signature that crypto/ed25519 verifies (RFC 8032,
// section 5.1.6).
func (k *blindedKey) sign(message []byte) []byte {
	nonce := hash512(k.prefix[:], message)
	defer clear(nonce[:])
	r, err := new(edwards25519.Scalar).SetUniformBytes(nonce[:])
	if err != nil {
		panic("record: " + err.Error()) // a digest has 64 bytes
	}
	commitment := new(edwards25519.Point).ScalarBaseMult(r).Bytes()
	digest := hash512(commitment, k.public[:], message)
	challenge, err := new(edwards25519.Scalar).SetUniformBytes(digest[:])
	if err != nil {
		panic("record: " + err.Error())
	}
	s := r.MultiplyAdd(challenge, k.scalar, r)
	return append(commitment, s.Bytes()...)
}

// wipe forgets the private half.
func (k *blindedKey) wipe() {
	k.scalar.Set(edwards25519.NewScalar())
	clear(k.prefix[:])
}

func hash512(parts ...[]byte) [sha512.Size]byte {
	h := sha512.New()
	for _, part := range parts {
		h.Write(part)
	}
	return [sha512.Size]byte(h.Sum(nil))
}
