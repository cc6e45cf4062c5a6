package record

import (
	"bytes"
	"crypto/ecdh"
	"testing"
)

// TestSmallOrder holds our list against the standard library's exchange, which
// refuses the points whose product is zero.
func TestSmallOrder(t *testing.T) {
	private, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range []string{lowOrder1, lowOrder2, lowOrder4, lowOrder8, lowOrder8b} {
		public, err := ecdh.X25519().NewPublicKey([]byte(u))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := private.ECDH(public); err == nil {
			t.Errorf("%x is of small order on our list only", u)
		}
		if checkX25519([32]byte([]byte(u))) == nil {
			t.Errorf("%x is accepted", u)
		}
	}
}

func TestX25519KeysHaveOneEncoding(t *testing.T) {
	little := func(first, middle, last byte) [32]byte {
		u := [32]byte(bytes.Repeat([]byte{middle}, 32))
		u[0], u[31] = first, last
		return u
	}
	for _, test := range []struct {
		name string
		u    [32]byte
		ok   bool
	}{
		{"base point", little(9, 0, 0), true},
		{"p-2", little(0xeb, 0xff, 0x7f), true},
		{"p-1, of order 2", little(0xec, 0xff, 0x7f), false},
		{"p, another zero", little(0xed, 0xff, 0x7f), false},
		{"p+9, another base point", little(0xf6, 0xff, 0x7f), false},
		{"2^255-1", little(0xff, 0xff, 0x7f), false},
		{"base point, top bit set", little(9, 0, 0x80), false},
		{"2^255-2^248", little(0, 0, 0x7f), true},
	} {
		if err := checkX25519(test.u); (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	almost := little(0xff, 0xff, 0x7f)
	almost[15] = 0xfe
	if err := checkX25519(almost); err != nil {
		t.Errorf("a number a little below p: %v", err)
	}
	for b := range byte(64) {
		if err := checkX25519(testX25519(t, b)); err != nil {
			t.Errorf("a generated key: %v", err)
		}
	}
}
