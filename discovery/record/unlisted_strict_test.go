package record

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"testing"
	"time"
)

// Only what sealing writes is read, also from somebody who has the private half.
func TestUnlistedIsStrict(t *testing.T) {
	r, _ := testKeyRecord(t)
	_, link := testLink(6)
	who := Locator{Hashid: r.Hashid(), Link: link}
	if err := parseError(who, sealTest(t, testInner(t, nil))); err != nil {
		t.Fatalf("what the test seals is not good: %v", err)
	}
	version2 := testInner(t, nil)
	version2[0]++
	if err := parseError(who, sealTest(t, version2)); !errors.Is(err, ErrVersion) {
		t.Errorf("another version inside: %v", err)
	}
	private, _ := testLink(6)
	h := header{sequence: r.Sequence, expires: unix(r.Expires)}
	if raw, err := sealFor(place{}, r.Hashid(), private, h, make([]byte, maxSealed+1)); err == nil || raw != nil {
		t.Error("more is sealed than there is room for")
	}
	for name, inner := range map[string][]byte{
		"nothing":             nil,
		"version and zeros":   append([]byte{version}, make([]byte, maxSealed-1)...),
		"cut short":           testInner(t, nil)[:1000],
		"another sequence":    testInner(t, func(r *KeyRecord) { r.Sequence++ }),
		"another expiry":      testInner(t, func(r *KeyRecord) { r.Expires = r.Expires.Add(-time.Second) }),
		"not a key":           testInner(t, func(r *KeyRecord) { r.Agreement = [32]byte{} }),
		"a byte behind it":    append(testInner(t, nil), 0),
		"another's signature": otherInner(t),
	} {
		if err := parseError(who, sealTest(t, inner)); !errors.Is(err, errOtherLink) || IsForged(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// otherInner is a record of another identity, which is all right by itself.
func otherInner(t testing.TB) []byte {
	t.Helper()
	r, _ := testKeyRecord(t)
	key, public := testKey(9)
	r.Identity = public
	_, link := testLink(6)
	return seal(sealedDomain, sealedContext(testNetwork(), link), r.encode(), key)
}

// A record whose length, padding or nonce is not as sealing writes it, from somebody
// who has the private half, and one filed in a period that is not its own.
func TestUnlistedHasOneEncoding(t *testing.T) {
	r, _ := testKeyRecord(t)
	private, link := testLink(6)
	who := Locator{Hashid: r.Hashid(), Link: link}
	inner := testInner(t, nil)
	good := place{network: testNetwork(), period: periodOf(unix(r.Expires))}
	for name, test := range map[string]struct {
		at     place
		change func(plaintext []byte)
		nonce  byte
		ok     bool
	}{
		"as it is":            {at: good, ok: true},
		"padding":             {at: good, change: func(p []byte) { p[len(p)-1] = 1 }},
		"padding at once":     {at: good, change: func(p []byte) { p[2+len(inner)] = 0x80 }},
		"length too long":     {at: good, change: func(p []byte) { binary.BigEndian.PutUint16(p, maxSealed+1) }},
		"length of all ones":  {at: good, change: func(p []byte) { p[0], p[1] = 0xff, 0xff }},
		"length a byte short": {at: good, change: func(p []byte) { binary.BigEndian.PutUint16(p, uint16(len(inner)-1)) }},
		"another nonce":       {at: good, nonce: 1},
		"the next period":     {at: place{network: testNetwork(), period: good.period + 1}},
		"a third copy":        {at: place{network: testNetwork(), period: good.period, copy: copies}},
	} {
		raw := sealByHand(t, test.at, r, private, inner, test.change, test.nonce)
		if err := testValidator().Validate(unlistedKey([32]byte(raw[1:33])), raw); err != nil {
			t.Fatalf("%s: a node would not keep it: %v", name, err)
		}
		if err := parseError(who, raw); test.ok && err != nil || !test.ok && !errors.Is(err, errOtherLink) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// sealByHand does as sealFor does, but changes the plaintext and the nonce.
func sealByHand(t testing.TB, at place, r *KeyRecord, private ed25519.PrivateKey, inner []byte, change func([]byte), nonce byte) []byte {
	t.Helper()
	key := blindPrivate(private, at)
	keys, err := deriveSealing(LinkKey(private[32:]), r.Hashid(), key.public)
	if err != nil {
		t.Fatal(err)
	}
	plaintext := make([]byte, sizePlaintext)
	binary.BigEndian.PutUint16(plaintext, uint16(len(inner)))
	copy(plaintext[2:], inner)
	if change != nil {
		change(plaintext)
	}
	b := header{key.public, r.Sequence, unix(r.Expires)}.append(nil)
	n := keys.nonceOf(b, plaintext)
	n[0] ^= nonce
	b = append(b, n[:]...)
	b = mustAEAD(t, keys).Seal(b, n[:], plaintext, b[:sizeHeader])
	return append(b, key.sign(signed(unlistedDomain, networkBytes(), b))...)
}

// A key of small order lets anybody sign anything: such a record is not kept.
func TestUnlistedUnderKeysOfSmallOrder(t *testing.T) {
	c := newPlainCurve()
	r, _ := testKeyRecord(t)
	refused := 0
	for i, small := range c.torsion() {
		raw := header{c.encode(small), r.Sequence, unix(r.Expires)}.append(nil)
		raw = append(raw, make([]byte, sizeUnlisted-len(raw))...)
		// R = B, S = 1 verifies where the challenge makes the key's part vanish.
		for tries := range 200 {
			binary.BigEndian.PutUint32(raw[sizeHeader:], uint32(tries))
			signature := append(toBytes(c.encode(c.base())), append([]byte{1}, make([]byte, 31)...)...)
			copy(raw[sizeUnlisted-sizeSignature:], signature)
			body := raw[:sizeUnlisted-sizeSignature]
			if ed25519.Verify(raw[1:33], signed(unlistedDomain, networkBytes(), body), signature) {
				if err := testValidator().Validate(unlistedKey([32]byte(raw[1:33])), raw); !IsForged(err) {
					t.Errorf("%d times a point of order 8, signed by nobody: %v", i, err)
				}
				refused++
				break
			}
		}
	}
	if refused != 8 {
		t.Errorf("the signature is good under %d of 8 points: the test shows less than it should", refused)
	}
}

func toBytes(b [32]byte) []byte { return b[:] }
