package record

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"chatnt/discovery/hashid"

	"github.com/google/go-cmp/cmp"
)

// testUnlisted returns the two copies of an unlisted record, and what finds it.
func testUnlisted(t testing.TB) ([]Copy, Locator) {
	t.Helper()
	r, key := testKeyRecord(t)
	private, link := testLink(6)
	unlisted, err := r.Copies(testNetwork(), key, private)
	if err != nil || len(unlisted) != 2 {
		t.Fatalf("%d copies, %v", len(unlisted), err)
	}
	return unlisted, Locator{Hashid: r.Hashid(), Link: link}
}

// testInner returns the key record inside the unlisted one, changed if there is
// a change.
func testInner(t testing.TB, change func(*KeyRecord)) []byte {
	t.Helper()
	r, key := testKeyRecord(t)
	_, link := testLink(6)
	if change != nil {
		change(r)
	}
	return seal(sealedDomain, sealedContext(testNetwork(), link), r.encode(), key)
}

// sealTest seals any bytes as the person of testUnlisted would.
func sealTest(t testing.TB, inner []byte) []byte {
	t.Helper()
	r, _ := testKeyRecord(t)
	private, _ := testLink(6)
	h := header{sequence: r.Sequence, expires: unix(r.Expires)}
	raw, err := sealFor(place{network: testNetwork(), period: periodOf(h.expires)}, r.Hashid(), private, h, inner)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestGoldenUnlisted(t *testing.T) {
	unlisted, who := testUnlisted(t)
	golden(t, "unlisted.hex", unlisted[0].Value)
	r, _ := testKeyRecord(t)
	inner := testInner(t, nil)
	for i, c := range unlisted {
		plain := plainUnlisted([32]byte(bytes.Repeat([]byte{6}, 32)), testNetwork(), byte(i), r.Hashid(),
			r.Sequence, uint64(r.Expires.Unix()), inner)
		if !bytes.Equal(c.Value, plain) {
			t.Errorf("copy %d differs from that of the plain implementation", i)
		}
		parsed, err := who.Parse(testNetwork(), c.Value)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, parsed); diff != "" {
			t.Errorf("copy %d: what was parsed differs from what was sealed:\n%s", i, diff)
		}
		if err := testValidator().Validate(c.Key, c.Value); err != nil {
			t.Errorf("copy %d: %v", i, err)
		}
		if err := testValidator().Validate(unlisted[1-i].Key, c.Value); !IsForged(err) {
			t.Errorf("copy %d in the other's place: %v", i, err)
		}
	}
	// Another link key seals to other bytes, of the same size.
	private, _ := testLink(7)
	_, key := testKeyRecord(t)
	others, err := r.Copies(testNetwork(), key, private)
	if err != nil || len(others[0].Value) != len(unlisted[0].Value) || others[0].Key == unlisted[0].Key {
		t.Errorf("under another link key: %v", err)
	}
}

func TestUnlistedNeedsWhatBelongsTogether(t *testing.T) {
	r, key := testKeyRecord(t)
	private, _ := testLink(6)
	other, _ := testLink(7)
	halves := append(bytes.Clone(private[:32]), other[32:]...)
	for name, keys := range map[string][2]ed25519.PrivateKey{
		"another's identity key":  {other, private},
		"no identity key":         {nil, private},
		"half a link key":         {key, private[:32]},
		"halves of two link keys": {key, halves},
		"an empty link key":       {key, ed25519.PrivateKey{}},
	} {
		if c, err := r.Copies(testNetwork(), keys[0], keys[1]); err == nil || c != nil {
			t.Errorf("%s: %d copies", name, len(c))
		}
	}
	r.Inbox.Node = hashid.NodeID{}
	if c, err := r.Copies(testNetwork(), key, private); err == nil || c != nil {
		t.Error("a record without an inbox is sealed")
	}
}

