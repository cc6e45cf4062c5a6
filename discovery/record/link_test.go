package record

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"math/big"
	"os"
	"strings"
	"testing"

	"filippo.io/edwards25519"
)

func testLink(b byte) (private ed25519.PrivateKey, public LinkKey) {
	private, key := testKey(b)
	return private, key
}

func testPlace() place { return place{network: testNetwork(), period: 1489, copy: 1} }

func TestGeneratedLinkKeysAreAccepted(t *testing.T) {
	for b := range byte(32) {
		if _, link := testLink(b); link.Check() != nil || link.IsZero() {
			t.Errorf("key %d is refused", b)
		}
	}
	if !(LinkKey{}).IsZero() || (LinkKey{}).Check() == nil { // zeros encode a point of order 4
		t.Error("zeros are a link key")
	}
}

// Points of small order, points that have a part of small order, encodings that
// are not the one of their point, and what is no point at all.
func TestLinkKeysThatAreNone(t *testing.T) {
	c := newPlainCurve()
	_, link := testLink(6)
	good, _ := c.decode(link)
	torsion := c.torsion()
	for i, small := range torsion {
		if LinkKey(c.encode(small)).Check() == nil {
			t.Errorf("%d times a point of order 8 is accepted", i)
		}
		if mixed := LinkKey(c.encode(c.add(good, small))); (mixed.Check() == nil) != (i == 0) {
			t.Errorf("a good key and %d times a point of order 8: %v", i, mixed.Check())
		}
	}
	// y of 0 ... 18 have a second encoding below 2^255, which the library reads. None is
	// of a point in the subgroup, so that a key has one encoding by that rule, too.
	read := 0
	for y := range int64(19) {
		for _, sign := range []byte{0, 0x80} {
			b := toLittleEndian(new(big.Int).Add(c.p, big.NewInt(y)))
			b[31] |= sign
			if _, err := new(edwards25519.Point).SetBytes(b[:]); err == nil {
				read++
			}
			if LinkKey(b).Check() == nil {
				t.Errorf("p+%d is accepted", y)
			}
			once := toLittleEndian(big.NewInt(y))
			once[31] |= sign
			if _, ok := c.linkKey(once); ok || LinkKey(once).Check() == nil {
				t.Errorf("y = %d is accepted", y)
			}
		}
	}
	if read < 10 {
		t.Errorf("the library reads %d of them: the test shows little", read)
	}
	for name, b := range map[string]string{
		"-0 of the identity":      "\x01" + strings.Repeat("\x00", 30) + "\x80",
		"-0 of the point at y=-1": "\xec" + strings.Repeat("\xff", 31),
		"no point":                "\x02" + strings.Repeat("\x00", 31),
	} {
		if LinkKey([]byte(b)).Check() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if _, err := (LinkKey{}).blind(testPlace()); err == nil {
		t.Error("what is no link key is blinded")
	}
}

// testdata/blinding.txt has, on a line each, the seed of a link key, the network,
// period and copy, and then the link key and the blinded key as a third
// implementation, in another language, has found them.
func TestBlindingVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/blinding.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) < 8 {
		t.Fatalf("%d vectors", len(lines))
	}
	for i, line := range lines {
		var fields [][]byte
		for field := range strings.FieldsSeq(line) {
			b, err := hex.DecodeString(field)
			if err != nil {
				t.Fatal(err)
			}
			fields = append(fields, b)
		}
		at := place{network: [32]byte(fields[1]), period: new(big.Int).SetBytes(fields[2]).Uint64(), copy: fields[3][0]}
		private := ed25519.NewKeyFromSeed(fields[0])
		link := LinkKey(private[32:])
		if !bytes.Equal(link[:], fields[4]) {
			t.Errorf("vector %d: link key %x, want %x", i, link, fields[4])
		}
		public, err := link.blind(at)
		if err != nil || !bytes.Equal(public[:], fields[5]) {
			t.Errorf("vector %d: %x, %v, want %x", i, public, err, fields[5])
		}
		if key := blindPrivate(private, at); key.public != public {
			t.Errorf("vector %d: from the private half %x, from the public one %x", i, key.public, public)
		}
		if plain, ok := plainBlind(link, at.network, at.period, at.copy); !ok || plain != public {
			t.Errorf("vector %d: with plain integers %x", i, plain)
		}
	}
}

