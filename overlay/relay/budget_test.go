package relay

import (
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/overlay/onion"
)

// All the tags of the epochs whose keys serve at once fit one set.
func TestBudgetBoundsTheTags(t *testing.T) {
	var b budget
	now := time.Unix(1_700_000_000, 0)
	begin, taken := now, 0
	const served = 2*record.EpochLength + record.ClockSkew // by a key
	for now.Sub(begin) < served {                          // two neighbours ask for more than there is
		for i := range byte(2) {
			for range tagRate {
				if b.take(now, hashid.NodeID{i}) {
					taken++
				}
			}
		}
		now = now.Add(time.Second)
	}
	if taken > onion.MaxReplayTags || taken < onion.MaxReplayTags*9/10 {
		t.Errorf("%d tags in %v, a set holds %d", taken, served, onion.MaxReplayTags)
	}
}

// Twenty neighbours that flood get equal parts of what there is, and one that
// sends less than such a part loses nothing: not when the burst is used up, nor
// when the flood is over.
func TestBudgetIsShared(t *testing.T) {
	var b budget
	now := time.Unix(1_700_000_000, 0)
	const (
		floods   = 20
		attempts = 2000 // a second
		modest   = tagRate / (floods + 1) * 9 / 10
	)
	second := func(flooding bool) (got [floods]int) {
		for i := range attempts { // in turns, as packets come
			for from := range got {
				if flooding && b.take(now, hashid.NodeID{66, byte(from)}) {
					got[from]++
				}
			}
			if i%(attempts/modest) == 0 && !b.take(now, sender) {
				t.Fatal("a modest neighbour's packet is refused")
			}
			now = now.Add(time.Second / attempts)
		}
		return got
	}
	for range 60 { // a minute, of which the burst lasts for seconds
		second(true)
	}
	for from, n := range second(true) {
		if n < modest/2 || n > 2*tagRate/floods {
			t.Errorf("flood %d got %d of %d a second", from, n, tagRate)
		}
	}
	second(false)
	for range tagRate / 4 { // one second later it may send ten times as much at once
		if !b.take(now, sender) {
			t.Fatal("the flood is over, and a packet is refused")
		}
	}
}

// What makes no tag costs none.
func TestBudgetGivesBack(t *testing.T) {
	var b budget
	now := time.Unix(1_700_000_000, 0)
	for range 2 * tagBurst {
		if !b.take(now, sender) {
			t.Fatal("refused")
		}
		b.giveBack(now, sender)
	}
	n := 0
	for b.take(now, sender) {
		n++
	}
	if n != tagBurst/2 {
		t.Errorf("alone at once a neighbour gets %d tags, want half of %d", n, tagBurst)
	}
	if !b.take(now, hashid.NodeID{1}) {
		t.Error("another has no room")
	}
}

// However many neighbours come and go, they are counted in bounded memory.
func TestBudgetForgetsNeighbours(t *testing.T) {
	var b budget
	now := time.Unix(1_700_000_000, 0)
	for i := range 3 * maxSharers {
		if !b.take(now, hashid.NodeID{1, byte(i >> 8), byte(i)}) {
			t.Fatalf("neighbour %d has no room", i)
		}
		if len(b.recent) > maxSharers+1 {
			t.Fatalf("%d neighbours are counted", len(b.recent))
		}
	}
	now = now.Add(10 * tagMemory)
	b.take(now, sender)
	if _, own := b.recent[sender]; !own || len(b.recent) > maxSharers/2 {
		t.Errorf("minutes later %d neighbours are counted", len(b.recent))
	}
	for range 1000 {
		b.take(now, sender)
	}
	now = now.Add(10 * tagMemory)
	b.take(now, hashid.NodeID{1})
	if _, still := b.recent[sender]; still || len(b.recent) != 1 {
		t.Errorf("a neighbour that sent nothing for minutes is one of %d that are counted", len(b.recent))
	}
}
