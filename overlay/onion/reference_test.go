package onion

import (
	"bytes"
	"crypto/aes"
	"crypto/sha3"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/curve25519"
	"pgregory.net/rapid"

	"chatnt/discovery/hashid"
)

// This file holds a second implementation of the packet, slow and plain,
// written from the tables of doc.go and sharing no code with the first: numbers
// for offsets, slices for everything, Poly1305 in big integers, the finished
// AEAD of x/crypto, the standard library's X25519, and the filler found by sending a
// blank header along the path.

func refCat(parts ...[]byte) []byte { return slices.Concat(parts...) }

func refXor(a, b []byte) []byte {
	out := make([]byte, len(a))
	for i := range a {
		out[i] = a[i] ^ b[i]
	}
	return out
}

func refLittle(b []byte) *big.Int {
	b = bytes.Clone(b)
	slices.Reverse(b)
	return new(big.Int).SetBytes(b)
}

func refLittle16(n *big.Int) []byte {
	n = new(big.Int).Mod(n, new(big.Int).Lsh(big.NewInt(1), 128))
	b := n.FillBytes(make([]byte, 16))
	slices.Reverse(b)
	return b
}

// refHash is Poly1305 (RFC 8439, section 2.5.1) without the addition of s.
func refHash(r, message []byte) *big.Int {
	clamp, _ := new(big.Int).SetString("0ffffffc0ffffffc0ffffffc0fffffff", 16)
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 130), big.NewInt(5))
	rr := new(big.Int).And(refLittle(r), clamp)
	acc := new(big.Int)
	for len(message) > 0 {
		n := min(16, len(message))
		acc.Add(acc, refLittle(refCat(message[:n], []byte{1})))
		acc.Mul(acc, rr).Mod(acc, p)
		message = message[n:]
	}
	return acc
}

func refStream(key, nonce []byte, n int) []byte {
	c, err := chacha20.NewUnauthenticatedCipher(key, nonce)
	if err != nil {
		panic(err)
	}
	out := make([]byte, n)
	c.XORKeyStream(out, out)
	return out
}

// refHPolyC follows figure 3 of the paper, with an empty tweak.
func refHPolyC(key, block []byte, encrypt bool) []byte {
	derived := refStream(key, refCat([]byte{1}, make([]byte, 23)), 48)
	hash := func(left []byte) *big.Int { return refHash(derived[32:], refCat(make([]byte, 16), left)) }
	cipher, err := aes.NewCipher(derived[:32])
	if err != nil {
		panic(err)
	}
	stream := func(middle []byte, n int) []byte {
		return refStream(key, refCat(middle, []byte{1, 0, 0, 0, 0, 0, 0, 0}), n)
	}

	n := len(block) - 16
	left, right := block[:n], block[n:]
	middle := refLittle16(new(big.Int).Add(refLittle(right), hash(left)))
	other := make([]byte, 16)
	if encrypt {
		cipher.Encrypt(other, middle)
		left = refXor(left, stream(other, n))
	} else {
		left = refXor(left, stream(middle, n))
		cipher.Decrypt(other, middle)
	}
	return refCat(left, refLittle16(new(big.Int).Sub(refLittle(other), hash(left))))
}

func refEncrypt(key, block []byte) []byte { return refHPolyC(key, block, true) }
func refDecrypt(key, block []byte) []byte { return refHPolyC(key, block, false) }

type refKeys struct{ header, payload, tag []byte }

func refDerive(shared, ct, pk []byte) refKeys {
	out := sha3.SumSHAKE256(refCat([]byte("chatnt onion v1 x25519"), shared, ct, pk), 80)
	return refKeys{header: out[:32], payload: out[32:64], tag: out[64:80]}
}

// refPad is the keystream over beta and the pad.
func refPad(headerKey []byte) []byte {
	return refStream(headerKey, make([]byte, 12), 64+288+88)[64:]
}

func refSeal(headerKey, ct, beta []byte) (sealed, gamma []byte) {
	aead, err := chacha20poly1305.New(headerKey)
	if err != nil {
		panic(err)
	}
	out := aead.Seal(nil, make([]byte, 12), beta, ct)
	return out[:288], out[288:]
}

func refRead(random io.Reader, n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(random, b); err != nil {
		panic(err)
	}
	return b
}

