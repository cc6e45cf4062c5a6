package record

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"chatnt/discovery/hashid"
)

func TestPlacesOfAListedPerson(t *testing.T) {
	who := Locator{Hashid: hashid.ID{1}}
	for _, now := range []time.Time{{}, testNow()} {
		got, err := who.Places(testNetwork(), now)
		if err != nil || len(got) != 1 || got[0] != KeyRecordKeys(who.Hashid) {
			t.Errorf("Places = %q, %v", got, err)
		}
	}
	if got, err := (Locator{Link: LinkKey{1}}).Places(testNetwork(), testNow()); err == nil {
		t.Errorf("Places with what is no link key = %q", got)
	}
}

// Whenever a record was signed, by clocks that differ as those of honest nodes may,
// a reader finds it in the first two places while it lives: at the first try
// if it was signed a little while ago, always but for its last ten minutes.
func TestPlacesCoverARecordsLife(t *testing.T) {
	private, link := testLink(6)
	r, key := testKeyRecord(t)
	who := Locator{Hashid: r.Hashid(), Link: link}
	boundary := time.Unix(int64(seconds(KeyRecordLifetime))*1489, 0).UTC()
	const life = KeyRecordLifetime
	for _, signed := range []time.Duration{
		0, time.Second, -time.Second, -life + time.Second, -life / 2, -ClockSkew, ClockSkew, ClockSkew + time.Second, -ClockSkew - time.Second,
	} {
		made := boundary.Add(signed)
		r.Sequence, r.Expires = unix(made), made.Add(life)
		unlisted, err := r.Copies(testNetwork(), key, private)
		if err != nil {
			t.Fatal(err)
		}
		for _, age := range []time.Duration{
			-ClockSkew, -time.Second, 0, time.Second, ClockSkew, time.Hour, life / 2, life - 2*ClockSkew, life - ClockSkew - time.Second,
		} {
			pairs, err := who.Places(testNetwork(), made.Add(age))
			if err != nil || len(pairs) != 2 {
				t.Fatalf("Places = %d pairs, %v", len(pairs), err)
			}
			found := slices.IndexFunc(pairs, func(pair [copies]string) bool {
				return pair == [copies]string{unlisted[0].Key, unlisted[1].Key}
			})
			if found < 0 {
				t.Errorf("signed %v from the boundary, not found %v later", signed, age)
			}
		}
	}
}

// What is published again and again is in the first places at once, but for the
// minutes that clocks may differ by.
func TestFirstPlaceIsTheNewest(t *testing.T) {
	private, link := testLink(6)
	r, key := testKeyRecord(t)
	who := Locator{Hashid: r.Hashid(), Link: link}
	first := 0
	for hour := range 24 * 15 {
		now := testNow().Add(time.Duration(hour) * time.Hour)
		r.Expires = now.Add(KeyRecordLifetime)
		unlisted, err := r.Copies(testNetwork(), key, private)
		if err != nil {
			t.Fatal(err)
		}
		pairs, err := who.Places(testNetwork(), now)
		if err != nil {
			t.Fatal(err)
		}
		if pairs[0][0] == unlisted[0].Key {
			first++
		}
	}
	if first < 24*15-1 {
		t.Errorf("in the first place at %d of %d hours", first, 24*15)
	}
}

func TestParseOfAListedPerson(t *testing.T) {
	r, key := testKeyRecord(t)
	raw, err := r.Sign(testNetwork(), key)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := (Locator{Hashid: r.Hashid()}).Parse(testNetwork(), raw); err != nil || got.Hashid() != r.Hashid() {
		t.Errorf("%v", err)
	}
	if got, err := (Locator{Hashid: hashid.ID{1}}).Parse(testNetwork(), raw); got != nil || !IsForged(err) {
		t.Errorf("another's: %v, %v", got, err)
	}
	_, link := testLink(6)
	if got, err := (Locator{Hashid: r.Hashid(), Link: link}).Parse(testNetwork(), raw); got != nil || !IsForged(err) {
		t.Errorf("a listed record where an unlisted one is looked for: %v, %v", got, err)
	}
	raw[0]++
	if got, err := (Locator{Hashid: r.Hashid()}).Parse(testNetwork(), raw); got != nil || !errors.Is(err, ErrVersion) {
		t.Errorf("another version: %v, %v", got, err)
	}
}

// A withdrawal takes the place of the record, listed or not, and has nothing of it.
func TestWithdrawal(t *testing.T) {
	r, key := testKeyRecord(t)
	private, link := testLink(6)
	for name, test := range map[string]struct {
		who  Locator
		link []byte
	}{
		"listed":   {Locator{Hashid: r.Hashid()}, nil},
		"unlisted": {Locator{Hashid: r.Hashid(), Link: link}, private},
	} {
		before, err := r.Copies(testNetwork(), key, test.link)
		if err != nil {
			t.Fatal(err)
		}
		gone, err := Withdrawal(r.Identity, r.Sequence+1, r.Expires)
		if err != nil {
			t.Fatal(err)
		}
		if !gone.Withdrawn() || r.Withdrawn() {
			t.Errorf("%s: a withdrawal is not told from a record", name)
		}
		if gone.Agreement == r.Agreement || gone.Prekey.Key == r.Prekey.Key || gone.KEMPrekey.Key == r.KEMPrekey.Key {
			t.Errorf("%s: it has keys of the record", name)
		}
		after, err := gone.Copies(testNetwork(), key, test.link)
		if err != nil {
			t.Fatal(err)
		}
		for i := range after {
			if after[i].Key != before[i].Key {
				t.Errorf("%s: it is kept elsewhere", name)
			}
			if got, err := testValidator().Select(after[i].Key, [][]byte{before[i].Value, after[i].Value}); err != nil || got != 1 {
				t.Errorf("%s: Select = %d, %v; want the withdrawal", name, got, err)
			}
			if got, err := test.who.Parse(testNetwork(), after[i].Value); got != nil || !errors.Is(err, ErrWithdrawn) {
				t.Errorf("%s: Parse = %v, %v", name, got, err)
			}
		}
		if test.link == nil && bytes.Contains(after[0].Value, bytes.Repeat([]byte{0xaa}, 32)) {
			t.Errorf("%s: it names the inbox", name)
		}
	}
	again, err := Withdrawal(r.Identity, r.Sequence+1, r.Expires)
	if other, err2 := Withdrawal(r.Identity, r.Sequence+1, r.Expires); err != nil || err2 != nil || again.Agreement == other.Agreement {
		t.Errorf("two withdrawals have the same keys (%v, %v)", err, err2)
	}
}
