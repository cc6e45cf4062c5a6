package onion

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestHPolyCVectors runs the designers' vectors through the cipher and through
// the plain second one of reference_test.go.
func TestHPolyCVectors(t *testing.T) {
	file, err := os.ReadFile("testdata/hpolyc.txt")
	if err != nil {
		t.Fatal(err)
	}
	lengths := map[int]int{}
	for line := range strings.Lines(string(file)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		if len(fields) != 3 {
			t.Fatalf("a vector has three fields: %q", line)
		}
		key := [32]byte(unhex(t, fields[0]))
		plain, sealed := unhex(t, fields[1]), unhex(t, fields[2])
		lengths[len(plain)]++

		var c hpolyc
		c.init(&key)
		got := bytes.Clone(plain)
		c.encrypt(got)
		if !bytes.Equal(got, sealed) {
			t.Errorf("key %s: encrypt gives %x, want %x", fields[0], got, sealed)
		}
		c.decrypt(got)
		if !bytes.Equal(got, plain) {
			t.Errorf("key %s: decrypt gives %x, want %x", fields[0], got, plain)
		}
		if got := refEncrypt(key[:], plain); !bytes.Equal(got, sealed) {
			t.Errorf("key %s: the reference encrypts to %x, want %x", fields[0], got, sealed)
		}
		if got := refDecrypt(key[:], sealed); !bytes.Equal(got, plain) {
			t.Errorf("key %s: the reference decrypts to %x, want %x", fields[0], got, plain)
		}
	}
	if lengths[16] == 0 || lengths[31] == 0 || lengths[128] == 0 {
		t.Fatalf("vectors by length: %v, want some of 16, 31 and 128 bytes", lengths)
	}
}

// TestHPolyCAgainstReference covers the lengths at which the two ways of
// running ChaCha20 meet, and the one in use, for which no vectors exist.
func TestHPolyCAgainstReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key"))
		n := rapid.SampledFrom([]int{16, 17, 79, 80, 81, 143, 144, 145, 400, PayloadSize}).Draw(t, "length")
		plain := expand(rapid.Uint64().Draw(t, "plain"), n)

		var c hpolyc
		c.init(&key)
		got := bytes.Clone(plain)
		c.encrypt(got)
		if want := refEncrypt(key[:], plain); !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: encrypt differs from the reference", n)
		}
		c.decrypt(got)
		if !bytes.Equal(got, plain) {
			t.Fatalf("%d bytes: decrypt does not undo encrypt", n)
		}
		c.decrypt(got)
		if want := refDecrypt(key[:], plain); !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: decrypt differs from the reference", n)
		}
	})
}

// TestHPolyCStaysInBlock checks that the tag of the inner Seal lands nowhere else.
func TestHPolyCStaysInBlock(t *testing.T) {
	buf := expand(1, 16+200+64)
	before := bytes.Clone(buf)
	var c hpolyc
	c.init(&[32]byte{1})
	c.encrypt(buf[16:216])
	if !bytes.Equal(buf[:16], before[:16]) || !bytes.Equal(buf[216:], before[216:]) {
		t.Fatal("encrypt wrote outside its block")
	}
	c.decrypt(buf[16:216])
	if !bytes.Equal(buf, before) {
		t.Fatal("decrypt does not undo encrypt inside a longer slice")
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
