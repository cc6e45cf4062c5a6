package onion

import (
	"encoding/json"
	"errors"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"
)

// TestX25519Wycheproof runs Project Wycheproof's X25519 vectors, low-order and
// non-canonical points among them, through decapsulation.
func TestX25519Wycheproof(t *testing.T) {
	file, err := fs.ReadFile(wycheproof.TestVectors, "x25519_test.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		TestGroups []struct {
			Tests []struct {
				TcID                    int
				Public, Private, Shared string
			}
		}
	}
	if err := json.Unmarshal(file, &vectors); err != nil {
		t.Fatal(err)
	}
	var agreed, refused int
	for _, group := range vectors.TestGroups {
		for _, v := range group.Tests {
			k := testKey(t, unhex(t, v.Private))
			ct := [ctSize]byte(unhex(t, v.Public))
			shared := [32]byte(unhex(t, v.Shared))
			var got, want hopKeys
			err := k.decapsulate(&got, &ct)
			if allZero(shared[:]) {
				refused++
				if !errors.Is(err, errPoint) {
					t.Errorf("vector %d: a zero secret gives %v", v.TcID, err)
				}
				continue
			}
			agreed++
			if want.derive(&shared, &ct, &k.pair.public); err != nil || got != want {
				t.Errorf("vector %d: other keys, %v", v.TcID, err)
			}
		}
	}
	if agreed < 400 || refused < 10 {
		t.Fatalf("%d vectors agreed and %d were refused, too few", agreed, refused)
	}
}

// TestKeysAreBound wants other keys when anything that goes into them changes,
// the top bit of the point too, which X25519 itself ignores.
func TestKeysAreBound(t *testing.T) {
	var ss, ct, pk [32]byte
	var keys hopKeys
	keys.derive(&ss, &ct, &pk)
	seen := map[hopKeys]bool{keys: true}
	for _, in := range []*[32]byte{&ss, &ct, &pk} {
		for bit := range 256 {
			in[bit/8] ^= 1 << (bit % 8)
			keys.derive(&ss, &ct, &pk)
			if seen[keys] || keys.header == keys.payload {
				t.Fatal("two inputs give the same keys")
			}
			seen[keys] = true
			in[bit/8] ^= 1 << (bit % 8)
		}
	}
}
