package onion

import (
	"encoding/binary"
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

func TestReplaySetIsBounded(t *testing.T) {
	var s ReplaySet
	for i := range MaxReplayTags {
		if !s.Insert(numbered(i)) {
			t.Fatalf("tag %d is refused", i)
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
