package ratchet

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"
	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"
)

// Project Wycheproof's vectors for what the conversation is made of, each through
// the functions that the package calls and, where the plain implementation has
// its own, through that too.

// octets are written in hexadecimal.
type octets []byte

func (o *octets) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*o = b
	return err
}

// vector has the fields of all kinds of vectors used here.
type vector struct {
	TcID   int
	Result string
	Flags  []string

	Public, Private, Shared octets // X25519

	Key, IV, AAD, Msg, CT, Tag octets // AEAD, HMAC
	IKM, Salt, Info, OKM       octets // HKDF
	Size                       int

	Sig octets // Ed25519

	Seed, EK, DK, M, C, K octets // ML-KEM
}

type vectorGroup struct {
	PublicKey struct{ PK octets }
	TagSize   int
	Tests     []vector
}

// wycheproofFile calls do with every vector, and wants it to say for each whether
// it held, good ones and bad ones as many as the file has.
func wycheproofFile(t *testing.T, name string, valid, invalid int, do func(g *vectorGroup, v *vector) bool) {
	t.Helper()
	file, err := fs.ReadFile(wycheproof.TestVectors, name)
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		NumberOfTests int
		TestGroups    []vectorGroup
	}
	if err := json.Unmarshal(file, &vectors); err != nil {
		t.Fatal(err)
	}
	var held, refused int
	for _, g := range vectors.TestGroups {
		for _, v := range g.Tests {
			switch ok := do(&g, &v); {
			case v.Result == "invalid" && ok:
				t.Errorf("%s: vector %d is accepted", name, v.TcID)
			case v.Result != "invalid" && !ok:
				t.Errorf("%s: vector %d does not hold", name, v.TcID)
			case ok:
				held++
			default:
				refused++
			}
		}
	}
	if held != valid || refused != invalid || held+refused != vectors.NumberOfTests {
		t.Errorf("%s: %d vectors held and %d were refused, want %d and %d of %d", name, held, refused, valid, invalid, vectors.NumberOfTests)
	}
}

func TestWycheproofX25519(t *testing.T) {
	zeros := 0
	wycheproofFile(t, "x25519_test.json", 518, 0, func(_ *vectorGroup, v *vector) bool {
		private, err := ecdh.X25519().NewPrivateKey(v.Private)
		if err != nil {
			t.Fatal(err)
		}
		secret, public := [32]byte(v.Private), [32]byte(v.Public)
		var kept, bare [32]byte // with a long-term key, and with a ratchet key
		keptOK, bareOK := agreeKey(&kept, private, &public), agree(&bare, &secret, &public)
		plain := plainDH(private, v.Public)
		if bytes.Equal(v.Shared, make([]byte, 32)) {
			zeros++
			return !keptOK && !bareOK && plain == nil
		}
		return keptOK && bareOK && bytes.Equal(kept[:], v.Shared) && kept == bare && bytes.Equal(plain, v.Shared)
	})
	if zeros < 10 {
		t.Errorf("%d vectors have a zero secret, too few", zeros)
	}
}

func TestWycheproofChaCha20Poly1305(t *testing.T) {
	wycheproofFile(t, "chacha20_poly1305_test.json", 256, 69, func(_ *vectorGroup, v *vector) bool {
		if len(v.IV) != chacha20poly1305.NonceSize {
			return false // there are no others here
		}
		key, box := [32]byte(v.Key), plainJoin(v.CT, v.Tag)
		text := make([]byte, len(v.CT))
		if !open(text, &key, v.IV, box, v.AAD) || !bytes.Equal(text, v.Msg) || !bytes.Equal(plainOpenAEAD(v.Key, v.IV, box, v.AAD), v.Msg) {
			return false
		}
		place := append(make([]byte, 0, len(box)), v.Msg...)
		seal(place, &key, v.IV, v.AAD)
		return bytes.Equal(place[:len(box)], box)
	})
}

// TestChaCha20 is what the mask is made of: RFC 8439, appendix A.2, vector 1, a
// key stream under key, nonce and counter 0.
func TestChaCha20(t *testing.T) {
	want, err := hex.DecodeString("76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7" +
		"da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586")
	if err != nil {
		t.Fatal(err)
	}
	if got := plainMask(make([]byte, chacha20.KeySize), make([]byte, len(want))); !bytes.Equal(got, want) {
		t.Errorf("got %x", got)
	}
}

func TestWycheproofHKDF(t *testing.T) {
	wycheproofFile(t, "hkdf_sha256_test.json", 83, 3, func(_ *vectorGroup, v *vector) bool {
		if v.Size > 255*32 { // which derive, that is never asked for as much, takes for a bug
			_, err := hkdf.Key(sha256.New, v.IKM, v.Salt, string(v.Info), v.Size)
			return err == nil
		}
		one, two := make([]byte, v.Size/2), make([]byte, v.Size-v.Size/2)
		derive(v.IKM, v.Salt, string(v.Info), one, two)
		if !bytes.Equal(plainJoin(one, two), v.OKM) {
			return false
		}
		return len(v.Salt) > 64 || bytes.Equal(plainJoin(plainHKDF(v.Salt, v.IKM, v.Info, v.Size)...), v.OKM)
	})
}

func TestWycheproofHMAC(t *testing.T) {
	wycheproofFile(t, "hmac_sha256_test.json", 66, 108, func(g *vectorGroup, v *vector) bool {
		mac := hmac.New(sha256.New, v.Key)
		mac.Write(v.Msg)
		tag := mac.Sum(nil)
		if len(v.Key) <= 64 && !bytes.Equal(tag, plainHMAC(v.Key, v.Msg)) {
			t.Errorf("vector %d: the two implementations disagree", v.TcID)
		}
		return hmac.Equal(tag[:g.TagSize/8], v.Tag)
	})
}

func TestWycheproofEd25519(t *testing.T) {
	wycheproofFile(t, "ed25519_test.json", 88, 62, func(g *vectorGroup, v *vector) bool {
		return ed25519.Verify(ed25519.PublicKey(g.PublicKey.PK), v.Msg, v.Sig)
	})
}

func TestWycheproofMLKEM(t *testing.T) {
	wycheproofFile(t, "mlkem_768_keygen_seed_test.json", 100, 0, func(_ *vectorGroup, v *vector) bool {
		key, err := mlkem.NewDecapsulationKey768(v.Seed)
		return err == nil && bytes.Equal(key.EncapsulationKey().Bytes(), v.EK) && bytes.Equal(key.Bytes(), v.Seed)
	})
	wycheproofFile(t, "mlkem_768_encaps_test.json", 133, 132, func(_ *vectorGroup, v *vector) bool {
		key, err := mlkem.NewEncapsulationKey768(v.EK)
		if err != nil {
			return false
		}
		ss, ct, err := mlkemtest.Encapsulate768(key, v.M)
		return err == nil && bytes.Equal(ss, v.K) && bytes.Equal(ct, v.C)
	})
	wycheproofFile(t, "mlkem_768_test.json", 153, 40, func(_ *vectorGroup, v *vector) bool {
		key, err := mlkem.NewDecapsulationKey768(v.Seed)
		if err != nil {
			return false
		}
		ss, err := key.Decapsulate(v.C)
		return err == nil && bytes.Equal(ss, v.K)
	})
}
