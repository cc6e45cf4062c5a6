package integration

import (
	"math"
	"math/rand/v2"
	"testing"
	"testing/cryptotest"

	"chatnt/overlay/onion"
)

// puzzle is something about frames that is to be guessed, from nothing but the frame.
type puzzle struct {
	what    string
	classes int
	frames  []*onion.Packet
	labels  []int
	learn   int // so many, the first, are to learn from; the rest is held out
}

// newPuzzle takes half of each set to learn from. As sets are of whole journeys,
// one after the other, no journey but one is in both halves.
func newPuzzle(what string, classes int, label func(labelled) int, sets ...[]labelled) *puzzle {
	z := &puzzle{what: what, classes: classes}
	add := func(frames []labelled) {
		for _, f := range frames {
			z.frames, z.labels = append(z.frames, f.Packet), append(z.labels, label(f))
		}
	}
	for _, set := range sets {
		add(set[:len(set)/2])
	}
	z.learn = len(z.frames)
	for _, set := range sets {
		add(set[len(set)/2:])
	}
	return z
}

// leaking returns a copy of a puzzle with a leak planted in each frame.
func (z *puzzle) leaking(what string, plant func(p *onion.Packet, class int)) *puzzle {
	c := &puzzle{z.what + ", " + what, z.classes, make([]*onion.Packet, len(z.frames)), z.labels, z.learn}
	for i, p := range z.frames {
		c.frames[i] = clone(p)
		plant(c.frames[i], z.labels[i])
	}
	return c
}

// solve learns from one part of the frames, guesses the rest, and returns by how
// many standard errors that is better than chance.
func (z *puzzle) solve(t *testing.T, how string, learn learner) float64 {
	t.Helper()
	g := learn(z.frames[:z.learn], z.labels[:z.learn], z.classes)
	return z.guessed(t, how, g)
}

// guessed is solve with what was learnt before.
func (z *puzzle) guessed(t *testing.T, how string, g guesser) float64 {
	t.Helper()
	accuracy, chance, deviation := balanced(g, z.frames[z.learn:], z.labels[z.learn:], z.classes)
	off := (accuracy - chance) / deviation
	t.Logf("%s, by %s: %.2f %% of %d held-out frames, chance is %.2f ± %.2f %%: %+.1f standard errors",
		z.what, how, 100*accuracy, len(z.frames)-z.learn, 100*chance, 100*deviation, off)
	return off
}

func byPosition(f labelled) int { return f.position }

// TestFramesTellNothing has frames of package onion guessed: where on the path they
// are, how long it is, and what kind of request or answer is in them. Nobody does
// better than chance. What is random in it comes from a seed, so that it is the
// same each time: of 50 runs with other seeds, one would find something by chance.
//
// It looks at one frame at a time: what two have to do with each other is the
// business of TestTap, and when they come, of TestCorrelation.
func TestFramesTellNothing(t *testing.T) {
	const most = 3 // standard errors
	cryptotest.SetGlobalRandom(t, 1)
	n := count(20_000, 100_000)
	if underRace {
		n = 2_000
	}
	f := newForge(t, 1)
	three := f.some(n, onion.Relays)
	short := [][]labelled{f.some(n/3+1, 1), f.some(n/3+1, 2), three[:n/3+1]}
	for _, z := range []*puzzle{
		newPuzzle("the position on the path", 2*onion.Layers, byPosition, three),
		newPuzzle("the way out or back", 2, func(f labelled) int { return f.position / onion.Layers }, three),
		newPuzzle("the number of relays", onion.Relays, func(f labelled) int { return f.hops - 1 }, short...),
		newPuzzle("the kind of request", len(inquiries()), func(f labelled) int { return f.kind }, three),
	} {
		for how, learn := range learners() {
			if off := z.solve(t, how, learn); math.Abs(off) > most {
				t.Errorf("%s can be guessed by %s: off by %.1f standard errors", z.what, how, off)
			}
		}
	}
}

// TestLeaksAreFound plants leaks in frames, each such that one of the two ways of
// guessing finds it.
func TestLeaksAreFound(t *testing.T) {
	const least = 5 // standard errors
	cryptotest.SetGlobalRandom(t, 2)
	random := rand.New(rand.NewChaCha8([32]byte{2}))
	whole := newPuzzle("the position on the path", 2*onion.Layers, byPosition, newForge(t, 2).some(20_000, onion.Relays))
	likely := func(class int) bool { return random.Float64() < 0.4+0.2*float64(class%2) } // 40 or 60 %
	for _, leak := range []struct {
		what, how string
		plant     func(p *onion.Packet, class int)
	}{
		{"in one bit of the header", "regression", func(p *onion.Packet, class int) {
			if p[60] &^= 4; likely(class) {
				p[60] |= 4
			}
		}},
		{"in one bit of the payload", "regression", func(p *onion.Packet, class int) {
			if p[3456] &^= 1; likely(class) {
				p[3456] |= 1
			}
		}},
		{"in whether two bits are the same", "regression", func(p *onion.Packet, class int) {
			if p[100] = p[100]&^8 | p[188]&8; likely(class) {
				p[100] ^= 8
			}
		}},
		{"in zeros somewhere, three on average", "regression", func(p *onion.Packet, class int) {
			for range random.IntN(7) * (class % 2) {
				p[random.IntN(len(p))] = 0
			}
		}},
		{"in one byte of 20, everywhere", "centroids", func(p *onion.Packet, class int) {
			for range len(p) / 20 * (class % 2) {
				p[random.IntN(len(p))] |= 0x80
			}
		}},
	} {
		if off := whole.leaking(leak.what, leak.plant).solve(t, leak.how, learners()[leak.how]); off < least {
			t.Errorf("a leak %s is not found: off by %.1f standard errors only", leak.what, off)
		}
	}
}
