package vault

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"
)

type octets []byte

func (o *octets) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*o = b
	return err
}

// TestWycheproofXChaCha20Poly1305 runs Project Wycheproof's vectors through the cipher that
// seals values and the master key.
func TestWycheproofXChaCha20Poly1305(t *testing.T) {
	file, err := fs.ReadFile(wycheproof.TestVectors, "xchacha20_poly1305_test.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		NumberOfTests int
		TestGroups    []struct {
			Tests []struct {
				TcID                       int
				Result                     string
				Key, IV, AAD, Msg, CT, Tag octets
			}
		}
	}
	if err := json.Unmarshal(file, &vectors); err != nil {
		t.Fatal(err)
	}
	var opened, refused int
	for _, group := range vectors.TestGroups {
		for _, v := range group.Tests {
			aead := newAEAD(v.Key)
			if len(v.IV) != aead.NonceSize() {
				if v.Result == "valid" {
					t.Errorf("vector %d has a nonce of %d bytes", v.TcID, len(v.IV))
				}
				refused++
				continue
			}
			box := append(bytes.Clone(v.CT), v.Tag...)
			text, err := aead.Open(nil, v.IV, box, v.AAD)
			if v.Result != "valid" {
				if err == nil {
					t.Errorf("vector %d opens", v.TcID)
				}
				refused++
				continue
			}
			opened++
			if err != nil || !bytes.Equal(text, v.Msg) || !bytes.Equal(aead.Seal(nil, v.IV, v.Msg, v.AAD), box) {
				t.Errorf("vector %d does not hold: %v", v.TcID, err)
			}
		}
	}
	if opened != 246 || refused != 69 || opened+refused != vectors.NumberOfTests {
		t.Errorf("%d vectors opened and %d were refused, of %d", opened, refused, vectors.NumberOfTests)
	}
}
