package integration

import (
	"cmp"
	"math"
	"slices"
	"time"

	"chatnt/overlay/onion"
)

// ends is what somebody makes of it who sees when each packet reaches its first
// relay, and from whom, and when each leaves its last, and to whom; and knows how
// many relays there are between and by what law they delay. chance[i] are those
// that left and may be passage i, with how likely that is.
type ends struct {
	passages []*passage
	chance   [][]candidate
}

type candidate struct {
	passage int
	chance  float64
}

// law returns the density of the sum of the delays at all relays (Erlang), up to a
// factor. Without delays it is that links and relays take a moment.
func law(mean time.Duration) func(time.Duration) float64 {
	if mean == 0 {
		return func(d time.Duration) float64 { return math.Exp(-float64(d) / float64(time.Millisecond)) }
	}
	return func(d time.Duration) float64 {
		x := float64(d+time.Millisecond) / float64(mean) // delays are whole milliseconds
		return math.Pow(x, onion.Relays-1) * math.Exp(-x)
	}
}

// newEnds weighs all packets that left against all that came: by the law, and by
// that each that came is one that left and the other way round. The latter by
// scaling rows and columns of likelihoods in turn until they add up to one
// (Sinkhorn, Ann. Math. Stat. 35(2), 1964), close to what counting all assignments
// would give (Troncoso and Danezis, CCS 2009, sample them).
func newEnds(passages []*passage, mean time.Duration) *ends {
	const rounds = 50
	e := &ends{passages: passages, chance: make([][]candidate, len(passages))}
	density, horizon := law(mean), max(30*mean, time.Second)
	left := make([]int, len(passages))
	for i := range left {
		left[i] = i
	}
	slices.SortFunc(left, func(a, b int) int { return cmp.Compare(passages[a].left(), passages[b].left()) })
	for i, f := range passages {
		first, _ := slices.BinarySearchFunc(left, f.entered(), func(j int, t time.Duration) int { return cmp.Compare(passages[j].left(), t) })
		for _, j := range left[first:] {
			after := passages[j].left() - f.entered()
			if after > horizon {
				break
			}
			if w := density(after); w > 0 {
				e.chance[i] = append(e.chance[i], candidate{j, w})
			}
		}
	}
	for range rounds {
		columns := make([]float64, len(passages))
		for _, row := range e.chance {
			for _, c := range row {
				columns[c.passage] += c.chance
			}
		}
		for _, row := range e.chance {
			sum := 0.0
			for k := range row {
				row[k].chance /= columns[row[k].passage]
				sum += row[k].chance
			}
			for k := range row {
				row[k].chance /= sum
			}
		}
	}
	return e
}

// packets is the share of packets of which the right one is the likeliest.
func (e *ends) packets() float64 {
	right := 0
	for i, row := range e.chance {
		if len(row) == 0 {
			continue
		}
		likeliest := slices.MaxFunc(row, func(a, b candidate) int { return cmp.Compare(a.chance, b.chance) })
		if likeliest.passage == i {
			right++
		}
	}
	return float64(right) / float64(len(e.passages))
}

// inOrder is the share of packets that are right if the first to come is taken for
// the first to leave, and so on: of all assignments the likeliest, since the law is
// log-concave.
func (e *ends) inOrder() float64 {
	came, left := make([]int, len(e.passages)), make([]int, len(e.passages))
	for i := range e.passages {
		came[i], left[i] = i, i
	}
	slices.SortStableFunc(came, func(a, b int) int { return cmp.Compare(e.passages[a].entered(), e.passages[b].entered()) })
	slices.SortStableFunc(left, func(a, b int) int { return cmp.Compare(e.passages[a].left(), e.passages[b].left()) })
	right := 0
	for i := range came {
		if came[i] == left[i] {
			right++
		}
	}
	return float64(right) / float64(len(came))
}

// conversations is the share of senders whose recipient is found from their first
// n messages: whoever it is likeliest that all of these went to.
func (e *ends) conversations(n int) float64 {
	const floor = 1e-4 // of a chance: the weighing is not exact
	senders := make(map[int][]int)
	for i, f := range e.passages {
		if own := senders[f.conversation]; len(own) < n {
			senders[f.conversation] = append(own, i)
		}
	}
	right := 0
	for sender, own := range senders {
		likely := make([]float64, len(senders))
		for _, i := range own {
			to := make(map[int]float64)
			for _, c := range e.chance[i] {
				to[e.passages[c.passage].conversation] += c.chance
			}
			for recipient := range likely {
				likely[recipient] += math.Log(max(floor, to[recipient]))
			}
		}
		if argmax(likely) == sender {
			right++
		}
	}
	return float64(right) / float64(len(senders))
}

// twoRelays is what two relays make of it, of which one is the first of a path and
// one the last. They know which relay is between and when they sent to it and
// received from it, but not what becomes of what they pass to others. Matched is
// the share of the packets that went through both and are matched by taking, for
// what the first sent, the next that the last received; sure is the share of
// such matches, not further apart than three times the mean delay, that are right,
// for the first does not know which of its packets go to the last at all. Every two
// relays are tried.
func twoRelays(passages []*passage, relays int, mean time.Duration) (matched, sure float64) {
	type way struct{ from, to int }
	arrivals := make(map[way][]int) // at a last relay, from the one between
	for i, f := range passages {
		w := way{f.relays[1], f.relays[2]}
		arrivals[w] = append(arrivals[w], i)
	}
	for _, list := range arrivals {
		slices.SortFunc(list, func(a, b int) int { return cmp.Compare(passages[a].in[2], passages[b].in[2]) })
	}
	window := max(3*mean, 100*time.Millisecond)
	var right, claims, rightClaims float64
	for i, f := range passages {
		for last := range relays {
			list := arrivals[way{f.relays[1], last}]
			next, _ := slices.BinarySearchFunc(list, f.out[0], func(j int, t time.Duration) int { return cmp.Compare(passages[j].in[2], t) })
			if last == f.relays[0] || next == len(list) {
				continue
			}
			if list[next] == i {
				right++
			}
			if passages[list[next]].in[2]-f.out[0] <= window {
				claims++
				if list[next] == i {
					rightClaims++
				}
			}
		}
	}
	return right / float64(len(passages)), rightClaims / claims
}
