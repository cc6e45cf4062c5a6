package node

import (
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/ratchet"
	"chatnt/node/vault"
)

const (
	prekeyUsed = 7 * 24 * time.Hour  // a generation of prekeys is published for this long ...
	prekeyKept = 14 * 24 * time.Hour // ... and opens first messages for this long after

	// helloKept is for how long a first message is remembered, so that it is not taken
	// in twice: as long as there may be a prekey that opens it.
	helloKept = prekeyUsed + prekeyKept

	maxGenerations = 16 // of prekeys, if a clock jumps about
)

// Prekeys are stored, inside the sealed vault only, as
//
//	offset  size  field
//	0       1     version, 1
//	1       1     generations, 1 to 16, the newest first, each
//	        4     id
//	        8     when it was made, unix seconds
//	        32    X25519 key
//	        64    seed of the ML-KEM-768 key
const prekeysVersion = 1

// prekeys are a person's private keys of medium life: one generation that the key
// record names, and those before it that may still be used by who read an older
// one. A first message that is recorded can be opened by whoever takes the prekey
// that it was sealed to, and by nobody once that is gone.
type prekeys struct {
	mu          sync.Mutex
	generations []generation // guarded by mu; the newest first
}

type generation struct {
	id   uint32
	made time.Time // whole seconds
	keys ratchet.Prekeys
}

func newGeneration(now time.Time) (generation, error) {
	g := generation{made: now.Truncate(time.Second)}
	var err error
	if g.keys.Key, err = ecdh.X25519().GenerateKey(rand.Reader); err != nil {
		return g, err
	}
	if g.keys.KEM, err = mlkem.GenerateKey768(); err != nil {
		return g, err
	}
	var id [4]byte
	_, _ = rand.Read(id[:])
	g.id = binary.BigEndian.Uint32(id[:])
	return g, nil
}

// dead reports whether nobody may rely on a generation any more.
func (g *generation) dead(now time.Time) bool { return now.Sub(g.made) > prekeyUsed+prekeyKept }

// rotate makes a new generation when the newest has been used for a week, drops the
// dead and stores what is left, before it counts. A clock that was set back makes
// one, too: what it was made by cannot be told.
func (p *prekeys) rotate(v *vault.Vault, now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := slices.DeleteFunc(slices.Clone(p.generations), func(g generation) bool { return g.dead(now) })
	due := len(next) == 0 || now.Sub(next[0].made) >= prekeyUsed || next[0].made.Sub(now) > prekeyUsed
	if due {
		g, err := newGeneration(now)
		if err != nil {
			return err
		}
		next = slices.Insert(next, 0, g)
		next = next[:min(len(next), maxGenerations)]
	}
	if !due && len(next) == len(p.generations) {
		return nil
	}
	raw := appendPrekeys(nil, next)
	defer clear(raw)
	err := v.Update(func(tx *vault.Tx) error { return tx.Put(bucketProfile, keyPrekeys, raw) })
	if err != nil {
		return fmt.Errorf("new prekeys could not be stored: %w", err)
	}
	p.generations = next
	return nil
}

// all returns the prekeys that open first messages now, the newest first: not the dead,
// whose first messages are forgotten, though they may still be there if nothing was published since.
func (p *prekeys) all(now time.Time) []ratchet.Prekeys {
	p.mu.Lock()
	defer p.mu.Unlock()
	var keys []ratchet.Prekeys
	for _, g := range p.generations {
		if !g.dead(now) {
			keys = append(keys, g.keys)
		}
	}
	return keys
}

// keyRecord returns the record to publish, unsigned: the person is reached at node.
func (p *prekeys) keyRecord(id *identity, node hashid.NodeID, sequence uint64, now time.Time) *record.KeyRecord {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.generations[0]
	r := &record.KeyRecord{
		Identity:  [32]byte(id.public()),
		Agreement: [32]byte(id.agreement.PublicKey().Bytes()),
		Inbox:     record.Inbox{Node: node},
		Sequence:  sequence,
		Expires:   now.Add(record.KeyRecordLifetime),
	}
	r.Prekey.ID, r.KEMPrekey.ID = g.id, g.id
	r.Prekey.Key = [32]byte(g.keys.Key.PublicKey().Bytes())
	copy(r.KEMPrekey.Key[:], g.keys.KEM.EncapsulationKey().Bytes())
	return r
}

func appendPrekeys(dst []byte, generations []generation) []byte {
	dst = append(dst, prekeysVersion, byte(len(generations)))
	for _, g := range generations {
		dst = binary.BigEndian.AppendUint32(dst, g.id)
		dst = binary.BigEndian.AppendUint64(dst, uint64(g.made.Unix()))
		dst = append(dst, g.keys.Key.Bytes()...)
		dst = append(dst, g.keys.KEM.Bytes()...)
	}
	return dst
}

func parsePrekeys(b []byte) ([]generation, error) {
	var (
		s              = cryptobyte.String(b)
		version, count uint8
		errDamaged     = errors.New("the stored prekeys are damaged")
	)
	if !s.ReadUint8(&version) || version != prekeysVersion || !s.ReadUint8(&count) || count == 0 || count > maxGenerations {
		return nil, errDamaged
	}
	generations := make([]generation, count)
	for i := range generations {
		var (
			g         = &generations[i]
			made      uint64
			key, seed []byte
			err       error
		)
		if !s.ReadUint32(&g.id) || !s.ReadUint64(&made) || !s.ReadBytes(&key, 32) || !s.ReadBytes(&seed, mlkem.SeedSize) || made > maxUnix {
			return nil, errDamaged
		}
		g.made = time.Unix(int64(made), 0)
		if g.keys.Key, err = ecdh.X25519().NewPrivateKey(key); err != nil {
			return nil, errDamaged
		}
		if g.keys.KEM, err = mlkem.NewDecapsulationKey768(seed); err != nil {
			return nil, errDamaged
		}
	}
	if !s.Empty() {
		return nil, errDamaged
	}
	return generations, nil
}

// maxUnix is the last date that is stored, far beyond any clock, in unix seconds.
const maxUnix = 1 << 40