func TestListedCopies(t *testing.T) {
	r, key := testKeyRecord(t)
	listed, err := r.Copies(testNetwork(), key, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := r.Sign(testNetwork(), key)
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range KeyRecordKeys(r.Hashid()) {
		if listed[i].Key != k || !bytes.Equal(listed[i].Value, raw) {
			t.Errorf("copy %d is another", i)
		}
	}
	if other, _ := testKey(9); len(listed) != 2 {
		t.Errorf("%d copies", len(listed))
	} else if c, err := r.Copies(testNetwork(), other, nil); err == nil || c != nil {
		t.Error("another's key signs")
	}
}

// Whatever is changed on the way, a node that keeps the record sees it.
func TestUnlistedFlippedOrCut(t *testing.T) {
	unlisted, who := testUnlisted(t)
	raw, key := unlisted[0].Value, unlisted[0].Key
	check := func(what string, raw []byte, want error) {
		t.Helper()
		for name, err := range map[string]error{"Validate": testValidator().Validate(key, raw), "Parse": parseError(who, raw)} {
			if want != nil && !errors.Is(err, want) || want == nil && !IsForged(err) {
				t.Errorf("%s: %s says %v", what, name, err)
			}
		}
	}
	for i := range raw {
		raw[i] ^= 1 << (i % 8)
		if i == 0 {
			check("version", raw, ErrVersion)
		} else {
			check("a flipped bit", raw, nil)
		}
		raw[i] ^= 1 << (i % 8)
	}
	for _, n := range []int{0, 1, 48, 49, 113, len(raw) - 64, len(raw) - 1} {
		check("cut", raw[:n], nil)
	}
	check("a byte behind it", append(bytes.Clone(raw), 0), nil)
	check("a MiB behind it", append(bytes.Clone(raw), make([]byte, 1<<20)...), nil)
}

func parseError(l Locator, raw []byte) error {
	_, err := l.Parse(testNetwork(), raw)
	return err
}

func TestUnlistedOfAnother(t *testing.T) {
	unlisted, who := testUnlisted(t)
	raw, key := unlisted[1].Value, unlisted[1].Key
	other := testNetwork()
	other[5] ^= 1
	if _, err := who.Parse(other, raw); !IsForged(err) {
		t.Errorf("in another network: %v", err)
	}
	if err := (Validator{Network: other, Now: testNow}).Validate(key, raw); !IsForged(err) {
		t.Errorf("a node of another network: %v", err)
	}
	_, link := testLink(7)
	for name, l := range map[string]Locator{
		"with another link key": {Hashid: who.Hashid, Link: link},
		"with another hashid":   {Hashid: hashid.ID{1}, Link: who.Link},
		"with the identity key": {Hashid: who.Hashid, Link: LinkKey(mustIdentity(t))},
		"with what is no key":   {Hashid: who.Hashid, Link: LinkKey{1}},
		"with the blinded key":  {Hashid: who.Hashid, Link: LinkKey(raw[1:33])},
		"with the other copy's": {Hashid: who.Hashid, Link: LinkKey(unlisted[0].Value[1:33])},
	} {
		if r, err := l.Parse(testNetwork(), raw); err == nil || IsForged(err) {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
	if r, err := (Locator{Hashid: who.Hashid}).Parse(testNetwork(), raw); !IsForged(err) {
		t.Errorf("as a listed record: %v, %v", r, err)
	}
	if _, err := ParseKeyRecord(testNetwork(), raw); !IsForged(err) {
		t.Errorf("as a key record: %v", err)
	}
}

func mustIdentity(t testing.TB) [32]byte {
	t.Helper()
	_, public := testKey(1)
	return public
}

// What is inside is good for nothing outside: a holder of the link can neither list
// the person nor pass the record on under a link of their own.
func TestSealedRecordStaysSealed(t *testing.T) {
	unlisted, who := testUnlisted(t)
	h, inner, err := openUnlisted(testNetwork(), who.Hashid, who.Link, unlisted[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	if err := testValidator().Validate(KeyRecordKeys(who.Hashid)[0], inner); !IsForged(err) {
		t.Errorf("what was sealed is taken as a listed record: %v", err)
	}
	if _, err := (Locator{Hashid: who.Hashid}).Parse(testNetwork(), inner); !IsForged(err) {
		t.Errorf("what was sealed is read as a listed record: %v", err)
	}
	theirs, link := testLink(8)
	at := place{network: testNetwork(), period: periodOf(h.expires)}
	raw, err := sealFor(at, who.Hashid, theirs, h, inner)
	if err != nil {
		t.Fatal(err)
	}
	if err := testValidator().Validate(unlistedKey([32]byte(raw[1:33])), raw); err != nil {
		t.Fatalf("the test's own record is not good: %v", err)
	}
	if _, err := (Locator{Hashid: who.Hashid, Link: link}).Parse(testNetwork(), raw); !errors.Is(err, errOtherLink) {
		t.Errorf("passed on under another link: %v", err)
	}
	// Nor is a listed record good inside an unlisted one.
	listed, err := func() ([]byte, error) { r, key := testKeyRecord(t); return r.Sign(testNetwork(), key) }()
	if err != nil {
		t.Fatal(err)
	}
	if err := parseError(who, sealTest(t, listed)); !errors.Is(err, errOtherLink) {
		t.Errorf("a listed record, sealed: %v", err)
	}
}

func TestUnlistedTime(t *testing.T) {
	unlisted, who := testUnlisted(t)
	r, err := who.Parse(testNetwork(), unlisted[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		now  time.Time
		want error
	}{
		{testNow(), nil},
		{testNow().Add(-ClockSkew), nil},
		{testNow().Add(-ClockSkew - time.Second), ErrFuture},
		{testNow().Add(-25 * time.Hour), ErrFuture},
		{testNow().Add(KeyRecordLifetime - time.Second), nil},
		{testNow().Add(KeyRecordLifetime), ErrExpired},
	} {
		v := Validator{Network: testNetwork(), Now: func() time.Time { return test.now }}
		for i, c := range unlisted {
			if err := v.Validate(c.Key, c.Value); !errors.Is(err, test.want) || IsForged(err) {
				t.Errorf("copy %d at %v: %v, want %v", i, test.now, err, test.want)
			}
		}
		if err := r.CheckTime(test.now); !errors.Is(err, test.want) {
			t.Errorf("the record inside at %v: %v, want %v", test.now, err, test.want)
		}
	}
	if at, ok := Expiry(unlisted[0].Key, unlisted[0].Value); !ok || !at.Equal(testNow().Add(KeyRecordLifetime)) {
		t.Errorf("Expiry = %v, %v", at, ok)
	}
}

// A person's newer record replaces the older one, also in a later period, and
// nobody can bring the older one back.
func TestUnlistedNewerWins(t *testing.T) {
	older, who := testUnlisted(t)
	r, key := testKeyRecord(t)
	r.Sequence++
	private, _ := testLink(6)
	newer, err := r.Copies(testNetwork(), key, private)
	if err != nil {
		t.Fatal(err)
	}
	for i := range newer {
		if newer[i].Key != older[i].Key {
			t.Fatal("the newer record is kept elsewhere")
		}
		for order, values := range [][][]byte{{newer[i].Value, older[i].Value}, {older[i].Value, newer[i].Value}} {
			if got, err := testValidator().Select(newer[i].Key, values); err != nil || got != order {
				t.Errorf("Select = %d, %v; want %d", got, err, order)
			}
		}
	}
	// With the sequence put up by somebody who has the link and not its private half.
	forged := bytes.Clone(older[0].Value)
	binary.BigEndian.PutUint64(forged[33:], r.Sequence+1)
	if got, err := testValidator().Select(newer[0].Key, [][]byte{newer[0].Value, forged}); err != nil || got != 0 {
		t.Errorf("Select = %d, %v", got, err)
	}
	r.Expires = r.Expires.Add(-KeyRecordLifetime)
	earlier, err := r.Copies(testNetwork(), key, private)
	if err != nil || earlier[0].Key == newer[0].Key || earlier[1].Key == newer[1].Key {
		t.Errorf("the earlier period has the same places (%v)", err)
	}
	if err := parseError(who, earlier[0].Value); err != nil {
		t.Errorf("of an earlier period: %v", err)
	}
}
