package onion

import (
	"hash/maphash"
	"math/bits"
	"sync"
)

// MaxReplayTags is how many tags a ReplaySet holds: 12 bytes each at most, 50 MB in
// all. It is 1,165 packets (4.8 MB) in every second of a one-hour epoch.
const MaxReplayTags = 1 << 22

// ReplaySet remembers the tags of the packets that one onion key has opened. A
// node keeps one beside each of its keys and drops both together: a set that
// forgets sooner lets an attacker send a packet again and see where it goes
// (Danezis and Goldberg, section 3.6).
//
// It never takes a tag twice. It keeps 64-bit fingerprints, so that it may take a
// new tag for an old one, and a packet be lost, once in 2^64/n packets where it
// holds n: 2^-42 for each packet at a full set, 2^-21 for any packet at all while
// an empty set becomes a full one, far below what a network loses. The
// fingerprint's key is drawn afresh for each set and never leaves it: senders know
// the tags of their own packets, but not which of them would meet, and cannot
// make the set slow or have others' packets refused.
//
// The zero value is an empty set. It is safe for concurrent use.
type ReplaySet struct {
	mu     sync.Mutex // guards the fields below
	seed   maphash.Seed
	shards []shard // replayShards of them, or none while the set is empty
	n      int
}

// replayShards is how many tables a set is made of. Each grows by itself, so that
// no packet waits for more than a moment and the memory in use has no leaps.
const replayShards = 1 << replayShardBits

const replayShardBits = 10

// Insert adds tag and reports whether it was new. It reports false too when the
// set is full: a relay under such a load drops what it can no longer vouch for,
// and its memory stays bounded.
func (s *ReplaySet) Insert(tag Tag) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n >= MaxReplayTags {
		return false
	}
	if s.shards == nil {
		s.seed, s.shards = maphash.MakeSeed(), make([]shard, replayShards)
	}
	mark := max(maphash.Bytes(s.seed, tag[:]), 1) // 0 is a free slot
	if !s.shards[mark>>(64-replayShardBits)].insert(mark) {
		return false
	}
	s.n++
	return true
}

// Len returns the number of tags in the set.
func (s *ReplaySet) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// shard is a hash table of fingerprints with open addressing and linear probing
// (Knuth, The Art of Computer Programming 3, section 6.4), between 70 and 87.5 %
// full once it has more than a few.
type shard struct {
	slots []uint64 // 0 is free
	n     int      // slots in use
}

func (t *shard) insert(mark uint64) bool {
	if t.n >= len(t.slots)/8*7 {
		t.grow()
	}
	if !t.put(mark) {
		return false
	}
	t.n++
	return true
}

// put reports whether mark was not there yet. There is always a free slot.
func (t *shard) put(mark uint64) bool {
	// The bits that chose the shard are the same in all of its fingerprints; the
	// rest spread over the slots whatever their number.
	at, _ := bits.Mul64(mark<<replayShardBits, uint64(len(t.slots)))
	for {
		switch t.slots[at] {
		case mark:
			return false
		case 0:
			t.slots[at] = mark
			return true
		}
		if at++; at == uint64(len(t.slots)) {
			at = 0
		}
	}
}

// grow makes the table a quarter larger, in whole eights.
func (t *shard) grow() {
	old := t.slots
	t.slots = make([]uint64, len(old)+(len(old)/4+8)&^7)
	for _, mark := range old {
		if mark != 0 {
			t.put(mark)
		}
	}
}
