package overlay

import (
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/overlay/onion"
)

func count(everyday, long int) int {
	if os.Getenv("CHATNT_LONG") == "1" {
		return long
	}
	return everyday
}

// kolmogorovSmirnov returns the greatest distance between the distribution of some
// samples and one that is given, times the root of their number: 1.95 is exceeded
// once in a thousand times (Smirnov, Annals of Mathematical Statistics 19(2), 1948).
func kolmogorovSmirnov(samples []time.Duration, cdf func(time.Duration) float64) float64 {
	samples = slices.Sorted(slices.Values(samples))
	n, most := float64(len(samples)), 0.0
	for i, s := range samples {
		at := cdf(s)
		most = max(most, at-float64(i)/n, float64(i+1)/n-at)
	}
	return most * math.Sqrt(n)
}

const oneInThousand = 1.95

// erlang is the distribution of a sum of k exponential times.
func erlang(k int, mean time.Duration) func(time.Duration) float64 {
	return func(d time.Duration) float64 {
		x := float64(d) / float64(mean)
		sum, term := 0.0, 1.0
		for i := range k {
			sum += term
			term *= x / float64(i+1)
		}
		return 1 - math.Exp(-x)*sum
	}
}

// What relays really hold packets for, measured at each of them, is exponential
// with the mean of the latency; and what it adds up to there and back has the
// distribution of a sum of six. Kesdogan's stop-and-go mixes and Loopix rest on
// this: whatever came before, each packet is as likely to be the next.
func TestDelaysAreExponential(t *testing.T) {
	for _, latency := range []Latency{Normal, Slow} {
		synctest.Test(t, func(t *testing.T) {
			n := start(t, 6, 3, echo())
			defer n.stop()
			seeded := rand.New(rand.NewChaCha8([32]byte{byte(latency)}))
			n.nodes[0].draw = seeded.Uint64

			// One packet is on its way at a time: each passes at once what the one before
			// was held for.
			var mu sync.Mutex
			var last time.Time
			var held, sums []time.Duration
			n.tap(func(from, _ hashid.NodeID, _ *onion.Packet) bool {
				mu.Lock()
				defer mu.Unlock()
				if i := n.index(from); i > 1 {
					held = append(held, time.Since(last))
				}
				last = time.Now()
				return true
			})
			requests := count(1000, 10_000)
			caller := n.nodes[0].Caller()
			for range requests {
				path, err := n.nodes[0].Draw(n.nodes[1].id)
				if err != nil {
					t.Fatal(err)
				}
				path.Latency = latency
				begin := time.Now()
				if _, err := caller.Try(t.Context(), path, "echo", nil); err != nil {
					t.Fatal(err)
				}
				sums = append(sums, time.Since(begin))
			}
			if len(held) != 6*requests {
				t.Fatalf("%d packets were held in %d requests", len(held), requests)
			}
			mean := latency.mean()
			if d := kolmogorovSmirnov(held, erlang(1, mean)); d > oneInThousand {
				t.Errorf("%v: what relays hold packets for is not exponential: %.2f", latency, d)
			}
			if d := kolmogorovSmirnov(sums, erlang(6, mean)); d > oneInThousand {
				t.Errorf("%v: what round trips take is no sum of six: %.2f", latency, d)
			}
			late := slices.DeleteFunc(sums, func(d time.Duration) bool { return d <= latency.Patience(6)-answerIn })
			if share := float64(len(late)) / float64(requests); share > 0.02 {
				t.Errorf("%v: %.1f %% of the answers would count as lost", latency, 100*share)
			}
		})
	}
}

// The test above tells other distributions, and other means, from the right one.
func TestKolmogorovSmirnov(t *testing.T) {
	seeded := rand.New(rand.NewChaCha8([32]byte{}))
	sample := func(draw func() float64) (samples []time.Duration) {
		for range 1000 {
			samples = append(samples, time.Duration(draw()*float64(time.Second)))
		}
		return samples
	}
	for i, draw := range []func() float64{
		func() float64 { return 2 * seeded.Float64() },
		func() float64 { return 1.3 * seeded.ExpFloat64() },
		func() float64 { return min(seeded.ExpFloat64(), 2) },
		func() float64 { return max(0, 1+seeded.NormFloat64()) },
	} {
		if d := kolmogorovSmirnov(sample(draw), erlang(1, time.Second)); d <= oneInThousand {
			t.Errorf("distribution %d: %.2f passes", i, d)
		}
	}
	if d := kolmogorovSmirnov(sample(seeded.ExpFloat64), erlang(1, time.Second)); d > oneInThousand {
		t.Errorf("exponential: %.2f does not pass", d)
	}
	six := func() (sum float64) {
		for range 6 {
			sum += seeded.ExpFloat64()
		}
		return sum
	}
	if d := kolmogorovSmirnov(sample(six), erlang(6, time.Second)); d > oneInThousand {
		t.Errorf("a sum of six: %.2f does not pass", d)
	}
	if d := kolmogorovSmirnov(sample(six), erlang(5, time.Second)); d <= oneInThousand {
		t.Errorf("a sum of six as one of five: %.2f passes", d)
	}
}

// Fast packets are not held, and no delay is longer than relays hold a packet.
func TestDelayBounds(t *testing.T) {
	for _, bits := range []uint64{0, 1, 1 << 11, 1 << 63, math.MaxUint64} {
		if d := Fast.Delay(bits); d != 0 {
			t.Errorf("fast: %v", d)
		}
		for _, latency := range []Latency{Normal, Slow} {
			if d := latency.Delay(bits); d < 0 || d > onion.MaxDelay || d%time.Millisecond != 0 {
				t.Errorf("%v: %v", latency, d)
			}
		}
	}
	if d := Slow.Delay(0); d != onion.MaxDelay { // 73 s, once in 10^16
		t.Errorf("the longest delay is %v", d)
	}
	if d := Normal.Delay(math.MaxUint64); d != 0 {
		t.Errorf("the shortest delay is %v", d)
	}
	draws := make(map[uint64]bool)
	for range 100 {
		draws[randomBits()] = true
	}
	if len(draws) != 100 {
		t.Error("the same random bits twice")
	}
}

func TestLatencyNames(t *testing.T) {
	for _, l := range []Latency{Fast, Normal, Slow} {
		if got, err := ParseLatency(l.String()); err != nil || got != l {
			t.Errorf("%v became %v, %v", l, got, err)
		}
	}
	for _, s := range []string{"", "Fast", "slower"} {
		if _, err := ParseLatency(s); err == nil {
			t.Errorf("%q is a latency", s)
		}
	}
}
