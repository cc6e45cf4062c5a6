package node

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"chatnt/discovery/record"
	"chatnt/node/vault"
)

func seeded(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func exampleListing() listing {
	at := time.Unix(1_800_000_000, 0) // 0x6b49d200
	return listing{hidden: at, link: seeded(1), past: []pastLink{{seeded(2), at.Add(-time.Hour)}, {seeded(3), at.Add(-2 * time.Hour)}}}
}

func TestStoredListing(t *testing.T) {
	want, err := os.ReadFile("testdata/listing.hex")
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(exampleListing().append(nil)); got != strings.TrimSpace(string(want)) {
		t.Errorf("stored as\n%s\nwant\n%s", got, want)
	}
	l := exampleListing()
	for name, change := range map[string]func([]byte) []byte{
		"empty":                     func([]byte) []byte { return nil },
		"short":                     func(b []byte) []byte { return b[:len(b)-1] },
		"long":                      func(b []byte) []byte { return append(b, 0) },
		"another version":           func(b []byte) []byte { b[0] = 2; return b },
		"a flag that there is not":  func(b []byte) []byte { b[1] |= 4; return b },
		"listed, and taken back":    func(b []byte) []byte { b[1] |= 1; return b },
		"signed since taken back":   func(b []byte) []byte { b[1] |= 2; return b },
		"hidden at no date":         func(b []byte) []byte { b[2] = 1; return b },
		"not listed, and no link":   func(b []byte) []byte { b[10] = 0; return b[:11] },
		"more link keys than there": func(b []byte) []byte { b[10] = 4; return b },
		"too many link keys": func(b []byte) []byte {
			b[10] = 1 + maxGivenUp + 1
			for range maxGivenUp {
				b = append(b, b[51:91]...)
			}
			return b[:11+40*(1+maxGivenUp+1)]
		},
		"the first link given up":    func(b []byte) []byte { b[50] = 1; return b },
		"the second link not":        func(b []byte) []byte { clear(b[83:91]); return b },
		"a link given up at no date": func(b []byte) []byte { b[83] = 1; return b },
	} {
		if got, err := parseListing(change(l.append(nil))); err == nil {
			t.Errorf("%s: read as %+v", name, got)
		}
	}
}

func FuzzStoredListing(f *testing.F) {
	f.Add(exampleListing().append(nil))
	f.Add(listing{listed: true}.append(nil))
	f.Add(listing{listed: true, signed: true, link: seeded(1)}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := parseListing(b)
		if err != nil {
			return
		}
		if again := l.append(nil); !bytes.Equal(again, b) {
			t.Errorf("%x is written again as %x", b, again)
		}
		if !l.listed && l.linkKey().IsZero() || len(l.past) > maxGivenUp {
			t.Errorf("nobody is listed like this: %+v", l)
		}
	})
}

// lists changes a profile's listing at a time.
func lists(t *testing.T, p *Profile, now time.Time, to func(listing) (listing, error)) listing {
	t.Helper()
	l, err := p.listing.change(p.vault, func(l listing) (listing, error) { return to(l.settled(now)) })
	if err != nil {
		t.Fatal(err)
	}
	again := Profile{vault: p.vault}
	if err := again.load(); err != nil {
		t.Fatal(err)
	}
	if kept := again.listing.now(); !bytes.Equal(kept.append(nil), l.append(nil)) {
		t.Errorf("%x is kept as %x", l.append(nil), kept.append(nil))
	}
	return l
}

