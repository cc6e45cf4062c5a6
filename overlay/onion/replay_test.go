package onion

import (
	"encoding/binary"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

func numbered(i int) (tag Tag) {
	binary.BigEndian.PutUint64(tag[8:], uint64(i))
	return tag
}

func TestReplaySetTakesATagOnce(t *testing.T) {
	var s ReplaySet
	for i := range 1000 {
		if !s.Insert(numbered(i)) {
			t.Fatalf("tag %d is refused at first", i)
		}
	}
	for i := range 1000 {
		if s.Insert(numbered(i)) {
			t.Fatalf("tag %d is taken again", i)
		}
	}
	if s.Len() != 1000 {
		t.Fatalf("%d tags, want 1000", s.Len())
	}
}

// The bounds hold, that in bytes at every size.
func TestReplaySetIsBounded(t *testing.T) {
	var s ReplaySet
	for i := range MaxReplayTags {
		if !s.Insert(numbered(i)) {
			t.Fatalf("tag %d is refused", i)
		}
		if n := i + 1; n >= 32*replayShards && n%(1<<16) == 0 {
			slots := 0
			for _, t := range s.shards {
				slots += len(t.slots)
			}
			if perTag := float64(8*slots) / float64(n); perTag > 12 {
				t.Fatalf("%.1f bytes for each of %d tags", perTag, n)
			}
		}
	}
	if s.Insert(numbered(MaxReplayTags)) {
		t.Error("a full set takes a new tag")
	}
	if s.Insert(numbered(0)) {
		t.Error("a full set forgets a tag")
	}
	if s.Len() != MaxReplayTags {
		t.Errorf("%d tags, want %d", s.Len(), MaxReplayTags)
	}
}

// Two sets that hold the same do not meet the same collisions.
func TestReplaySetsHaveTheirOwnKeys(t *testing.T) {
	var a, b ReplaySet
	a.Insert(numbered(0))
	b.Insert(numbered(0))
	if a.seed == b.seed {
		t.Error("the fingerprints of two sets are the same")
	}
}

func TestReplaySetIsAtomic(t *testing.T) {
	const tags, workers = 500, 8
	var s ReplaySet
	var won atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range tags {
				if s.Insert(numbered(i)) {
					won.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if won.Load() != tags {
		t.Fatalf("%d inserts succeeded for %d tags", won.Load(), tags)
	}
}

// BenchmarkReplaySet fills sets up to their bound: time and memory of a tag.
func BenchmarkReplaySet(b *testing.B) {
	s := new(ReplaySet)
	before := heap()
	for i := range b.N {
		if i%MaxReplayTags == 0 && i > 0 {
			b.StopTimer()
			s, before = new(ReplaySet), heap()
			b.StartTimer()
		}
		if !s.Insert(numbered(i)) {
			b.Fatalf("tag %d is refused", i)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(heap()-before)/float64(s.Len()), "B/tag")
	runtime.KeepAlive(s)
}

// heap returns the bytes that are reachable.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
