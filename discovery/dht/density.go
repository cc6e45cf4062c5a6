package dht

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
)

// How dense the nodes near a key stand, against how dense they should.
//
// Honest node ids are hashes of keys drawn at random: N of them are spread
// evenly over the key space, and those near to any place arrive, going outwards,
// as a Poisson process of N to the unit. Who hides a record grinds ids until all
// of the bucketSize nodes nearest to its key are their own; those lie nearer
// than the first honest node, at a fraction 1/N of the key space. (The attack
// and its detection by the distribution of distances: Sridhar et al.,
// "Content Censorship in the InterPlanetary File System", NDSS 2024.)
const (
	// fewest is how many distances a look-up must bring to say anything.
	fewest = 5

	// unlikely is the exponent of e from which on a look-up is beyond belief. By
	// Chernoff's bound, the i-th nearest of N even ids lies within λ/N, for λ < i,
	// with a probability of at most exp(i - λ - i ln(i/λ)). The exact probability
	// that one of the sixteen values of i passes is below 3.2e-8; with N estimated
	// as the median of eight look-ups, two in seven million simulated ones passed.
	unlikely = 18
)

// distances returns how far from a key peers are, as fractions of the key
// space, the nearest first.
func distances(key string, peers []peer.ID) []float64 {
	target := sha256.Sum256([]byte(key))
	far := make([]float64, 0, len(peers))
	for _, p := range peers {
		far = append(far, distance(target, sha256.Sum256([]byte(p))).fraction())
	}
	slices.Sort(far)
	return far
}

// fraction is the place as a fraction of the key space, 0 to 1.
func (p place) fraction() float64 { return float64(binary.BigEndian.Uint64(p[:8])) / (1 << 64) }

// networkSize estimates from the distances of one look-up how many nodes there
// are; false if they are too few to tell. For N even ids it is right in the mean,
// with a standard deviation of a quarter where there are twenty distances.
func networkSize(far []float64) (float64, bool) {
	n := len(far)
	if n < fewest || far[n-1] <= 0 {
		return 0, false
	}
	return float64(n-1) / far[n-1], true
}

// crowded reports whether nodes stand too dense near the place of a look-up to
// be there by chance, in a network of a given size.
func crowded(far []float64, size float64) bool {
	for i := fewest; i <= len(far); i++ {
		n := float64(i)
		expected := far[i-1] * size // nodes within this distance
		if expected < n && expected-n+n*math.Log(n/max(expected, math.SmallestNonzeroFloat64)) > unlikely {
			return true
		}
	}
	return false
}

// median returns the middle one of some values, the lower of two.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}