// Each part of a place changes the blinded key, and so does the link key.
func TestEachPlaceHasItsKey(t *testing.T) {
	seen := make(map[[32]byte]string)
	note := func(what string, link LinkKey, at place) {
		public, err := link.blind(at)
		if err != nil {
			t.Fatal(err)
		}
		if before, ok := seen[public]; ok {
			t.Errorf("%s and %s have one key", what, before)
		}
		if seen[public] = what; public == [32]byte(link) {
			t.Errorf("%s: it is not blinded", what)
		}
	}
	_, link := testLink(6)
	_, other := testLink(7)
	at := testPlace()
	note("a place", link, at)
	note("another person's", other, at)
	at.copy--
	note("the other copy", link, at)
	at.period++
	note("the next period", link, at)
	at.network[0] ^= 1
	note("another network", link, at)
	for range 64 {
		at.period++
		note("a later period", link, at)
	}
}

func TestBlindedSignatures(t *testing.T) {
	private, link := testLink(6)
	at := testPlace()
	key := blindPrivate(private, at)
	at.copy = 0
	other := blindPrivate(private, at)
	for _, message := range []string{"", "a", strings.Repeat("long", 1000)} {
		signature := key.sign([]byte(message))
		if !ed25519.Verify(key.public[:], []byte(message), signature) {
			t.Errorf("%d bytes: the standard library refuses the signature", len(message))
		}
		if ed25519.Verify(other.public[:], []byte(message), signature) || ed25519.Verify(link[:], []byte(message), signature) {
			t.Errorf("%d bytes: the signature is good for another key", len(message))
		}
		// The ratio of the two keys is known to whoever has the link: one commitment
		// under both would give the private half away.
		if bytes.Equal(signature[:32], other.sign([]byte(message))[:32]) {
			t.Errorf("%d bytes: two blinded keys make one commitment", len(message))
		}
		if !bytes.Equal(signature, key.sign([]byte(message))) {
			t.Errorf("%d bytes: two signatures of one message", len(message))
		}
	}
	key.wipe()
	if key.prefix != [32]byte{} || !bytes.Equal(key.scalar.Bytes(), make([]byte, 32)) {
		t.Error("the private half is still there")
	}
}

// FuzzLinkKey holds Check and blinding against plain integers.
func FuzzLinkKey(f *testing.F) {
	c := newPlainCurve()
	for b := range byte(3) {
		_, link := testLink(b)
		good, _ := c.decode(link)
		f.Add(link[:], uint64(b), b)
		for _, small := range c.torsion()[:3] {
			plain, mixed := c.encode(small), c.encode(c.add(good, small))
			f.Add(plain[:], uint64(1489), b)
			f.Add(mixed[:], uint64(1489), b)
		}
	}
	f.Add(bytes.Repeat([]byte{0xff}, 32), uint64(0), byte(0))
	f.Add([]byte("\x03"+strings.Repeat("\x00", 31)), uint64(1<<63), byte(255))
	f.Fuzz(func(t *testing.T, b []byte, period uint64, copied byte) {
		if len(b) != 32 {
			return
		}
		link := LinkKey(b)
		got, err := link.blind(place{network: testNetwork(), period: period, copy: copied})
		want, ok := plainBlind(link, testNetwork(), period, copied)
		if (err == nil) != ok || (link.Check() == nil) != ok || got != want {
			t.Fatalf("%x: %x, %v; with plain integers %x, %v", b, got, err, want, ok)
		}
	})
}

func BenchmarkLinkKeyCheck(b *testing.B) {
	_, link := testLink(6)
	for b.Loop() {
		if err := link.Check(); err != nil {
			b.Fatal(err)
		}
	}
}
