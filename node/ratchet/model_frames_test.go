package ratchet

import (
	"bytes"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"
)

// modelPair is two people in a conversation whose second message has arrived.
func modelPair(t *testing.T, draw func(int) []byte) (a, b *Session, now time.Time) {
	network, now := [32]byte(draw(32)), time.Unix(1_800_000_000, 0)
	alice, bob := newPlainPerson(draw), newPlainPerson(draw)
	a, err := Initiate(network, alice.identity(), bob.record())
	if err != nil {
		t.Fatal(err)
	}
	hello, err := OpenHello(network, bob.identity(), bob.prekeys(), modelSeal(t, a, draw(BodySize)))
	if err != nil {
		t.Fatal(err)
	}
	b, _, err = hello.Accept(now)
	if err != nil {
		t.Fatal(err)
	}
	modelOpen(t, a, modelSeal(t, b, draw(BodySize)), now)
	return a, b, now
}

func modelSeal(t *testing.T, s *Session, body []byte) []byte {
	t.Helper()
	frame, err := s.Seal(body)
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

func modelOpen(t *testing.T, s *Session, frame []byte, now time.Time) []byte {
	t.Helper()
	body, err := s.Open(frame, now)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// even wants counts that are to be equal to be so within what chance does: the
// statistic is chi-square, and eight standard deviations are allowed.
func even(t *testing.T, what string, counts []int, shares ...float64) {
	t.Helper()
	total := 0
	for _, n := range counts {
		total += n
	}
	sum := 0.0
	for i, n := range counts {
		expected := float64(total) / float64(len(counts))
		if shares != nil {
			expected = float64(total) * shares[i]
		}
		sum += (float64(n) - expected) * (float64(n) - expected) / expected
	}
	free := float64(len(counts) - 1)
	if limit := free + 8*math.Sqrt(2*free) + 30/math.Sqrt(free); sum > limit {
		t.Errorf("%s: chi-square %.0f with %.0f degrees of freedom over %d", what, sum, free, total)
	}
}

// looks counts the bytes and the bits of frames.
type looks struct {
	frames int
	bytes  [256]int
	places [256][16]int // of the first 256 bytes, the high half of each byte
	ones   [8 * FrameSize]int
}

func (l *looks) add(frame []byte) {
	l.frames++
	for i, b := range frame {
		l.bytes[b]++
		if i < len(l.places) {
			l.places[i][b>>4]++
		}
		for bit := range 8 {
			l.ones[8*i+bit] += int(b >> bit & 1)
		}
	}
}

func (l *looks) check(t *testing.T) {
	t.Helper()
	even(t, "bytes", l.bytes[:])
	for i := range l.places {
		even(t, "the high half of a byte", l.places[i][:])
	}
	spread := 7 * math.Sqrt(float64(l.frames)) / 2
	for i, ones := range l.ones {
		if math.Abs(float64(ones)-float64(l.frames)/2) > spread {
			t.Errorf("bit %d of byte %d is 1 in %d of %d frames", i%8, i/8, ones, l.frames)
		}
	}
}

// TestFramesLookRandom counts in first frames, each of a session of its own, and
// in later ones that carry one of the three kinds of slot, all with the same body.
func TestFramesLookRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	draw := drawFrom(dice(t, seed))
	network, body := [32]byte(draw(32)), make([]byte, BodySize)
	alice, bob := newPlainPerson(draw), newPlainPerson(draw)
	var hellos looks
	orders := make([]int, 4)
	for i := range count(300, 5000) {
		a, err := Initiate(network, alice.identity(), bob.record())
		if err != nil {
			t.Fatal(err)
		}
		frame := modelSeal(t, a, body)
		hellos.add(frame)
		if i < count(64, 500) {
			orders[plainOrder(plainMap(frame[:32]))]++
		}
	}
	hellos.check(t)
	// Of eight points of small order one has order 1, one 2, two 4 and four 8.
	even(t, "orders of the ephemeral keys' small parts", orders, 1./8, 1./8, 2./8, 4./8)

	a, b, now := modelPair(t, draw)
	var first, second looks
	for i := range count(300, 3000) {
		first.add(modelSeal(t, a, body)) // an encapsulation key
		frame := modelSeal(t, b, body)   // a ciphertext, but for the first chain
		second.add(frame)
		if i%10 == 0 {
			modelOpen(t, a, frame, now)
			modelOpen(t, b, modelSeal(t, a, body), now)
		}
	}
	first.check(t)
	second.check(t)
}

// plainOrder returns 0 to 3 for a part of small order 1, 2, 4 or 8: what the order
// of the large subgroup, 2^252 + 2774...8493 (RFC 7748, section 4.1), leaves.
func plainOrder(public []byte) int {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	u := plainLittle(public)
	point := &plainPoint{u, plainRoot(plainCurve(u))}
	var small *plainPoint
	for i := order.BitLen() - 1; i >= 0; i-- {
		small = plainSum(small, small)
		if order.Bit(i) == 1 {
			small = plainSum(small, point)
		}
	}
	log := 0
	for ; small != nil; log++ {
		small = plainSum(small, small)
	}
	return log
}

// TestBodiesDoNotShow wants frames of one state to differ all over, whatever they
// carry: nothing of a frame but its salt may come from chance.
func TestBodiesDoNotShow(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	draw := drawFrom(dice(t, seed))
	a, _, _ := modelPair(t, draw)
	modelSeal(t, a, make([]byte, BodySize))
	one, two := modelSeal(t, a.Clone(), make([]byte, BodySize)), modelSeal(t, a.Clone(), make([]byte, BodySize))
	same := 0
	for i := range one {
		if one[i] == two[i] {
			same++
		}
	}
	if same > 60 || bytes.Equal(one[:32], two[:32]) { // 12.5 expected
		t.Errorf("two frames of one state, number and body agree in %d bytes", same)
	}
}
