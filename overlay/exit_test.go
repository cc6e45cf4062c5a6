package overlay

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/overlay/onion"
)

var update = flag.Bool("update", false, "write the golden files anew: this changes the wire format")

// person is somebody with key records, in a network of zeros.
type person struct {
	t    testing.TB
	key  ed25519.PrivateKey
	link ed25519.PrivateKey // nil: listed
}

func newPerson(t testing.TB, seed byte) *person {
	return &person{t: t, key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))}
}

// copies are what the person publishes under a sequence.
func (p *person) copies(sequence uint64, expires time.Time) []record.Copy {
	p.t.Helper()
	r, err := record.Withdrawal([32]byte(p.key.Public().(ed25519.PublicKey)), sequence, expires)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Inbox.Node = hashid.NodeID{9}
	list, err := r.Copies([32]byte{}, p.key, p.link)
	if err != nil {
		p.t.Fatal(err)
	}
	return list
}

func (p *person) now() []record.Copy {
	now := time.Now()
	return p.copies(uint64(now.Unix()), now.Add(record.KeyRecordLifetime))
}

// stubTable is a hash table that remembers what it was asked.
type stubTable struct {
	value  []byte
	stored int
	err    error
	asked  string
}

func (s *stubTable) Get(_ context.Context, keys ...string) ([]byte, error) {
	s.asked += fmt.Sprintf("get %x ", keys)
	return s.value, s.err
}

func (s *stubTable) Put(_ context.Context, key string, value []byte) (int, error) {
	s.asked += fmt.Sprintf("put %x %d ", key, len(value))
	return s.stored, s.err
}