func TestListing(t *testing.T) {
	p, now := testProfile(t), time.Unix(1_800_000_000, 0)
	on := func(l listing) (listing, error) { return l.with(true, now) }
	off := func(l listing) (listing, error) { return l.with(false, now) }
	sign := func(l listing) (listing, error) { l.signed = true; return l, nil }
	if l := p.listing.now(); !l.listed || l.signed || !l.linkKey().IsZero() {
		t.Fatalf("a new person is %+v", l)
	}
	// Who was never published as listed has nothing to take back.
	never := lists(t, p, now, off)
	if never.listed || !never.hidden.IsZero() || never.linkKey().IsZero() || never.linkKey().Check() != nil {
		t.Errorf("%+v", never)
	}
	if l := lists(t, p, now, on); !l.listed || l.linkKey() != never.linkKey() {
		t.Error("the link key did not stay")
	}
	lists(t, p, now, sign)
	now = now.Add(time.Hour)
	if l := lists(t, p, now, off); !l.hidden.Equal(now) || l.signed || l.linkKey() != never.linkKey() {
		t.Errorf("%+v", l)
	}
	// Listed again for a moment, in which nothing was signed: the first record may still be kept.
	now = now.Add(time.Hour)
	lists(t, p, now, on)
	if l := lists(t, p, now, off); !l.hidden.Equal(now) {
		t.Errorf("it was taken back at %v", l.hidden)
	}
	since := now
	now = since.Add(record.KeyRecordLifetime)
	if l := lists(t, p, now, off); !l.hidden.Equal(since) {
		t.Error("the withdrawal ends before the record has expired")
	}
	now = now.Add(time.Second)
	if l := lists(t, p, now, off); !l.hidden.IsZero() {
		t.Errorf("it is withdrawn since %v, at %v", l.hidden, now)
	}
	// A clock that was wrong when it was taken back does not have it withdrawn for years.
	lists(t, p, now, on)
	lists(t, p, now, sign)
	wrong := now.Add(1000 * 24 * time.Hour)
	lists(t, p, wrong, func(l listing) (listing, error) { return l.with(false, wrong) })
	if l := lists(t, p, now, off); !l.hidden.Equal(now) {
		t.Errorf("it is withdrawn since %v, at %v", l.hidden, now)
	}
}

func TestLinksAreGivenUp(t *testing.T) {
	p, now := testProfile(t), time.Unix(1_800_000_000, 0)
	lists(t, p, now, func(l listing) (listing, error) { return l.with(false, now) })
	anew := func(l listing) (listing, error) { return l.relink(now) }
	seen := map[record.LinkKey]bool{p.listing.now().linkKey(): true}
	for i := range maxGivenUp {
		l := lists(t, p, now, anew)
		if seen[l.linkKey()] || len(l.past) != i+1 || !seen[record.LinkKey(l.past[0].key[32:])] {
			t.Errorf("after %d: %d are withdrawn", i+1, len(l.past))
		}
		seen[l.linkKey()] = true
		now = now.Add(time.Hour)
	}
	if _, err := p.listing.change(p.vault, anew); err == nil || !strings.Contains(err.Error(), "no more before") {
		t.Errorf("one too many: %v", err)
	}
	// The first two weeks are over.
	now = time.Unix(1_800_000_000, 0).Add(record.KeyRecordLifetime + time.Second)
	if l := lists(t, p, now, anew); len(l.past) != maxGivenUp || l.past[0].since.After(now) {
		t.Errorf("%d are withdrawn", len(l.past))
	}
	// Of a clock that was wrong.
	early := now.Add(-365 * 24 * time.Hour)
	for _, past := range lists(t, p, early, func(l listing) (listing, error) { return l, nil }).past {
		if past.since.After(early) {
			t.Errorf("one is given up at %v, at %v", past.since, early)
		}
	}
}

// What cannot be stored has not happened.
func TestListingThatCannotBeStored(t *testing.T) {
	p := testProfile(t)
	good := p.vault
	p.vault = closedVault()
	if err := p.SetListed(false, time.Now()); !errors.Is(err, vault.ErrClosed) || !p.Listed() {
		t.Errorf("listed %v: %v", p.Listed(), err)
	}
	p.vault = good
	if err := p.SetListed(true, time.Now()); err != nil || len(listingEntry(t, good)) != 0 {
		t.Errorf("nothing changed, and it is stored: %v", err)
	}
}

