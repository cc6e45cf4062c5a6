package integration

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
)

const (
	// shortestRun is how many bytes in a row two things must have in common, so that
	// it cannot be by chance: among 50,000 frames two runs of random bytes are the
	// same once in 10^22 times.
	shortestRun = 16
	// blockSize is that of a block, which is what is looked up. Wherever a run of
	// shortestRun bytes lies, it covers one of the blocks that a needle falls into.
	blockSize = 8
)

// finder finds runs that something has in common with needles, at whatever offset:
// it knows the needles by their blocks, and looks up all bytes at every offset. A
// hash table with a bitmap before it, because nearly all that is looked up is not there.
type finder struct {
	needles [][]byte
	seen    []uint64 // bitmap: by a hash of a block
	places  []place  // open addressing, by another
	shift   int      // of a hash, for places
}

type place struct {
	block  uint64
	needle uint32
	at     uint32 // of the block, plus one; zero: nothing is here
}

// match is a run of bytes that lies in a haystack and in a needle.
type match struct {
	needle, at int // in which needle, and where in it
	in         int // where in the haystack
	length     int
}

// newFinder returns a finder of runs in needles, of shortestRun bytes each or more.
// It takes nine bytes of memory for each of theirs at the most.
func newFinder(needles [][]byte) *finder {
	blocks := 0
	for _, n := range needles {
		blocks += len(n) / blockSize
	}
	f := &finder{needles: needles, shift: 64 - bits.Len(uint(2*blocks))}
	f.places = make([]place, 1<<(64-f.shift))
	f.seen = make([]uint64, max(1, len(f.places)/4)) // 16 bits for a place
	for i, n := range needles {
		for at := 0; at+blockSize <= len(n); at += blockSize {
			f.add(binary.LittleEndian.Uint64(n[at:]), i, at)
		}
	}
	return f
}

// spread turns a block into 64 bits that look random: the last step of SplitMix64
// (Steele, Lea and Flood, OOPSLA 2014).
func spread(b uint64) uint64 {
	b = (b ^ b>>30) * 0xbf58476d1ce4e5b9
	b = (b ^ b>>27) * 0x94d049bb133111eb
	return b ^ b>>31
}

// bit is the place of a hash in the bitmap.
func (f *finder) bit(h uint64) (word uint64, mask uint64) {
	word = h & uint64(len(f.seen)-1)
	return word, 1 << (h >> 58)
}

func (f *finder) add(b uint64, needle, at int) {
	h := spread(b)
	word, mask := f.bit(h)
	f.seen[word] |= mask
	i := h >> f.shift
	for f.places[i].at != 0 {
		i = (i + 1) & uint64(len(f.places)-1)
	}
	f.places[i] = place{b, uint32(needle), uint32(at + 1)}
}

// find calls found for each run that hay has in common with a needle, as long as
// it is there. Where hay is itself a needle it is found in itself. (The race detector
// would make a minute of a second of it; nothing here is shared.)
//
//go:norace
func (f *finder) find(hay []byte, found func(match)) {
	for in := 0; in+blockSize <= len(hay); in++ {
		b := binary.LittleEndian.Uint64(hay[in:])
		h := spread(b)
		if word, mask := f.bit(h); f.seen[word]&mask == 0 {
			continue
		}
		for i := h >> f.shift; f.places[i].at != 0; i = (i + 1) & uint64(len(f.places)-1) {
			if p := f.places[i]; p.block == b {
				f.stretch(hay, match{int(p.needle), int(p.at - 1), in, blockSize}, found)
			}
		}
	}
}

// stretch makes a run as long as it goes and tells of it, unless an earlier block
// of the needle did.
func (f *finder) stretch(hay []byte, r match, found func(match)) {
	n := f.needles[r.needle]
	for r.at > 0 && r.in > 0 && n[r.at-1] == hay[r.in-1] {
		r.at, r.in, r.length = r.at-1, r.in-1, r.length+1
		if r.length == 2*blockSize {
			return // the block before lies in the run, and was looked up before
		}
	}
	for r.at+r.length < len(n) && r.in+r.length < len(hay) && n[r.at+r.length] == hay[r.in+r.length] {
		r.length++
	}
	if r.length >= shortestRun {
		found(r)
	}
}

// shared calls found for each run that two of some pieces have in common, or one
// has twice. The memory it takes does not depend on how many there are.
func shared(pieces [][]byte, found func(hay int, r match)) {
	const atOnce = 2048 // frames: 75 MB
	first := 0
	for batch := range slices.Chunk(pieces, atOnce) {
		f := newFinder(batch)
		for i, hay := range pieces[first:] { // the earlier ones have met these already
			i += first
			f.find(hay, func(r match) {
				r.needle += first
				if r.needle < i || r.needle == i && r.at < r.in {
					found(i, r)
				}
			})
		}
		first += len(batch)
	}
}

// TestRuns hides runs of every kind between pieces of noise, and has them found.
func TestRuns(t *testing.T) {
	random := rand.New(rand.NewChaCha8([32]byte{1}))
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	for _, length := range []int{shortestRun - 1, shortestRun, shortestRun + 1, 31, 32, 33, 100} {
		for range 200 {
			a, b := noise(256), noise(300)
			at, in := random.IntN(len(a)-length+1), random.IntN(len(b)-length+1)
			copy(b[in:], a[at:][:length])
			if at+length < len(a) && in+length < len(b) {
				b[in+length] = ^a[at+length]
			}
			if at > 0 && in > 0 {
				b[in-1] = ^a[at-1]
			}
			var got []match
			shared([][]byte{noise(64), a, noise(16), b}, func(hay int, r match) {
				if hay != 3 || r.needle != 1 {
					t.Errorf("found in %d of %d", hay, r.needle)
				}
				got = append(got, r)
			})
			want := []match{{1, at, in, length}}
			if length < shortestRun {
				want = nil
			}
			if !slices.Equal(got, want) {
				t.Fatalf("a run of %d bytes from %d to %d: found %v", length, at, in, got)
			}
		}
	}
	twice := noise(100)
	copy(twice[70:], twice[11:][:20])
	pieces := [][]byte{twice, bytes.Clone(twice)}
	found := make(map[match]int)
	shared(pieces, func(hay int, r match) {
		r.needle = 10*r.needle + hay
		found[r]++
	})
	for _, want := range []match{{0, 11, 70, 20}, {11, 11, 70, 20}, {1, 0, 0, 100}, {1, 11, 70, 20}, {1, 70, 11, 20}} {
		if found[want] != 1 {
			t.Errorf("%v is found %d times", want, found[want])
		}
		delete(found, want)
	}
	if len(found) > 0 {
		t.Errorf("found as well: %v", found)
	}
	many := make([][]byte, 10_000) // in several batches
	for i := range many {
		many[i] = noise(32)
	}
	copy(many[9_000][3:], many[17][5:][:20])
	copy(many[9_500], many[9_100])
	n := 0
	shared(many, func(int, match) { n++ })
	if n != 2 {
		t.Errorf("%d runs are found, 2 are there", n)
	}
}
