package fair

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The figures of a relay's replay tags.
const (
	testRate  = 460
	testBurst = 1 << 19
)

const modest = -1 // who asks for little

// Twenty that flood get equal parts of what there is, and one that asks for less
// than such a part loses nothing: not when the burst is used up, nor when the
// flood is over.
func TestBudgetIsShared(t *testing.T) {
	b := NewBudget[int](testRate, testBurst)
	now := time.Unix(1_700_000_000, 0)
	const (
		floods   = 20
		attempts = 2000 // a second
		little   = testRate / (floods + 1) * 9 / 10
	)
	second := func(flooding bool) (got [floods]int) {
		for i := range attempts { // in turns, as packets come
			for who := range got {
				if flooding && b.Take(now, who) {
					got[who]++
				}
			}
			if i%(attempts/little) == 0 && !b.Take(now, modest) {
				t.Fatal("who asks for little is refused")
			}
			now = now.Add(time.Second / attempts)
		}
		return got
	}
	for range 60 { // a minute, of which the burst lasts for seconds
		second(true)
	}
	for who, n := range second(true) {
		if n < little/2 || n > 2*testRate/floods {
			t.Errorf("flood %d got %d of %d a second", who, n, testRate)
		}
	}
	second(false)
	for range testRate / 4 { // one second later it may ask for ten times as much at once
		if !b.Take(now, modest) {
			t.Fatal("the flood is over, and a token is refused")
		}
	}
}

// What is not used costs nothing.
func TestBudgetGivesBack(t *testing.T) {
	b := NewBudget[int](testRate, testBurst)
	now := time.Unix(1_700_000_000, 0)
	for range 2 * testBurst {
		if !b.Take(now, modest) {
			t.Fatal("refused")
		}
		b.GiveBack(now, modest)
	}
	n := 0
	for b.Take(now, modest) {
		n++
	}
	if n != testBurst/2 {
		t.Errorf("alone at once one gets %d tokens, want half of %d", n, testBurst)
	}
	if !b.Take(now, 1) {
		t.Error("another has no room")
	}
}

// However many come and go, they are counted in bounded memory.
func TestBudgetForgets(t *testing.T) {
	b := NewBudget[int](testRate, testBurst)
	now := time.Unix(1_700_000_000, 0)
	for who := range 3 * maxSharers {
		if !b.Take(now, who+1) {
			t.Fatalf("number %d has no room", who)
		}
		if len(b.recent) > maxSharers+1 {
			t.Fatalf("%d are counted", len(b.recent))
		}
	}
	now = now.Add(10 * memory)
	b.Take(now, modest)
	if _, own := b.recent[modest]; !own || len(b.recent) > maxSharers/2 {
		t.Errorf("minutes later %d are counted", len(b.recent))
	}
}
