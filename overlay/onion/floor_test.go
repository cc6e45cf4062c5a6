package onion

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha3"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/poly1305" //nolint:staticcheck // the floor is made of bare primitives.
)

// The floors are the least that anyone computes who handles such packets: the
// bare primitives over the same bytes, each by the fastest implementation that
// the package has at hand, one after the other with nothing around them.

// overFloor reports the time of ours and of the floor, and their ratio.
func overFloor(b *testing.B, ours, floor func()) {
	mine, least := alternate(b, ours, floor)
	b.ReportMetric(mine, "us/ours")
	b.ReportMetric(least, "us/floor")
	b.ReportMetric(mine/least, "x-floor")
}

// alternate runs two functions by turns and returns the median time of each in
// us. Turns make their ratio hold on a machine whose speed wanders, and medians
// leave out the rounds in which another program had the processor.
func alternate(b *testing.B, one, other func()) (us1, us2 float64) {
	var first, second []time.Duration
	for b.Loop() {
		start := time.Now()
		one()
		middle := time.Now()
		other()
		first, second = append(first, middle.Sub(start)), append(second, time.Since(middle))
	}
	b.ReportMetric(0, "ns/op") // of the mix it says nothing
	return median(first), median(second)
}

// median is in us.
func median(d []time.Duration) float64 {
	slices.Sort(d)
	return float64(d[len(d)/2]) / float64(time.Microsecond)
}

// floor holds what one hop's primitives work on.
type floor struct {
	secret, point [32]byte
	pair          keyPair // of secret
	beta, delta   []byte
	keys          [80]byte
	nonce         [chacha20poly1305.NonceSize]byte
}

func newFloor(tb testing.TB) *floor {
	f := &floor{
		secret: [32]byte(expand(2, 32)),
		point:  testKey(tb, expand(3, 32)).Public(),
		beta:   make([]byte, betaSize+padSize, betaSize+padSize+chacha20poly1305.Overhead),
		delta:  make([]byte, PayloadSize),
	}
	f.pair.init(&f.secret)
	return f
}

// open is one X25519 and what it opens: a hash for the keys, and an AEAD over
// the header and the pad.
func (f *floor) open(tb testing.TB) {
	var ss [32]byte
	if !f.pair.shared(&ss, &f.point) {
		tb.Fatal("the point of the floor is of low order")
	}
	h := sha3.NewSHAKE256()
	_, _ = h.Write(ss[:])
	_, _ = h.Write(f.point[:])
	_, _ = h.Write(f.point[:])
	_, _ = h.Read(f.keys[:])
	aead, _ := chacha20poly1305.New(f.keys[:32])
	aead.Seal(f.beta[:0], f.nonce[:], f.beta, f.point[:])
}

// payload is the primitives of HPolyC.
func (f *floor) payload(block func(c cipher.Block, dst, src []byte)) {
	var sum [poly1305.TagSize]byte
	hash := (*[32]byte)(f.keys[32:])
	poly1305.Sum(&sum, f.delta, hash)
	aead, _ := chacha20poly1305.New(f.keys[32:64])
	aead.Seal(f.delta[:0], f.nonce[:], f.delta[:PayloadSize-chacha20poly1305.Overhead], nil)
	c, _ := aes.NewCipher(f.keys[48:])
	block(c, f.delta[:aes.BlockSize], f.delta[:aes.BlockSize])
	poly1305.Sum(&sum, f.delta, hash)
}

// seal is the floor of a header made: eight X25519, four of them of the base
// point, and the hash and the AEAD of four layers.
func (f *floor) seal(tb testing.TB) {
	for range Layers {
		f.pair.init(&f.secret)
		f.open(tb)
	}
}

// unwrapper is a relay with one packet to forward, over and over.
type unwrapper struct {
	key *PrivateKey
	in  Packet
	out Packet
}

func newUnwrapper(tb testing.TB) *unwrapper {
	path, keys, _ := testPath(tb, 1, Layers)
	u := &unwrapper{key: keys[0]}
	if err := Wrap(&u.in, path, make([]byte, BodySize)); err != nil {
		tb.Fatal(err)
	}
	return u
}

func (u *unwrapper) run(tb testing.TB) {
	u.out = u.in
	h, err := u.key.Open(&u.out)
	if err != nil {
		tb.Fatal(err)
	}
	h.Strip(&u.out)
}

func BenchmarkUnwrapOverFloor(b *testing.B) {
	u, f := newUnwrapper(b), newFloor(b)
	overFloor(b, func() { u.run(b) }, func() {
		f.open(b)
		f.payload(cipher.Block.Decrypt)
	})
}

func BenchmarkWrapOverFloor(b *testing.B) {
	path, _, _ := testPath(b, 1, Layers)
	p, body, f := new(Packet), make([]byte, BodySize), newFloor(b)
	ours := func() {
		if err := Wrap(p, path, body); err != nil {
			b.Fatal(err)
		}
	}
	overFloor(b, ours, func() {
		f.seal(b)
		for range Layers {
			f.payload(cipher.Block.Encrypt)
		}
	})
}

func BenchmarkSURBOverFloor(b *testing.B) {
	path, _, _ := testPath(b, 1, Layers)
	f := newFloor(b)
	ours := func() {
		if _, _, _, err := NewSURB(path); err != nil {
			b.Fatal(err)
		}
	}
	overFloor(b, ours, func() { f.seal(b) })
}
