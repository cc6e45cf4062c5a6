package record

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"chatnt/discovery/hashid"
)

func testValidator() Validator { return Validator{Network: testNetwork(), Now: testNow} }

func TestDHTKeys(t *testing.T) {
	id := hashid.ID(bytes.Repeat([]byte{'/'}, 32)) // raw bytes may be anything
	keys := KeyRecordKeys(id)
	for salt, want := range []string{"/key/\x00" + strings.Repeat("/", 32), "/key/\x01" + strings.Repeat("/", 32)} {
		if keys[salt] != want {
			t.Errorf("KeyRecordKeys[%d] = %q, want %q", salt, keys[salt], want)
		}
		if !IsPersonKey(keys[salt]) || IsPersonKey(keys[salt]+"/") || IsPersonKey(keys[salt][1:]) {
			t.Errorf("%q is no person's key, or what is like it is one", keys[salt])
		}
		if !IsKey(keys[salt]) || IsKey(keys[salt]+"/") || IsKey(keys[salt][1:]) {
			t.Errorf("%q is no key, or what is like it is one", keys[salt])
		}
		if kind, owner, ok := parseKey(keys[salt]); !ok || kind != kindKeyRecord || owner != id {
			t.Errorf("parseKey(%q) = %v, %x, %v", keys[salt], kind, owner, ok)
		}
	}
	if got, want := DescriptorKey(hashid.NodeID(id)), "/relay/"+strings.Repeat("/", 32); got != want {
		t.Errorf("DescriptorKey = %q, want %q", got, want)
	}
	if !IsKey(unlistedKey(id)) || !IsKey(DescriptorKey(hashid.NodeID(id))) || IsKey("") {
		t.Error("an unlisted person's key is none, or a relay's, or nothing is one")
	}
	if !IsPersonKey(unlistedKey(id)) || IsPersonKey(DescriptorKey(hashid.NodeID(id))) || IsPersonKey("") {
		t.Error("an unlisted person's key is none, or a relay's is one")
	}
}

func TestValidate(t *testing.T) {
	r, key := testKeyRecord(t)
	d, node := testDescriptor(t)
	r.Expires, d.Expires = testNow().Add(time.Minute), testNow().Add(time.Minute)
	person, err := r.Sign(testNetwork(), key)
	if err != nil {
		t.Fatal(err)
	}
	relay, err := d.Sign(testNetwork(), node)
	if err != nil {
		t.Fatal(err)
	}
	personKeys, relayKey := KeyRecordKeys(r.Hashid()), DescriptorKey(d.ID())
	otherVersion := bytes.Clone(person)
	otherVersion[0]++

	forgery := errors.New("a forgery")
	for _, test := range []struct {
		name  string
		key   string
		value []byte
		want  error
	}{
		{"key record", personKeys[0], person, nil},
		{"its other key", personKeys[1], person, nil},
		{"descriptor", relayKey, relay, nil},
		{"third salt", "/key/\x02" + personKeys[0][6:], person, forgery},
		{"no salt", "/key/" + personKeys[0][6:], person, forgery},
		{"short key", personKeys[0][:37], person, forgery},
		{"long key", personKeys[0] + "x", person, forgery},
		{"no key", "", person, forgery},
		{"unknown name space", "/pk/" + relayKey[7:], relay, forgery},
		{"another's key", KeyRecordKeys(hashid.ID{1})[0], person, forgery},
		{"another node's key", DescriptorKey(hashid.NodeID{1}), relay, forgery},
		{"key record under its descriptor key", DescriptorKey(hashid.NodeID(r.Hashid())), person, forgery},
		{"descriptor under its person's key", KeyRecordKeys(hashid.ID(d.ID()))[0], relay, forgery},
		{"nothing", relayKey, nil, forgery},
		{"oversize", relayKey, make([]byte, MaxDescriptor+1), forgery},
		{"oversize key record", personKeys[0], make([]byte, MaxKeyRecord+1), forgery},
		{"a MiB", personKeys[0], append(slices.Clone(person), make([]byte, 1<<20)...), forgery},
		{"other version", personKeys[0], otherVersion, ErrVersion},
	} {
		err := testValidator().Validate(test.key, test.value)
		if errors.Is(test.want, forgery) {
			if !IsForged(err) {
				t.Errorf("%s: %v, want a forgery", test.name, err)
			}
		} else if !errors.Is(err, test.want) || IsForged(err) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}

	for _, at := range []struct {
		now  time.Time
		want error
	}{
		{testNow().Add(59 * time.Second), nil},
		{testNow().Add(time.Minute), ErrExpired},
		{testNow().Add(-25 * time.Hour), ErrFuture},
	} {
		v := Validator{Network: testNetwork(), Now: func() time.Time { return at.now }}
		for key, value := range map[string][]byte{personKeys[0]: person, relayKey: relay} {
			if err := v.Validate(key, value); !errors.Is(err, at.want) || IsForged(err) {
				t.Errorf("at %v: %v, want %v", at.now, err, at.want)
			}
		}
	}

	other := Validator{Network: [32]byte{1}, Now: testNow}
	if err := other.Validate(relayKey, relay); !IsForged(err) {
		t.Errorf("record of another network: %v, want a forgery", err)
	}
}

