package node

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/mlkem"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// An identity is stored, inside the sealed vault only, as
//
//	offset  size  field
//	0       1     version, 1
//	1       32    seed of the Ed25519 key
//	33      32    X25519 identity key
//	65      4     id of the prekeys
//	69      32    X25519 prekey
//	101     64    seed of the ML-KEM-768 prekey
const identityVersion = 1

// identity is a person's private keys.
type identity struct {
	sign      ed25519.PrivateKey
	agreement *ecdh.PrivateKey
	prekeyID  uint32
	prekey    *ecdh.PrivateKey
	kemPrekey *mlkem.DecapsulationKey768
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
	prekey, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	kem, err := mlkem.GenerateKey768()
	if err != nil {
		return nil, err
	}
	var id [4]byte
	_, _ = rand.Read(id[:])
	return &identity{sign: sign, agreement: agreement, prekeyID: binary.BigEndian.Uint32(id[:]), prekey: prekey, kemPrekey: kem}, nil
}

func (id *identity) public() ed25519.PublicKey { return id.sign.Public().(ed25519.PublicKey) }

func (id *identity) hashid() hashid.ID { return hashid.Of(id.public()) }

// hpkeKey is the key that stand-in frames are sealed to: the two prekeys as one
// MLKEM768-X25519 key.
func (id *identity) hpkeKey() (hpke.PrivateKey, error) {
	return hpke.NewHybridPrivateKey(id.kemPrekey, id.prekey)
}

// keyRecord returns the record to publish, unsigned: the person is reached at node.
func (id *identity) keyRecord(node hashid.NodeID, sequence uint64, now time.Time) *record.KeyRecord {
	r := &record.KeyRecord{
		Identity:  [32]byte(id.public()),
		Agreement: [32]byte(id.agreement.PublicKey().Bytes()),
		Inbox:     record.Inbox{Node: node},
		Sequence:  sequence,
		Expires:   now.Add(record.KeyRecordLifetime),
	}
	r.Prekey.ID = id.prekeyID
	r.Prekey.Key = [32]byte(id.prekey.PublicKey().Bytes())
	r.KEMPrekey.ID = id.prekeyID
	copy(r.KEMPrekey.Key[:], id.kemPrekey.EncapsulationKey().Bytes())
	return r
}

func (id *identity) append(dst []byte) []byte {
	dst = append(dst, identityVersion)
	dst = append(dst, id.sign.Seed()...)
	dst = append(dst, id.agreement.Bytes()...)
	dst = binary.BigEndian.AppendUint32(dst, id.prekeyID)
	dst = append(dst, id.prekey.Bytes()...)
	return append(dst, id.kemPrekey.Bytes()...)
}

func parseIdentity(b []byte) (*identity, error) {
	var (
		s                               = cryptobyte.String(b)
		id                              identity
		version                         uint8
		seed, agreement, prekey, kemkey []byte
		err                             error
	)
	if !s.ReadUint8(&version) || !s.ReadBytes(&seed, ed25519.SeedSize) || !s.ReadBytes(&agreement, 32) ||
		!s.ReadUint32(&id.prekeyID) || !s.ReadBytes(&prekey, 32) || !s.ReadBytes(&kemkey, mlkem.SeedSize) || !s.Empty() {
		return nil, errors.New("the stored identity is damaged")
	}
	if version != identityVersion {
		return nil, fmt.Errorf("the stored identity is of version %d: a newer program made it", version)
	}
	id.sign = ed25519.NewKeyFromSeed(seed)
	if id.agreement, err = ecdh.X25519().NewPrivateKey(agreement); err != nil {
		return nil, fmt.Errorf("the stored identity is damaged: %w", err)
	}
	if id.prekey, err = ecdh.X25519().NewPrivateKey(prekey); err != nil {
		return nil, fmt.Errorf("the stored identity is damaged: %w", err)
	}
	if id.kemPrekey, err = mlkem.NewDecapsulationKey768(kemkey); err != nil {
		return nil, fmt.Errorf("the stored identity is damaged: %w", err)
	}
	return &id, nil
}