// refHeader returns the 336 bytes of a header, and the keys of the hops.
func refHeader(random io.Reader, path []Hop, final []byte) ([]byte, []refKeys) {
	var cts [][]byte
	var keys []refKeys
	for _, hop := range path {
		secret := refRead(random, 32)
		ct, err := curve25519.X25519(secret, curve25519.Basepoint)
		if err != nil {
			panic(err)
		}
		shared, err := curve25519.X25519(secret, hop.Key[:])
		if err != nil {
			panic(err)
		}
		cts = append(cts, ct)
		keys = append(keys, refDerive(shared, ct, hop.Key[:]))
	}
	last := len(path) - 1
	blank := make([]byte, 288)
	for _, k := range keys[:last] {
		blank = refXor(refCat(blank, make([]byte, 88)), refPad(k.header))[88:]
	}
	tail := 88 * last
	padding := refRead(random, 288-24-tail)
	beta := refCat(final, padding, refXor(blank[288-tail:], refPad(keys[last].header)[288-tail:288]))
	beta, gamma := refSeal(keys[last].header, cts[last], beta)
	for i := last - 1; i >= 0; i-- {
		delay := binary.BigEndian.AppendUint32(nil, uint32(path[i].Delay.Milliseconds()))
		block := refCat([]byte{1, 0, 0, 0}, delay, path[i+1].Node[:], gamma, cts[i+1])
		beta, gamma = refSeal(keys[i].header, cts[i], refCat(block, beta[:200]))
	}
	return refCat(cts[0], gamma, beta), keys
}

func refPayload(body []byte) []byte {
	length := []byte{byte(len(body) / 256), byte(len(body) % 256)}
	return refCat(make([]byte, 16), length, body, make([]byte, 3760-18-len(body)))
}

func refBody(delta []byte) ([]byte, error) {
	length := int(delta[16])*256 + int(delta[17])
	if !bytes.Equal(delta[:16], make([]byte, 16)) || length > 3742 || !bytes.Equal(delta, refPayload(delta[18:18+length])) {
		return nil, errors.New("bad payload")
	}
	return delta[18 : 18+length], nil
}

func refWrap(random io.Reader, path []Hop, body []byte) []byte {
	header, keys := refHeader(random, path, refCat([]byte{2}, make([]byte, 23)))
	delta := refPayload(body)
	for _, k := range slices.Backward(keys) {
		delta = refEncrypt(k.payload, delta)
	}
	return refCat(header, delta)
}

type refLayer struct {
	cmd    byte
	tag    []byte
	next   []byte
	delay  time.Duration
	id     []byte
	packet []byte // forward: the next packet; deliver: header as it came, delta in clear; reply: as it came
}

func refUnwrap(secret, packet []byte) (refLayer, error) {
	ct, gamma, beta, delta := packet[:32], packet[32:48], packet[48:336], packet[336:]
	pk, err := curve25519.X25519(secret, curve25519.Basepoint)
	if err != nil {
		return refLayer{}, err
	}
	shared, err := curve25519.X25519(secret, ct)
	if err != nil {
		return refLayer{}, err
	}
	keys := refDerive(shared, ct, pk)
	aead, err := chacha20poly1305.New(keys.header)
	if err != nil {
		return refLayer{}, err
	}
	plain, err := aead.Open(nil, make([]byte, 12), refCat(beta, gamma), ct)
	if err != nil {
		return refLayer{}, err
	}
	l := refLayer{cmd: plain[0], tag: keys.tag}
	zero := func(b []byte) bool { return bytes.Equal(b, make([]byte, len(b))) }
	switch l.cmd {
	case 1:
		ms := binary.BigEndian.Uint32(plain[4:8])
		if !zero(plain[1:4]) || ms > 60000 || zero(plain[8:40]) {
			return refLayer{}, errors.New("bad relay block")
		}
		l.delay, l.next = time.Duration(ms)*time.Millisecond, plain[8:40]
		pad := refPad(keys.header)[288:]
		l.packet = refCat(plain[56:88], plain[40:56], plain[88:], pad, refDecrypt(keys.payload, delta))
	case 2:
		if !zero(plain[1:24]) {
			return refLayer{}, errors.New("bad final block")
		}
		l.packet = refCat(packet[:336], refDecrypt(keys.payload, delta))
	case 3:
		if !zero(plain[1:8]) {
			return refLayer{}, errors.New("bad final block")
		}
		l.id, l.packet = plain[8:24], packet
	default:
		return refLayer{}, fmt.Errorf("command %d", l.cmd)
	}
	return l, nil
}

type refReplyKeys struct {
	relays [][]byte
	seed   []byte
}

func refNewSURB(random io.Reader, path []Hop) (surb, id []byte, keys refReplyKeys) {
	id = refRead(random, 16)
	keys.seed = refRead(random, 32)
	header, hops := refHeader(random, path, refCat([]byte{3}, make([]byte, 7), id))
	for _, k := range hops[:len(hops)-1] {
		keys.relays = append(keys.relays, k.payload)
	}
	return refCat(path[0].Node[:], header, keys.seed), id, keys
}

func refUse(surb, body []byte) []byte {
	return refCat(surb[32:368], refEncrypt(surb[368:], refPayload(body)))
}

func refOpenReply(keys refReplyKeys, delta []byte) ([]byte, error) {
	for _, k := range slices.Backward(keys.relays) {
		delta = refEncrypt(k, delta)
	}
	return refBody(refDecrypt(keys.seed, delta))
}

// expand returns n bytes that depend on seed alone.
func expand(seed uint64, n int) []byte {
	b := make([]byte, n)
	_, _ = source(seed).Read(b)
	return b
}

