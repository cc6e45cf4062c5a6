package node

import (
	"encoding/binary"
	"testing"
	"time"

	"chatnt/discovery/record"
)

// dated reads the sequence and the expiry that everybody sees of a record.
func dated(t *testing.T, c record.Copy) (sequence uint64, expires time.Time) {
	t.Helper()
	expires, ok := record.Expiry(c.Key, c.Value)
	if !ok {
		t.Fatal("a copy has no expiry")
	}
	return binary.BigEndian.Uint64(c.Value[33:41]), expires
}

// What is signed in one instant for who has a link, or takes back what all could read, cannot be told by its sequence or expiry from
// what others sign within the hour; and it counts up all the same.
func TestUnlistedRecordsAreBlurred(t *testing.T) {
	const tries = 300
	now := time.Now()
	clock := uint64(now.Unix())
	var close, paired, whole int // to the second in which it was signed, to the withdrawal
	var least, most time.Duration = time.Hour, 0
	behind := func(sequence uint64) {
		if sequence+10 >= clock {
			close++
		}
		d := time.Duration(clock-sequence) * time.Second
		least, most = min(least, d), max(most, d)
	}
	for range tries {
		n := &Node{profile: testProfile(t), now: func() time.Time { return now }}
		if _, err := n.listedCopies(now.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := n.profile.SetListed(false, now); err != nil {
			t.Fatal(err)
		}
		withdrawal, err := n.listedCopies(now)
		if err != nil {
			t.Fatal(err)
		}
		named, _ := dated(t, withdrawal[0])
		behind(named)
		var last uint64
		for i := range 3 {
			copies, err := n.unlistedCopies(now)
			if err != nil {
				t.Fatal(err)
			}
			sequence, expires := dated(t, copies[0])
			if sequence <= last {
				t.Fatalf("%d comes after %d", sequence, last)
			}
			last = sequence
			if expires.Unix()%3600 == 0 {
				whole++
			}
			if left := expires.Sub(now); left > record.KeyRecordLifetime || left < record.KeyRecordLifetime-2*time.Hour {
				t.Fatalf("the record expires in %v", left)
			}
			if i > 0 {
				continue
			}
			if sequence+10 >= named && sequence <= named+10 {
				paired++
			}
			behind(sequence)
		}
	}
	if whole != 3*tries {
		t.Errorf("%d of %d expire at a whole hour", whole, 3*tries)
	}
	// One in 360 is within ten seconds of the clock by chance, and one in 180 of another: more than so many in one run of 10^7.
	if close > 13 || paired > 12 {
		t.Errorf("%d of %d sequences are that of the clock, and %d of %d that of the withdrawal that was signed with them", close, 2*tries, paired, tries)
	}
	if least > 5*time.Minute || most < 55*time.Minute || most > time.Hour+time.Second {
		t.Errorf("sequences are from %v to %v behind", least, most)
	}
}

// What lies under a link key that is given up is taken back for as long as it was good.
func TestWithdrawalOutlastsBlurredRecords(t *testing.T) {
	now := time.Now()
	n := &Node{profile: testProfile(t), now: func() time.Time { return now }}
	if err := n.profile.SetListed(false, now); err != nil {
		t.Fatal(err)
	}
	before, err := n.unlistedCopies(now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.profile.listing.change(n.profile.vault, func(l listing) (listing, error) { return l.relink(now) }); err != nil {
		t.Fatal(err)
	}
	old, until := dated(t, before[0])
	for _, at := range []time.Duration{0, time.Hour, record.KeyRecordLifetime - 2*time.Hour} {
		copies, err := n.givenUpCopies(now.Add(at))
		if err != nil || len(copies) == 0 {
			t.Fatalf("after %v: %d copies, %v", at, len(copies), err)
		}
		sequence, expires := dated(t, copies[0])
		if sequence <= old || expires.Before(until) || expires.Unix()%3600 != 0 {
			t.Errorf("after %v: sequence %d after %d, until %v after %v", at, sequence, old, expires, until)
		}
		if err := (record.Validator{Network: n.profile.Network().ID(), Now: func() time.Time { return now.Add(at) }}).Validate(copies[0].Key, copies[0].Value); err != nil {
			t.Errorf("after %v: %v", at, err)
		}
	}
	if copies, err := n.givenUpCopies(now.Add(record.KeyRecordLifetime)); err != nil || len(copies) != 0 {
		t.Errorf("after it has expired: %d copies, %v", len(copies), err)
	}
}