func TestValidatorKeepsRealTimeByItself(t *testing.T) {
	d, key := testDescriptor(t)
	now := time.Now()
	d.FirstEpoch, d.Sequence, d.Expires = Epoch(now), NextSequence(0, now), now.Add(time.Hour)
	signed, err := d.Sign(testNetwork(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := (Validator{Network: testNetwork()}).Validate(DescriptorKey(d.ID()), signed); err != nil {
		t.Errorf("a descriptor made just now: %v", err)
	}
}

func TestIsForgedOfOtherErrors(t *testing.T) {
	for _, err := range []error{nil, ErrExpired, ErrFuture, ErrVersion, errors.New("no route to host")} {
		if IsForged(err) {
			t.Errorf("IsForged(%v)", err)
		}
	}
}

// versions returns records of one node, each to replace those before it, the
// last two of equal sequence.
func versions(t *testing.T) (key string, values [][]byte) {
	t.Helper()
	d, private := testDescriptor(t)
	for i, expires := range []time.Duration{5 * time.Hour, 4 * time.Hour, 3 * time.Hour, 3 * time.Hour} {
		d.Sequence = uint64(testNow().Unix()) + uint64(min(i, 2))
		d.Expires = testNow().Add(expires + time.Duration(i)*time.Second)
		signed, err := d.Sign(testNetwork(), private)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, signed)
	}
	return DescriptorKey(d.ID()), values
}

func TestNewer(t *testing.T) {
	_, values := versions(t)
	for i, a := range values {
		for j, b := range values {
			if got := Newer(a, b); got != (i > j) {
				t.Errorf("Newer(%d, %d) = %v", i, j, got)
			}
		}
	}
}

func TestSelectWhateverTheOrder(t *testing.T) {
	key, values := versions(t)
	newest := values[len(values)-1]
	permute(values, func(order [][]byte) {
		i, err := testValidator().Select(key, order)
		if err != nil || !bytes.Equal(order[i], newest) {
			t.Errorf("Select chose %d of %d, %v; not the newest", i, len(order), err)
		}
	})
}

// permute calls fn with every order of values.
func permute(values [][]byte, fn func([][]byte)) {
	if len(values) == 0 {
		fn(nil)
		return
	}
	for i := range values {
		rest := slices.Delete(slices.Clone(values), i, i+1)
		permute(rest, func(order [][]byte) { fn(append([][]byte{values[i]}, order...)) })
	}
}

func TestSelectPassesOverWhatIsNotValid(t *testing.T) {
	key, values := versions(t)
	old, newer := values[0], values[1]
	forged := bytes.Clone(newer)
	forged[33] = 0xff // the highest sequence, unsigned
	cut := values[3][:len(values[3])-1]

	// The newest expires first; what it replaced is good again for the hour left.
	later := Validator{Network: testNetwork(), Now: func() time.Time { return testNow().Add(4*time.Hour + time.Minute) }}
	for _, test := range []struct {
		name string
		v    Validator
		in   [][]byte
		want int
	}{
		{"one", testValidator(), [][]byte{old}, 0},
		{"twice the same", testValidator(), [][]byte{old, old}, 0},
		{"forged sequence", testValidator(), [][]byte{forged, old, newer}, 2},
		{"nothing and cut short", testValidator(), [][]byte{nil, cut, {}, old}, 3},
		{"expired", later, [][]byte{newer, old}, 1},
	} {
		if got, err := test.v.Select(key, test.in); err != nil || got != test.want {
			t.Errorf("%s: Select = %d, %v; want %d", test.name, got, err, test.want)
		}
	}
	for name, in := range map[string][][]byte{"none": nil, "forged": {forged}, "expired": {values[3]}} {
		if got, err := later.Select(key, in); err == nil {
			t.Errorf("%s: Select = %d, want an error", name, got)
		}
	}
	if got, err := testValidator().Select("/nothing/", [][]byte{old}); err == nil {
		t.Errorf("unknown DHT key: Select = %d, want an error", got)
	}
}

func TestExpiry(t *testing.T) {
	for _, kind := range kinds(t) {
		signed := sign(t, kind)
		want := testNow().Add(KeyRecordLifetime)
		if kind.limit == MaxDescriptor {
			want = testNow().Add(DescriptorLifetime)
		}
		if got, ok := Expiry(kind.key, signed); !ok || !got.Equal(want) {
			t.Errorf("%s: Expiry = %v, %v; want %v", kind.name, got, ok, want)
		}
		version2 := bytes.Clone(signed)
		version2[0]++
		noDate := bytes.Clone(signed)
		noDate[41] = 0xff
		for name, value := range map[string][]byte{
			"nothing": nil, "cut short": signed[:48], "oversize": make([]byte, kind.limit+1),
			"other version": version2, "no date": noDate,
		} {
			if got, ok := Expiry(kind.key, value); ok {
				t.Errorf("%s, %s: Expiry = %v", kind.name, name, got)
			}
		}
		if got, ok := Expiry(kind.key[1:], signed); ok {
			t.Errorf("%s, malformed key: Expiry = %v", kind.name, got)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	for _, kind := range kinds(b) {
		signed := sign(b, kind)
		b.Run(strings.ReplaceAll(kind.name, " ", "-"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := testValidator().Validate(kind.key, signed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