func listingEntry(t *testing.T, v *vault.Vault) (raw []byte) {
	t.Helper()
	_ = v.View(func(tx *vault.Tx) error {
		raw, _ = tx.Get(bucketProfile, keyListing)
		return nil
	})
	return raw
}

// A profile of before there were listings may have published a listed record.
func TestListingOfAnOlderProfile(t *testing.T) {
	p := testProfile(t)
	if _, err := p.nextSequence(sequencePerson, time.Now()); err != nil {
		t.Fatal(err)
	}
	again := Profile{vault: p.vault}
	if err := again.load(); err != nil {
		t.Fatal(err)
	}
	if err := again.SetListed(false, time.Now()); err != nil || again.listing.now().hidden.IsZero() {
		t.Errorf("nothing is taken back: %v", err)
	}
}

func TestDamagedListing(t *testing.T) {
	p := testProfile(t)
	err := p.vault.Update(func(tx *vault.Tx) error { return tx.Put(bucketProfile, keyListing, []byte{listingVersion}) })
	if err != nil {
		t.Fatal(err)
	}
	again := Profile{vault: p.vault}
	if err := again.load(); !errors.Is(err, errListing) {
		t.Errorf("it is read: %v", err)
	}
}

// whoever is what a reader makes of copies.
func whoever(p *Profile, copies []record.Copy, at record.Locator, now time.Time) string {
	at.Hashid = p.Hashid()
	places, err := at.Places(p.network.ID(), now)
	if err != nil {
		return err.Error()
	}
	for _, pair := range places {
		for _, c := range copies {
			if c.Key != pair[0] && c.Key != pair[1] {
				continue
			}
			if err := (record.Validator{Network: p.network.ID(), Now: func() time.Time { return now }}).Validate(c.Key, c.Value); err != nil {
				return "nobody keeps it: " + err.Error()
			}
			rec, err := at.Parse(p.network.ID(), c.Value)
			switch {
			case errors.Is(err, record.ErrWithdrawn):
				return "withdrawn"
			case err != nil:
				return err.Error()
			case rec.Inbox.Node != p.Node():
				return "found elsewhere"
			}
			return "found"
		}
	}
	return "nothing"
}

// standing is what a node publishes of its person, and whom that is found by.
func standing(t *testing.T, n *Node, now time.Time) string {
	t.Helper()
	p := n.profile
	var all []record.Copy
	for _, pub := range n.keyRecordPublications() {
		copies, err := pub.Copies(now)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range copies {
			expires, ok := record.Expiry(c.Key, c.Value)
			if !ok || expires.After(now.Add(record.KeyRecordLifetime)) {
				t.Errorf("it expires at %v, at %v", expires, now)
			}
		}
		all = append(all, copies...)
	}
	l := p.listing.now()
	said := fmt.Sprintf("by the hashid %s", whoever(p, all, record.Locator{}, now))
	if l.link != nil {
		said += fmt.Sprintf(", by the link %s", whoever(p, all, record.Locator{Link: l.linkKey()}, now))
	}
	for _, past := range l.settled(now).past {
		said += fmt.Sprintf(", by an old one %s", whoever(p, all, record.Locator{Link: record.LinkKey(past.key[32:])}, now))
	}
	return fmt.Sprintf("%s; %d copies", said, len(all))
}

