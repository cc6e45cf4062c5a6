package record

import (
	"bytes"
	"crypto/ed25519"
	"testing"

	"chatnt/discovery/hashid"
)

// shareBytes reports whether n bytes in a row of a are anywhere in b.
func shareBytes(a, b []byte, n int) bool {
	for i := 0; i+n <= len(a); i++ {
		if bytes.Contains(b, a[i:i+n]) {
			return true
		}
	}
	return false
}

// All that a storing node is given of an unlisted person, key and value, has none
// of what identifies the person, not six bytes of it, nor of what it takes to read it.
func TestWhatAStoringNodeSees(t *testing.T) {
	r, key := testKeyRecord(t)
	private, link := testLink(6)
	unlisted, err := r.Copies(testNetwork(), key, private)
	if err != nil {
		t.Fatal(err)
	}
	listed, err := r.Sign(testNetwork(), key)
	if err != nil {
		t.Fatal(err)
	}
	id := r.Hashid()
	inner := testInner(t, nil)
	secrets := map[string][]byte{
		"hashid": id[:], "identity key": r.Identity[:], "agreement key": r.Agreement[:], "prekey": r.Prekey.Key[:],
		"KEM prekey": r.KEMPrekey.Key[:], "inbox": r.Inbox.Node[:], "link key": link[:], "seed of the link key": private.Seed(),
		"seed of the identity": key.Seed(), "network": networkBytes(), "signature of the identity": inner[len(inner)-sizeSignature:],
	}
	for i, c := range unlisted {
		seen := append([]byte(c.Key), c.Value...)
		for what, secret := range secrets {
			if shareBytes(secret, seen, 6) {
				t.Errorf("copy %d has bytes of the %s", i, what)
			}
		}
	}
	// The same search finds what a listed record shows.
	for _, what := range []string{"identity key", "agreement key", "prekey", "KEM prekey", "inbox"} {
		if !shareBytes(secrets[what], listed, 6) {
			t.Errorf("the search does not find the %s in a listed record", what)
		}
	}
}

// Two unlisted records of one person, in two networks, under two link keys, in two
// periods or in the two copies, and those of two persons look alike: of one size,
// with nothing in common but the version and the times.
func TestUnlistedRecordsAreNotLinked(t *testing.T) {
	r, key := testKeyRecord(t)
	first, _ := testLink(6)
	second, _ := testLink(7)
	var all [][]byte
	note := func(r *KeyRecord, network [32]byte, key, link ed25519.PrivateKey) {
		unlisted, err := r.Copies(network, key, link)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range unlisted {
			value := bytes.Clone(c.Value)
			clear(value[33:49]) // sequence and expiry
			all = append(all, append([]byte(c.Key[len(unlistedSpace):]), value...))
		}
	}
	note(r, testNetwork(), key, first)
	note(r, testNetwork(), key, second)
	note(r, [32]byte{1}, key, first)
	shorter := *r
	shorter.Expires = r.Expires.Add(-KeyRecordLifetime)
	note(&shorter, testNetwork(), key, first)
	later := *r
	later.Inbox.Node = hashid.NodeID{7}
	later.Sequence++
	other, public := testKey(9)
	later.Identity = public
	third, _ := testLink(8)
	note(&later, testNetwork(), other, third)
	if len(all) != 10 {
		t.Fatalf("%d records", len(all))
	}
	for i, a := range all {
		if len(a) != 32+sizeUnlisted {
			t.Errorf("record %d has %d bytes", i, len(a)-32)
		}
		for j, b := range all[:i] {
			a, b := bytes.Clone(a), bytes.Clone(b)
			header := 32 + sizeHeader
			if shareBytes(a[:32], b, 6) || shareBytes(a[33:65], b, 6) || shareBytes(a[header:], b[header:], 6) {
				t.Errorf("records %d and %d have bytes in common", j, i)
			}
		}
	}
}

// Sealed bytes are as good as random: each bit of them is set about half of the
// time, over records that differ in their sequence alone.
func TestSealedBytesAreLikeRandom(t *testing.T) {
	r, key := testKeyRecord(t)
	private, _ := testLink(6)
	const records = 64
	set := make([]int, 8*sizeUnlisted)
	ones := 0
	for range records {
		r.Sequence++
		unlisted, err := r.Copies(testNetwork(), key, private)
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range unlisted[0].Value[:sizeUnlisted-1] {
			for bit := range 8 {
				if b>>bit&1 == 1 {
					set[8*i+bit]++
				}
			}
		}
	}
	const from, to = 8 * sizeHeader, 8 * (sizeUnlisted - sizeSignature)
	for i := from; i < to; i++ {
		// Six standard deviations of 4: less than one in 10^4 runs would go beyond by chance,
		// and these records are the same in each.
		if set[i] < records/2-24 || set[i] > records/2+24 {
			t.Errorf("bit %d is set in %d of %d records", i, set[i], records)
		}
		ones += set[i]
	}
	if n := records * (to - from); ones < n*499/1000 || ones > n*501/1000 {
		t.Errorf("%d of %d bits are set", ones, n)
	}
}