// An exit looks up and stores persons' records, and nothing else.
func TestExit(t *testing.T) {
	bob := newPerson(t, 1)
	listed := bob.now()[0]
	hidden := newPerson(t, 2)
	hidden.link = newPerson(t, 3).key
	unlisted := hidden.now()[1]
	old := bob.copies(1, time.Now().Add(-time.Second))[0]
	forged := bytes.Clone(listed.Value)
	forged[100]++
	relay := record.DescriptorKey(hashid.NodeID{1})
	put := func(key string, value []byte) []byte {
		b, err := appendRecordPut(nil, key, value)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	failure := errors.New("no way")
	for _, test := range []struct {
		name    string
		service string
		body    []byte
		table   stubTable
		want    []byte
		asked   bool
	}{
		{"found", "record.get", []byte(listed.Key), stubTable{value: listed.Value}, append([]byte{1}, listed.Value...), true},
		{"found, unlisted", "record.get", []byte(unlisted.Key), stubTable{value: unlisted.Value}, append([]byte{1}, unlisted.Value...), true},
		{"not found", "record.get", []byte(listed.Key), stubTable{err: failure}, []byte{2}, true},
		{"found nothing", "record.get", []byte(listed.Key), stubTable{}, []byte{2}, true},
		{"found too much", "record.get", []byte(listed.Key), stubTable{value: make([]byte, record.MaxKeyRecord+1)}, []byte{2}, true},
		{"a relay's descriptor", "record.get", []byte(relay), stubTable{value: listed.Value}, append([]byte{1}, listed.Value...), true}, // who asked judges it
		{"no record's key", "record.get", []byte(relay[1:]), stubTable{}, []byte{3}, false},
		{"a long key", "record.get", []byte(listed.Key + "x"), stubTable{}, []byte{3}, false},
		{"a very long key", "record.get", make([]byte, MaxRequest), stubTable{}, []byte{3}, false},
		{"no key", "record.get", nil, stubTable{}, []byte{3}, false},

		{"stored", "record.put", put(listed.Key, listed.Value), stubTable{stored: 3}, []byte{1}, true},
		{"stored, unlisted", "record.put", put(unlisted.Key, unlisted.Value), stubTable{stored: 1}, []byte{1}, true},
		{"nobody took it", "record.put", put(listed.Key, listed.Value), stubTable{}, []byte{2}, true},
		{"it failed", "record.put", put(listed.Key, listed.Value), stubTable{stored: 1, err: failure}, []byte{2}, true},
		{"forged", "record.put", put(listed.Key, forged), stubTable{}, []byte{3}, false},
		{"expired", "record.put", put(old.Key, old.Value), stubTable{}, []byte{3}, false},
		{"another's key", "record.put", put(unlisted.Key, listed.Value), stubTable{}, []byte{3}, false},
		{"a relay's key, put", "record.put", put(relay, listed.Value), stubTable{}, []byte{3}, false},
		{"nothing to put", "record.put", put(listed.Key, listed.Value)[:1+len(listed.Key)], stubTable{}, []byte{3}, false},
		{"nothing at all", "record.put", nil, stubTable{}, []byte{3}, false},
	} {
		serve := RecordServices(&test.table, record.Validator{})[test.service]
		if got := serve(t.Context(), test.body); !bytes.Equal(got, test.want) {
			t.Errorf("%s: the answer is %.8x of %d bytes, want %.8x", test.name, got, len(got), test.want)
		}
		if (test.table.asked != "") != test.asked {
			t.Errorf("%s: the table was asked %q", test.name, test.table.asked)
		}
	}
}

// The largest record fits a request and an answer.
func TestRecordsFit(t *testing.T) {
	hidden := newPerson(t, 2)
	hidden.link = newPerson(t, 3).key
	largest := hidden.now()[0]
	if len(largest.Value) != record.MaxKeyRecord {
		t.Fatalf("the largest record has %d bytes", len(largest.Value))
	}
	body, err := appendRecordPut(nil, largest.Key, largest.Value)
	if err != nil || checkRequest(serviceRecordPut, body) != nil || 1+len(largest.Value) > onion.BodySize {
		t.Errorf("a request of %d bytes: %v", len(body), err)
	}
	for _, n := range []int{0, maxRecordKey + 1} {
		if _, err := appendRecordPut(nil, string(make([]byte, n)), []byte{1}); err == nil {
			t.Errorf("a key of %d bytes is put", n)
		}
	}
	for _, n := range []int{0, record.MaxKeyRecord + 1} {
		if _, err := appendRecordPut(nil, "k", make([]byte, n)); err == nil {
			t.Errorf("a record of %d bytes is put", n)
		}
	}
}

// The formats of the services, as their bytes travel.
func TestRecordsGolden(t *testing.T) {
	key := record.KeyRecordKeys(hashid.ID(bytes.Repeat([]byte{0xaa}, 32)))[1]
	put, err := appendRecordPut(nil, key, []byte("the record"))
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("record.get      %x\nfound           %x\nnone            %x\nrefused         %x\n",
		key, recordAnswer(recordGood, []byte("the record")), recordAnswer(recordNone, nil), recordAnswer(recordRefused, nil))
	text += fmt.Sprintf("record.put      %x\nstored          %x\nnobody took it  %x\nrefused         %x\n",
		put, recordAnswer(recordGood, nil), recordAnswer(recordNone, nil), recordAnswer(recordRefused, nil))
	const name = "testdata/records.txt"
	if *update {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("the bodies are laid out otherwise than they were:\n%s", text)
	}
}

// Whatever parses is what appendRecordPut would have written.
func FuzzParseRecordPut(f *testing.F) {
	for _, key := range []string{"k", "/unlisted/0123456789abcdef0123456789abcdef"} {
		good, err := appendRecordPut(nil, key, []byte("value"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(good)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		key, value, err := parseRecordPut(body)
		if err != nil {
			return
		}
		if again, err := appendRecordPut(nil, key, value); err != nil || !bytes.Equal(again, body) {
			t.Errorf("%x became %x, %v", body, again, err)
		}
	})
}

// Whatever parses is what recordAnswer would have written.
func FuzzParseRecordAnswer(f *testing.F) {
	f.Add([]byte{recordGood}, false)
	f.Add([]byte("\x01value"), true)
	f.Fuzz(func(t *testing.T, body []byte, get bool) {
		status, value, ok := parseRecordAnswer(body, get)
		if !ok {
			return
		}
		if again := recordAnswer(status, value); !bytes.Equal(again, body) || (len(value) > 0) != (get && status == recordGood) {
			t.Errorf("%x became %x", body, again)
		}
	})
}
