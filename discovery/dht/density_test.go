package dht

import (
	"crypto/rand"
	"encoding/binary"
	"math"
	mathrand "math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// spread draws the distances of the nearest of n ids that are spread evenly.
func spread(r *mathrand.Rand, n int) []float64 {
	if n <= 1000 {
		far := make([]float64, n)
		for i := range far {
			far[i] = r.Float64()
		}
		slices.Sort(far)
		return far[:min(n, bucketSize)]
	}
	// The nearest of many are a Poisson process.
	far := make([]float64, bucketSize)
	at := 0.0
	for i := range far {
		at += r.ExpFloat64() / float64(n)
		far[i] = at
	}
	return far
}

// estimate is what settle works with: the median of eight random look-ups.
func estimate(r *mathrand.Rand, n int) float64 {
	var sizes []float64
	for range sizesKept {
		if size, ok := networkSize(spread(r, n)); ok {
			sizes = append(sizes, size)
		}
	}
	return median(sizes)
}

func testRand(t *testing.T) *mathrand.Rand {
	t.Helper()
	var seed [32]byte
	_, _ = rand.Read(seed[:])
	t.Logf("seed %x", seed)
	return mathrand.New(mathrand.NewChaCha8(seed))
}

// Every draw is a look-up and an estimate of its own. Fewer than one in a million
// raises an alarm; a few among all of these are chance.
func TestHonestNetworksDoNotAlarm(t *testing.T) {
	r := testRand(t)
	alarms := 0
	for _, n := range []int{10, 20, 21, 30, 60, 100, 1000, 10_000, 1_000_000} {
		for range count(1_000, 100_000) {
			if far, size := spread(r, n), estimate(r, n); crowded(far, size) {
				t.Logf("an alarm among %d honest nodes, taken for %.0f: %v", n, size, far)
				alarms++
			}
		}
	}
	if alarms > count(2, 6) {
		t.Errorf("%d alarms", alarms)
	}
}

// The same, with ids as they are and one set of them for all look-ups, so that
// an estimate and a look-up see the same nodes.
func TestHonestIDsDoNotAlarm(t *testing.T) {
	r := testRand(t)
	alarms := 0
	for _, n := range []int{20, 60, 100} {
		for range count(20, 400) {
			ids := make([]uint64, n)
			for i := range ids {
				ids[i] = r.Uint64()
			}
			look := func() []float64 {
				at := r.Uint64()
				far := make([]float64, n)
				for i, id := range ids {
					far[i] = float64(id^at) / (1 << 64)
				}
				slices.Sort(far)
				return far[:bucketSize]
			}
			for range 20 {
				var sizes []float64
				for range sizesKept {
					size, _ := networkSize(look())
					sizes = append(sizes, size)
				}
				if far := look(); crowded(far, median(sizes)) {
					t.Logf("an alarm among %d honest nodes, taken for %.0f: %v", n, median(sizes), far)
					alarms++
				}
			}
		}
	}
	if alarms > count(2, 4) {
		t.Errorf("%d alarms", alarms)
	}
}

// Sybils ground from ten thousand keys alarm always; those that lie just nearer
// than the nearest honest node, in all but one case of twenty.
func TestSybilsAlarm(t *testing.T) {
	r := testRand(t)
	for _, n := range []int{60, 100, 1000, 1_000_000} {
		for _, sybils := range []int{20, 40, 80} {
			missed, total := 0, count(400, 20_000)
			for range total {
				size := estimate(r, n)
				tight := make([]float64, sybils)
				for i := range tight {
					tight[i] = r.Float64() * float64(sybils) / float64(170*n) // as 170 keys a node and Sybil were tried
				}
				slices.Sort(tight)
				if !crowded(tight[:bucketSize], size) {
					t.Fatalf("%d ground Sybils among %d nodes go unnoticed: %v", sybils, n, tight)
				}
				loose, honest := make([]float64, sybils), spread(r, n)[0]
				for i := range loose {
					loose[i] = r.Float64() * honest
				}
				slices.Sort(loose)
				if !crowded(loose[:bucketSize], size) {
					missed++
				}
			}
			t.Logf("%d nodes, %d Sybils just nearer than the nearest: %d of %d unnoticed", n, sybils, missed, total)
			if missed > total/20 {
				t.Errorf("%d of %d unnoticed", missed, total)
			}
		}
	}
}

func TestCrowdedTable(t *testing.T) {
	ramp := func(last float64, n int) []float64 {
		far := make([]float64, n)
		for i := range far {
			far[i] = last * float64(i+1) / float64(n)
		}
		return far
	}
	for _, test := range []struct {
		name string
		far  []float64
		size float64
		want bool
	}{
		{"nothing", nil, 100, false},
		{"too few to tell", ramp(1e-9, fewest-1), 100, false},
		{"as expected", ramp(0.2, 20), 100, false},
		{"half as far", ramp(0.1, 20), 100, false},
		{"a fifth as far", ramp(0.04, 20), 100, false},
		{"a sixth as far", ramp(0.033, 20), 100, true},
		{"as was measured", ramp(0.00064, 20), 60, true},
		{"the nearest ten alone", append(ramp(0.001, 10), ramp(0.2, 20)[10:]...), 100, true},
		{"the same place", make([]float64, 20), 100, true},
		{"far too far", ramp(1, 20), 1e6, false},
	} {
		if got := crowded(test.far, test.size); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
	if _, ok := networkSize(make([]float64, 20)); ok {
		t.Error("infinitely many nodes")
	}
	if size, ok := networkSize(ramp(0.2, 20)); !ok || math.Abs(size-95) > 1 {
		t.Errorf("taken for %v nodes", size)
	}
}

func TestFraction(t *testing.T) {
	var p place
	binary.BigEndian.PutUint64(p[:], 1<<62)
	if got := p.fraction(); got != 0.25 {
		t.Errorf("got %v", got)
	}
}

// A suspicion is an alarm only once random look-ups made for it bear it out: the
// network may have grown tenfold since the last.
func TestAlarmIsConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := testRand(t)
		c := newCrowds()
		samples := func(n int) {
			for range sizesKept {
				c.sample(spread(r, n))
			}
		}
		suspected := func() bool {
			select {
			case <-c.suspect:
				return true
			default:
				return false
			}
		}
		dense := spread(r, 100_000)
		c.note("a", dense)
		if suspected() {
			t.Error("a suspicion without any estimate")
		}
		samples(100)
		if !suspected() || c.count() != 0 {
			t.Error("no suspicion, or an alarm at once")
		}
		samples(100_000)
		if c.settle() || c.count() != 0 {
			t.Error("an alarm where the network has grown")
		}
		c.sizes = nil
		samples(100)
		if suspected() {
			t.Error("one look-up was looked into twice")
		}
		c.note("a", dense)
		c.note("b", spread(r, 100))
		if !suspected() || !c.settle() || c.count() != 1 {
			t.Errorf("%d alarms, want 1", c.count())
		}
		if c.note("a", dense); c.count() != 1 {
			t.Error("an alarm ended with another dense look-up")
		}
		if c.note("a", spread(r, 100)); c.count() != 0 {
			t.Error("an alarm is on where nobody crowds any more")
		}
		c.note("c", dense)
		if got := c.suspicious(); !slices.Equal(got, []string{"c"}) {
			t.Errorf("%q are suspicious", got)
		}
		if c.look("c", spread(r, 100)); c.settle() || c.count() != 0 {
			t.Error("an alarm where the network has shrunk")
		}
		c.note("a", dense)
		if c.look("a", nil); !c.settle() || c.count() != 1 {
			t.Error("a look-up that found nobody ended the suspicion")
		}
		time.Sleep(placeLife)
		if c.count() != 0 {
			t.Error("an alarm outlived its record")
		}
		for i := range 3 * placesKept {
			c.note(string(rune('A'+i)), dense)
			time.Sleep(time.Second)
		}
		if len(c.places) != placesKept || c.places[string(rune('A'+3*placesKept-1))] == nil {
			t.Errorf("remembers %d places", len(c.places))
		}
	})
}
