package vault

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

func withSum(body []byte) []byte {
	sum := sha256.Sum256(body)
	return append(body, sum[:]...)
}

// testMaster is a master key of 00 01 02 ... 1f.
func testMaster() []byte {
	master := make([]byte, masterSize)
	for i := range master {
		master[i] = byte(i)
	}
	return master
}

// opensWith is an opener that takes a known master key for that of any header.
func opensWith(t testing.TB, master []byte) opener {
	return opener{
		unlock: func(header []byte) (*keys, error) { return deriveKeys(master, header[0]), nil },
		renew: func([]byte) ([]byte, *keys, error) {
			return golden(t, "header-v2"), deriveKeys(master, version), nil
		},
	}
}

func testKeys() *keys { return deriveKeys(testMaster(), version) }

func golden(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name + ".hex")
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Files stay readable: these bytes never change.
func TestGolden(t *testing.T) {
	for v := byte(oldest); v <= version; v++ {
		header := golden(t, fmt.Sprint("header-v", v))
		if err := checkHeader(header); err != nil || header[0] != v {
			t.Fatal(err)
		}
		k, err := withPassphrase(passphrase()).unlock(header)
		if err != nil {
			t.Fatal(err)
		}
		if *k != *deriveKeys(testMaster(), v) {
			t.Errorf("version %d: the header holds another master key", v)
		}
		at := k.of("contacts", "bob")
		if want := golden(t, "name"); !bytes.Equal(at[:], want) {
			t.Errorf("version %d: the name is %x, want %x", v, at, want)
		}
		key, value, err := k.openValue(at, golden(t, fmt.Sprint("value-v", v)))
		if err != nil || key != "bob" || string(value) != "an old friend" {
			t.Errorf("version %d: the value is %q = %q, %v", v, key, value, err)
		}
	}
}

// A value of one version is not one of another, nor is a header.
func TestVersionsKeepApart(t *testing.T) {
	one, two := deriveKeys(testMaster(), 1), deriveKeys(testMaster(), 2)
	at := one.of("b", "k")
	if _, _, err := two.openValue(at, one.sealValue(at, "k", nil)); !errors.Is(err, ErrDamaged) {
		t.Errorf("a value of version 1 in a file of version 2: %v", err)
	}
	// Nor under the other's key, if only the byte in the sealed data differs.
	one.seal = two.seal
	if _, _, err := two.openValue(at, one.sealValue(at, "k", nil)); !errors.Is(err, ErrDamaged) {
		t.Errorf("a value of version 1 under the key of version 2: %v", err)
	}
	header := golden(t, "header-v1")
	header = withSum(append([]byte{2}, header[1:sumAt]...))
	if err := checkHeader(header); err != nil {
		t.Fatal(err)
	}
	if _, err := openHeader(header, passphrase()); !errors.Is(err, ErrPassphrase) {
		t.Errorf("a header of version 1 as one of version 2: %v", err)
	}
}

func TestHeader(t *testing.T) {
	h := golden(t, "header-v2")
	if len(h) != headerSize {
		t.Fatalf("%d bytes, want %d", len(h), headerSize)
	}
	for i := range h {
		bad := bytes.Clone(h)
		bad[i] ^= 1
		if err := checkHeader(bad); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
	}
	body := h[:len(h)-sha256.Size]
	for name, bad := range map[string][]byte{
		"empty": nil, "short": h[:40],
		"shorter, hash right": withSum(bytes.Clone(body[:50])),
		"longer, hash right":  withSum(append(bytes.Clone(body), 0)),
		"version 0":           withSum(append([]byte{0}, body[1:]...)),
	} {
		if err := checkHeader(bad); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	newer := withSum(append([]byte{version + 1}, body[1:]...))
	if err := checkHeader(newer); !errors.Is(err, ErrVersion) {
		t.Errorf("version %d: %v", version+1, err)
	}
}

func TestPadded(t *testing.T) {
	// From the Padmé paper's rule: of a length's bits below the highest, as many
	// stay as the exponent's binary form has digits.
	for size, want := range map[int]int{
		0: 64, 1: 64, 64: 64, 65: 72, 72: 72, 73: 80, 100: 104, 127: 128, 128: 128, 129: 144,
		1000: 1024, 1025: 1088, 65537: 67584, 1 << 20: 1 << 20,
	} {
		if got := padded(size); got != want {
			t.Errorf("padded(%d) = %d, want %d", size, got, want)
		}
	}
	for size := minBody; size < 1<<16; size++ {
		p := padded(size)
		if p < size || p > size+size*12/100 || padded(p) != p {
			t.Fatalf("padded(%d) = %d", size, p)
		}
	}
}

func TestSealedValue(t *testing.T) {
	k := testKeys()
	at, elsewhere := k.of("b", "k"), k.of("b", "l")
	one, two := k.sealValue(at, "k", []byte("value")), k.sealValue(at, "k", []byte("value"))
	if bytes.Equal(one, two) {
		t.Error("the same value seals to the same bytes")
	}
	if len(one) != len(k.sealValue(at, "k", []byte("longer value"))) {
		t.Error("the length of a short value shows")
	}
	if _, _, err := k.openValue(elsewhere, one); !errors.Is(err, ErrDamaged) {
		t.Errorf("opened under another name: %v", err)
	}
	for i := range one {
		bad := bytes.Clone(one)
		bad[i] ^= 0x80
		if _, _, err := k.openValue(at, bad); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
	}
	for n := range one {
		if _, _, err := k.openValue(at, one[:n]); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
}

// A body that is sealed with the right key but laid out otherwise is refused.
func TestCanonicalBody(t *testing.T) {
	k := testKeys()
	at := k.of("b", "k")
	seal := func(body []byte) []byte {
		nonce := random(24)
		return newAEAD(k.seal[:]).Seal(nonce, nonce, body, k.aad(at))
	}
	good := append([]byte{1, 0, 0, 0, 1, 'k', 'v'}, make([]byte, 57)...)
	if _, _, err := k.openValue(at, seal(good)); err != nil {
		t.Fatal(err)
	}
	dirty, huge := bytes.Clone(good), bytes.Clone(good)
	dirty[63] = 1
	huge[1] = 0xff
	for name, body := range map[string][]byte{
		"padding": dirty, "value length": huge, "longer": append(bytes.Clone(good), make([]byte, 8)...),
	} {
		if _, _, err := k.openValue(at, seal(body)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