// What is published, and whom it is found by, through the life of a listing.
func TestWhatIsPublished(t *testing.T) {
	p, now := testProfile(t), time.Now().Truncate(time.Second)
	n := &Node{profile: p, now: func() time.Time { return now }}
	var listed, unlisted []uint64
	expect := func(want string) {
		t.Helper()
		if got := standing(t, n, now); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		for count, list := range map[string]*[]uint64{sequencePerson: &listed, sequenceUnlisted: &unlisted} {
			last, err := p.sequence(count)
			if err != nil {
				t.Fatal(err)
			}
			*list = append(*list, last)
		}
	}
	change := func(to func(listing) (listing, error)) {
		t.Helper()
		now = now.Add(time.Minute)
		lists(t, p, now, to)
	}
	off := func(l listing) (listing, error) { return l.with(false, now) }
	on := func(l listing) (listing, error) { return l.with(true, now) }
	anew := func(l listing) (listing, error) { return l.relink(now) }

	expect("by the hashid found; 2 copies")
	change(off)
	expect("by the hashid withdrawn, by the link found; 4 copies")
	now = now.Add(record.KeyRecordLifetime - time.Minute)
	expect("by the hashid withdrawn, by the link found; 4 copies")
	now = now.Add(2 * time.Minute)
	expect("by the hashid nothing, by the link found; 2 copies")
	change(anew)
	expect("by the hashid nothing, by the link found, by an old one withdrawn; 4 copies")
	change(on)
	expect("by the hashid found, by the link found, by an old one withdrawn; 6 copies")
	change(off)
	now = now.Add(record.KeyRecordLifetime - 2*blurExpiry)
	expect("by the hashid withdrawn, by the link found, by an old one withdrawn; 6 copies")
	now = now.Add(2 * record.KeyRecordLifetime)
	expect("by the hashid nothing, by the link found; 2 copies")
	for i := range listed[1:] {
		if listed[i+1] < listed[i] || unlisted[i+1] <= unlisted[i] {
			t.Fatalf("the sequences are %v and %v", listed, unlisted)
		}
	}
}

// A copy of a profile that others have seen newer records of signs beyond them, listed or not.
func TestOutpacedListings(t *testing.T) {
	now := time.Now()
	newer := func(n *Node, copies func(time.Time) ([]record.Copy, error)) []byte {
		t.Helper()
		for range 3 {
			if _, err := copies(now); err != nil {
				t.Fatal(err)
			}
		}
		all, err := copies(now)
		if err != nil {
			t.Fatal(err)
		}
		return all[0].Value
	}
	for name, prepare := range map[string]func(*Node) (found []byte, outdated func([]byte) bool){
		"listed": func(n *Node) ([]byte, func([]byte) bool) { return newer(n, n.listedCopies), n.olderKeyRecord },
		"withdrawn": func(n *Node) ([]byte, func([]byte) bool) {
			newer(n, n.listedCopies)
			if err := n.profile.SetListed(false, now); err != nil {
				t.Fatal(err)
			}
			return newer(n, n.listedCopies), n.olderKeyRecord
		},
		"unlisted": func(n *Node) ([]byte, func([]byte) bool) {
			if err := n.profile.SetListed(false, now); err != nil {
				t.Fatal(err)
			}
			return newer(n, n.unlistedCopies), n.olderUnlisted
		},
	} {
		n := &Node{profile: testProfile(t), now: func() time.Time { return now }}
		found, outdated := prepare(n)
		if outdated(found) {
			t.Errorf("%s: its own newest is newer", name)
		}
		count := sequencePerson
		if name == "unlisted" {
			count = sequenceUnlisted
		}
		last, err := n.profile.sequence(count)
		if err != nil {
			t.Fatal(err)
		}
		err = n.profile.vault.Update(func(tx *vault.Tx) error { return tx.Delete(bucketProfile, keySequence+count) })
		if err != nil {
			t.Fatal(err)
		}
		if !outdated(found) || outdated(found) {
			t.Errorf("%s: it is not beyond what an older copy has", name)
		}
		if next, err := n.profile.nextSequence(count, now); err != nil || next <= last {
			t.Errorf("%s: the next is %d after %d: %v", name, next, last, err)
		}
		if outdated(nil) || outdated(found[:100]) {
			t.Errorf("%s: rubbish is newer", name)
		}
	}
}
