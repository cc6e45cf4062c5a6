package ratchet

import (
	"bytes"
	"crypto/ed25519"
	"crypto/mlkem"
	"strconv"
	"strings"
	"testing"
)

// inOrder calls say for who says a message, and arrives for the number of one.
func inOrder(t *testing.T, order string, say func(who string), arrives func(n int)) {
	for word := range strings.FieldsSeq(order) {
		if word == "a" || word == "b" {
			say(word)
			continue
		}
		n, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		arrives(n)
	}
}

func sentence(n int) []byte {
	text := "this is message " + strconv.Itoa(n)
	return append([]byte(text), make([]byte, BodySize-len(text))...)
}

// rehearse has the plain implementation go through a recording with the keys, the
// ciphertexts and the salts in it. It wants the same frames, and fills in all that
// comes about on the way.
func rehearse(t *testing.T, r *recording) {
	alice := &plainPerson{sign: ed25519.NewKeyFromSeed(r.A.Sign), agreement: plainX25519(r.A.Agreement)}
	bob := &plainPerson{ed25519.NewKeyFromSeed(r.B.Sign), plainX25519(r.B.Agreement), plainX25519(r.B.Prekey), plainKEM(r.B.KEM)}
	first := r.Frames[0].Frame
	b, _, err := plainAccept(nil, r.Network, bob, first)
	if err != nil {
		t.Fatal(err)
	}
	h := &b.shake
	r.EK, r.CT = plainMap(first[:32]), plainMask(h.MaskKey, first[32:1120])
	a := plainBegin(r.Network, alice, bob.public(), plainX25519(r.Ephemeral), first[:32], h.SS, r.CT)
	if !bytes.Equal(a.prefix, first[:1264]) {
		t.Fatal("the plain implementation begins a hello otherwise")
	}
	r.DH1, r.DH2, r.DH3, r.SS, r.T = h.DH1, h.DH2, h.DH3, h.SS, h.T
	r.MaskKey, r.NameKey, r.SK, r.HKA, r.NHKB = h.MaskKey, h.NameKey, h.SK, h.HKA, h.NHKB

	sides, others := map[string]*plain{"a": a, "b": b}, map[string]*plain{"a": b, "b": a}
	said, chains, chainOf := 0, 0, make(map[string]int)
	say := func(who string) {
		side := sides[who]
		if side.due {
			c := &r.Chains[chains]
			c.From, chainOf[who] = who, chains
			rehearseTurn(side, c, a.decap)
			chains++
		}
		f, c := &r.Frames[said], side.sending
		salt := f.Frame[:32]
		if c.hello {
			salt = f.Frame[1264:1296]
		}
		if !bytes.Equal(side.pack(c, c.n, salt, c.header(c.n), sentence(said)), f.Frame) {
			t.Fatalf("the plain implementation makes frame %d otherwise", said)
		}
		f.Chain, f.PN, f.N, f.Salt, f.MK = chainOf[who], c.pn, c.n, salt, c.key(c.n)
		f.Text = string(bytes.TrimRight(sentence(said), "\x00"))
		c.n++
		said++
	}
	arrives := func(n int) {
		f := &r.Frames[n]
		opened, err := others[r.Chains[f.Chain].From].open(f.Frame)
		if err != nil || !bytes.Equal(opened.body, sentence(n)) {
			t.Fatalf("message %d: %v", n, err)
		}
		if opened.n != f.N || !bytes.Equal(opened.chain.rk, r.Chains[f.Chain].RK) || !bytes.Equal(opened.chain.key(f.N), f.MK) {
			t.Fatalf("message %d has other keys for who hears it", n)
		}
	}
	inOrder(t, r.Order, say, arrives)
}

// rehearseTurn begins a sending chain with recorded keys, and fills in the rest.
func rehearseTurn(side *plain, c *recordedChain, decap *mlkem.DecapsulationKey768) {
	private := plainX25519(c.Private)
	switch {
	case len(c.KEM) > 0:
		side.turn(private, plainKEM(c.KEM), nil, nil)
	case len(c.Ciphertext) > 0:
		c.SS = plainDecapsulate(decap, c.Ciphertext)
		side.turn(private, nil, c.SS, c.Ciphertext)
	default:
		side.turn(private, nil, nil, nil)
	}
	s := side.sending
	c.DH, c.RK, c.CKs, c.NHKs, c.HKs = s.dh, s.rk, s.ck0, s.next, s.hk
}
