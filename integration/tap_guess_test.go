package integration

import (
	"math"
	"math/rand/v2"
	"slices"

	"chatnt/overlay/onion"
)

// guesser guesses the class of frames after it has seen some with theirs.
type guesser interface {
	guess(p *onion.Packet) int
}

// learner makes a guesser of frames whose classes, 0 and up, are told.
type learner func(frames []*onion.Packet, labels []int, classes int) guesser

func learners() map[string]learner {
	return map[string]learner{"regression": newRegression, "centroids": newCentroids}
}

// centroids tells classes by how frames of each are on average, byte for byte: what
// is nearest is it. It sees what is a little different everywhere.
type centroids struct {
	mean [][]float64 // of each class, of each byte
	norm []float64   // half of its square
}

func newCentroids(frames []*onion.Packet, labels []int, classes int) guesser {
	g := &centroids{make([][]float64, classes), make([]float64, classes)}
	n := make([]float64, classes)
	for c := range g.mean {
		g.mean[c] = make([]float64, onion.Size)
	}
	for i, p := range frames {
		n[labels[i]]++
		for at, v := range p {
			g.mean[labels[i]][at] += float64(v)
		}
	}
	for c, mean := range g.mean {
		for at := range mean {
			mean[at] = mean[at]/n[c] - 127.5
			g.norm[c] += mean[at] * mean[at] / 2
		}
	}
	return g
}

func (g *centroids) guess(p *onion.Packet) int {
	var x [onion.Size]float64
	for at, v := range p {
		x[at] = float64(v) - 127.5
	}
	scores := make([]float64, len(g.mean))
	for c, mean := range g.mean {
		scores[c] = -g.norm[c]
		for at, v := range mean {
			scores[c] += v * x[at]
		}
	}
	return argmax(scores)
}

// regression is multinomial logistic regression (Bishop, Pattern Recognition and
// Machine Learning, 2006, section 4.3.4) on the features that tell most. It sees
// what differs somewhere.
type regression struct {
	features []feature
	weights  [][]float64 // of each class, of each feature and of one
}

func newRegression(frames []*onion.Packet, labels []int, classes int) guesser {
	const (
		features = 16   // of 160,000: more would be noise, and drown what is there
		rounds   = 20   // over the frames in training
		step     = 0.01 // of descent, at first
	)
	g := &regression{features: telling(frames, labels, classes, features)}
	x := make([][]float64, len(frames))
	for i, p := range frames {
		x[i] = g.of(p)
	}
	for range classes {
		g.weights = append(g.weights, make([]float64, len(x[0])))
	}
	random := rand.New(rand.NewChaCha8([32]byte{1}))
	for round := range rounds {
		rate := step / float64(1+round)
		for _, i := range random.Perm(len(frames)) {
			chances := g.scores(x[i])
			softmax(chances)
			for c, w := range g.weights {
				off := chances[c]
				if c == labels[i] {
					off--
				}
				for k, v := range x[i] {
					w[k] -= rate * off * v
				}
			}
		}
	}
	return g
}

func (g *regression) of(p *onion.Packet) []float64 {
	x := make([]float64, 0, len(g.features)+1)
	for i := range g.features {
		x = append(x, g.features[i].of(p))
	}
	return append(x, 1)
}

func (g *regression) guess(p *onion.Packet) int { return argmax(g.scores(g.of(p))) }

func (g *regression) scores(x []float64) []float64 {
	scores := make([]float64, len(g.weights))
	for c, w := range g.weights {
		for k, v := range x {
			scores[c] += w[k] * v
		}
	}
	return scores
}

// softmax makes scores chances.
func softmax(scores []float64) {
	most, sum := slices.Max(scores), 0.0
	for c, s := range scores {
		scores[c] = math.Exp(s - most)
		sum += scores[c]
	}
	for c := range scores {
		scores[c] /= sum
	}
}

func argmax(scores []float64) int { return slices.Index(scores, slices.Max(scores)) }

// balanced is the accuracy of guesses in a class, on average over the classes, and
// its standard error if all classes were alike: then a guess is right by chance.
func balanced(g guesser, frames []*onion.Packet, labels []int, classes int) (accuracy, chance, deviation float64) {
	right, all := make([]float64, classes), make([]float64, classes)
	for i, p := range frames {
		all[labels[i]]++
		if g.guess(p) == labels[i] {
			right[labels[i]]++
		}
	}
	k := float64(classes)
	chance = 1 / k
	variance := 0.0
	for c := range classes {
		accuracy += right[c] / all[c] / k
		variance += chance * (1 - chance) / all[c] / k / k
	}
	return accuracy, chance, math.Sqrt(variance)
}
