package node

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"chatnt/discovery/hashid"
	"chatnt/node/ratchet"
)

// An identity is stored, inside the sealed vault only, as
//
//	offset  size  field
//	0       1     version, 2
//	1       32    seed of the Ed25519 key
//	33      32    X25519 identity key
const identityVersion = 2

// identity is a person's long-term private keys. It is read-only.
type identity struct {
	sign      ed25519.PrivateKey
	agreement *ecdh.PrivateKey
}

func newIdentity() (*identity, error) {
	_, sign, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	agreement, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return &identity{sign: sign, agreement: agreement}, nil
}

func (id *identity) public() ed25519.PublicKey { return id.sign.Public().(ed25519.PublicKey) }

func (id *identity) hashid() hashid.ID { return hashid.Of(id.public()) }

// keys is the identity as sessions use it.
func (id *identity) keys() *ratchet.Identity {
	return &ratchet.Identity{Sign: id.sign, Agreement: id.agreement}
}

func (id *identity) append(dst []byte) []byte {
	dst = append(dst, identityVersion)
	dst = append(dst, id.sign.Seed()...)
	return append(dst, id.agreement.Bytes()...)
}

func parseIdentity(b []byte) (*identity, error) {
	var (
		s               = cryptobyte.String(b)
		version         uint8
		seed, agreement []byte
	)
	if !s.ReadUint8(&version) {
		return nil, errors.New("the stored identity is damaged")
	}
	if version != identityVersion {
		return nil, fmt.Errorf("the stored identity is of version %d: another version of this program made it", version)
	}
	if !s.ReadBytes(&seed, ed25519.SeedSize) || !s.ReadBytes(&agreement, 32) || !s.Empty() {
		return nil, errors.New("the stored identity is damaged")
	}
	key, err := ecdh.X25519().NewPrivateKey(agreement)
	if err != nil {
		return nil, fmt.Errorf("the stored identity is damaged: %w", err)
	}
	return &identity{sign: ed25519.NewKeyFromSeed(seed), agreement: key}, nil
}
