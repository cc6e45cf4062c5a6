package integration

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"chatnt/overlay/onion"
)

// apart are the distances, in bytes, at which two bytes of a frame are looked at
// together: zero for each byte alone; the next one; a tag, a node id or a public
// key further on; a relay block further on. (Their bits are added: a frame that
// repeats, or nearly repeats, something at that distance shows it there.)
func apart() []int { return []int{0, 1, 16, 32, 88} }

// viewed writes the bytes of p, each with the one so far apart added to it, or
// alone, and returns how many there are.
func viewed(p *onion.Packet, d int, to *onion.Packet) int {
	if d == 0 {
		*to = *p
		return len(p)
	}
	for i := range len(p) - d {
		to[i] = p[i] ^ p[i+d]
	}
	return len(p) - d
}

// feature is something of a frame that is a number: one bit of a view, or how often
// a value is there among its bytes.
type feature struct {
	apart, at int
	mask      byte // of the bit; zero: how often
	value     byte
	mean, dev float64 // over the frames in training
}

// of returns the feature of a frame, of mean zero and deviation one in training.
func (f *feature) of(p *onion.Packet) float64 {
	x := 0.0
	if f.mask == 0 {
		x = float64(bytes.Count(p[:], []byte{f.value}))
	} else {
		v := p[f.at]
		if f.apart > 0 {
			v ^= p[f.at+f.apart]
		}
		if v&f.mask != 0 {
			x = 1
		}
	}
	return (x - f.mean) / f.dev
}

// telling finds, among all features, the n whose mean differs most from class to
// class (by a chi-square statistic), as one does who has ten times as many features
// as examples (sure independence screening: Fan and Lv, J. R. Stat. Soc. B 70(5), 2008).
func telling(frames []*onion.Packet, labels []int, classes, n int) []feature {
	s := &screening{classes: make([]float64, classes), keep: n}
	for _, c := range labels {
		s.classes[c]++
	}
	sums := make([]float64, classes)
	for _, d := range apart() {
		ones := onesOf(frames, labels, classes, d)
		for at := range onion.Size - d {
			for k := range 8 {
				all := 0.0
				for c := range classes {
					sums[c] = float64(ones[c][8*at+k])
					all += sums[c]
				}
				s.add(feature{apart: d, at: at, mask: 1 << k}, sums, all)
			}
		}
	}
	squares := make([]float64, 256)
	counts := make([][256]float64, classes)
	for i, p := range frames {
		var often [256]float64
		for _, v := range p {
			often[v]++
		}
		for v, n := range often {
			counts[labels[i]][v] += n
			squares[v] += n * n
		}
	}
	for v := range 256 {
		for c := range classes {
			sums[c] = counts[c][v]
		}
		s.add(feature{value: byte(v)}, sums, squares[v])
	}
	return s.best()
}

// screening keeps the features that differ most.
type screening struct {
	classes []float64 // how many frames of each there are
	keep    int
	found   []scored
}

type scored struct {
	feature
	score float64
}

// add takes in a feature with its sum over the frames of each class and the sum of
// its squares over all.
func (s *screening) add(f feature, sums []float64, squares float64) {
	all, n := 0.0, 0.0
	for c, sum := range sums {
		all += sum
		n += s.classes[c]
	}
	f.mean = all / n
	variance := squares/n - f.mean*f.mean
	if variance < 1e-9 {
		return // the top bit of a public key is always zero
	}
	f.dev = math.Sqrt(variance)
	score := 0.0
	for c, sum := range sums {
		off := sum - f.mean*s.classes[c]
		score += off * off / (s.classes[c] * variance)
	}
	s.found = append(s.found, scored{f, score})
}

func (s *screening) best() []feature {
	slices.SortFunc(s.found, func(a, b scored) int { return cmp.Compare(b.score, a.score) })
	var best []feature
	for _, f := range s.found[:s.keep] {
		best = append(best, f.feature)
	}
	return best
}

// onesOf counts, for each class and each bit of a view, in how many frames it is set.
func onesOf(frames []*onion.Packet, labels []int, classes, d int) [][]uint32 {
	var spread [256]uint64 // of a byte, its bits to a byte each
	for v := range spread {
		for k := range 8 {
			spread[v] |= uint64(v>>k&1) << (8 * k)
		}
	}
	ones := make([][]uint32, classes)
	lanes := make([][onion.Size]uint64, classes) // eight counters of a byte each
	added := make([]int, classes)
	for c := range ones {
		ones[c] = make([]uint32, 8*onion.Size)
	}
	flush := func(c int) {
		for at, lane := range lanes[c] {
			for k := range 8 {
				ones[c][8*at+k] += uint32(lane >> (8 * k) & 0xff)
			}
		}
		lanes[c], added[c] = [onion.Size]uint64{}, 0
	}
	var view onion.Packet
	for i, p := range frames {
		c := labels[i]
		for at := range viewed(p, d, &view) {
			lanes[c][at] += spread[view[at]]
		}
		if added[c]++; added[c] == 255 {
			flush(c)
		}
	}
	for c := range lanes {
		flush(c)
	}
	return ones
}
