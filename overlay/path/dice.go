package path

import (
	"crypto/rand"
	"encoding/binary"
	"math"
)

// Source gives random bits. Who could guess them would know the relays of paths
// to come: outside of tests it is nil in Rules, which stands for crypto/rand.
type Source interface{ Uint64() uint64 }

type system struct{}

func (system) Uint64() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

// dice draws from a Source.
type dice struct{ Source }

// below returns 0 to n-1, each equally likely. n is at least 1.
func (d dice) below(n int) int {
	size := uint64(n)
	limit := math.MaxUint64 - math.MaxUint64%size
	for {
		if x := d.Uint64(); x < limit {
			return int(x % size)
		}
	}
}

// share returns a number from 0 to less than 1.
func (d dice) share() float64 { return float64(d.Uint64()>>11) / (1 << 53) }