func source(seed uint64) *sha3.SHAKE {
	h := sha3.NewSHAKE256()
	_, _ = h.Write(binary.BigEndian.AppendUint64([]byte("test"), seed))
	return h
}

func testKey(t testing.TB, secret []byte) *PrivateKey {
	t.Helper()
	k, err := generateKey(bytes.NewReader(secret))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// testPath returns a path of n hops and the secret of each.
func testPath(t testing.TB, seed uint64, n int) (path []Hop, keys []*PrivateKey, secrets [][]byte) {
	t.Helper()
	random := source(seed)
	for i := range n {
		secret := refRead(random, 32)
		k := testKey(t, secret)
		keys, secrets = append(keys, k), append(secrets, secret)
		delay := time.Duration(binary.BigEndian.Uint16(refRead(random, 2))%60001) * time.Millisecond
		if i == n-1 {
			delay = 0
		}
		path = append(path, Hop{Node: hashid.NodeID(refRead(random, 32)), Key: k.Public(), Delay: delay})
	}
	return path, keys, secrets
}

// same fails unless the two implementations read the same from p; it returns
// what became of p in both.
func same(t rapid.TB, k *PrivateKey, secret []byte, p *Packet) (Header, Packet) {
	t.Helper()
	want, refErr := refUnwrap(secret, p[:])
	got, err := k.Open(p)
	if (err == nil) != (refErr == nil) {
		t.Fatalf("Open: %v; the reference: %v", err, refErr)
	}
	if err != nil {
		return got, *p
	}
	if byte(got.Kind) != want.cmd || !bytes.Equal(got.Tag[:], want.tag) || got.Delay != want.delay {
		t.Fatalf("Open and the reference differ: %v, %+v", got, want)
	}
	next := *p
	switch got.Kind {
	case Forward:
		if !bytes.Equal(got.Next[:], want.next) {
			t.Fatal("Open and the reference name different nodes")
		}
		h := got
		h.Strip(&next)
		if !bytes.Equal(next[:], want.packet) {
			t.Fatal("Strip and the reference send on different packets")
		}
	case Deliver:
		h := got
		body, err := h.Deliver(&next)
		wantBody, refErr := refBody(want.packet[336:])
		if (err == nil) != (refErr == nil) || !bytes.Equal(body, wantBody) {
			t.Fatalf("Deliver and the reference differ: %v, %v", err, refErr)
		}
	case Reply:
		if !bytes.Equal(got.Reply[:], want.id) {
			t.Fatal("Open and the reference read different SURB ids")
		}
	}
	return got, next
}

// TestAgainstReference wraps, unwraps at each hop, makes, uses and opens reply
// blocks with both implementations, and wants the same bytes everywhere.
func TestAgainstReference(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		n := rapid.IntRange(1, Layers).Draw(rt, "hops")
		body := expand(seed+1, rapid.IntRange(0, BodySize).Draw(rt, "body"))
		path, keys, secrets := testPath(t, seed, n)

		var p Packet
		if err := wrap(source(seed+2), &p, path, body); err != nil {
			rt.Fatal(err)
		}
		if !bytes.Equal(p[:], refWrap(source(seed+2), path, body)) {
			rt.Fatal("Wrap and the reference differ")
		}
		for i := range path {
			_, p = same(rt, keys[i], secrets[i], &p)
		}

		surb, id, reply, err := newSURB(source(seed+3), path)
		if err != nil {
			rt.Fatal(err)
		}
		refSURB, refID, refReply := refNewSURB(source(seed+3), path)
		if !bytes.Equal(surb[:], refSURB) || !bytes.Equal(id[:], refID) {
			rt.Fatal("NewSURB and the reference differ")
		}
		if err := surb.Use(&p, body); err != nil {
			rt.Fatal(err)
		}
		if !bytes.Equal(p[:], refUse(refSURB, body)) {
			rt.Fatal("Use and the reference differ")
		}
		for i := range path {
			_, p = same(rt, keys[i], secrets[i], &p)
		}
		want, err := refOpenReply(refReply, p[336:])
		if err != nil || !bytes.Equal(want, body) {
			rt.Fatalf("the reference opens a reply to %d bytes, %v", len(want), err)
		}
		got, err := reply.Open(p.Payload())
		if err != nil || !bytes.Equal(got, body) {
			rt.Fatalf("Open gives %d bytes, %v", len(got), err)
		}
	})
}

// TestAgainstReferenceDamaged wants both to refuse the same packets.
func TestAgainstReferenceDamaged(t *testing.T) {
	path, keys, secrets := testPath(t, 5, Layers)
	var good Packet
	if err := wrap(source(6), &good, path, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		p := good
		bit := rapid.IntRange(0, 8*Size-1).Draw(rt, "bit")
		p[bit/8] ^= 1 << (bit % 8)
		for i := range path {
			_, p = same(rt, keys[i], secrets[i], &p)
		}
	})
}
