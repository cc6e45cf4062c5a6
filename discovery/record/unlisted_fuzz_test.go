package record

import (
	"bytes"
	"crypto/cipher"
	"errors"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

func mustAEAD(t testing.TB, keys *sealingKeys) cipher.AEAD {
	t.Helper()
	aead, err := chacha20poly1305.NewX(keys.seal[:])
	if err != nil {
		t.Fatal(err)
	}
	return aead
}

// FuzzUnlisted reads any bytes as an unlisted record, as they are and, since few
// have a good signature, signed anew; and any bytes as what is sealed in one, where
// only a key record of the person is read. What is read is sealed again to the
// same bytes.
func FuzzUnlisted(f *testing.F) {
	unlisted, who := testUnlisted(f)
	private, _ := testLink(6)
	_, key := testKeyRecord(f)
	for _, c := range unlisted {
		f.Add(c.Value)
	}
	inner := testInner(f, nil)
	f.Add(inner)
	f.Add(inner[:len(inner)-1])
	f.Add(append(bytes.Clone(inner), 0))
	f.Add([]byte{})
	f.Add([]byte{version})
	f.Add(make([]byte, maxSealed))
	f.Add(make([]byte, sizeUnlisted))
	f.Add(make([]byte, sizeUnlisted+1))
	expires, _ := Expiry(unlisted[0].Key, unlisted[0].Value)
	at := place{network: testNetwork(), period: periodOf(unix(expires))}
	blinded := blindPrivate(private, at)
	f.Fuzz(func(t *testing.T, b []byte) {
		inputs := [][]byte{b}
		if len(b) == sizeUnlisted {
			body := bytes.Clone(b[:sizeUnlisted-sizeSignature])
			copy(body[1:33], blinded.public[:])
			inputs = append(inputs, append(body, blinded.sign(signed(unlistedDomain, networkBytes(), body))...))
		}
		if len(b) <= maxSealed {
			inputs = append(inputs, sealTest(t, b))
		}
		for _, input := range inputs {
			r, err := who.Parse(testNetwork(), input)
			var dht error
			if len(input) > sizeHeader {
				dht = testValidator().Validate(unlistedKey([32]byte(input[1:33])), input)
			}
			if err == nil {
				if IsForged(dht) {
					t.Fatalf("%x is read, and no node would keep it: %v", input, dht)
				}
				again, err := r.Copies(testNetwork(), key, private)
				if err != nil || !bytes.Equal(again[0].Value, input) && !bytes.Equal(again[1].Value, input) {
					t.Fatalf("%x is read and not sealed again: %v", input, err)
				}
				continue
			}
			if !IsForged(err) && !errors.Is(err, ErrVersion) && !errors.Is(err, ErrWithdrawn) && !errors.Is(err, errOtherLink) {
				t.Errorf("error of no known sort: %v", err)
			}
			if IsForged(err) && dht == nil && len(input) > sizeHeader {
				t.Errorf("%x: %v, and a node would keep it", input, err)
			}
		}
	})
}

func BenchmarkUnlisted(b *testing.B) {
	unlisted, who := testUnlisted(b)
	r, key := testKeyRecord(b)
	private, _ := testLink(6)
	for name, do := range map[string]func() error{
		"validate": func() error { return testValidator().Validate(unlisted[0].Key, unlisted[0].Value) },
		"copies":   func() error { _, err := r.Copies(testNetwork(), key, private); return err },
		"parse":    func() error { return parseError(who, unlisted[0].Value) },
		"places":   func() error { _, err := who.Places(testNetwork(), testNow()); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
