package backup

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// examples are entries of several kinds in their order, of two identities.
func examples() []Entry {
	return []Entry{
		{Kind: Identity, Key: "main", Value: []byte("keys")},
		{Kind: Sequence, Value: []byte{0, 0, 0, 0, 1, 2, 3, 4}},
		{Kind: Contact, Key: "alice", Value: []byte("{}")},
		{Kind: Contact, Key: "bob", Value: []byte("{}")},
		{Kind: Said, Key: "alice 0", Value: []byte{}},
		{Kind: Identity, Key: "else", Value: []byte("others")},
		{Kind: Contact, Key: "alice", Value: []byte("{}")},
	}
}

// written is what a Writer makes of entries.
func written(t testing.TB, entries []Entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := w.Put(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// readAll reads entries to the end.
func readAll(r io.Reader) ([]Entry, error) {
	entries, err := NewReader(r)
	if err != nil {
		return nil, err
	}
	var all []Entry
	for {
		e, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, e)
	}
}

// Backups stay readable: these bytes never change.
func TestGolden(t *testing.T) {
	text, err := os.ReadFile("testdata/entries.hex")
	if err != nil {
		t.Fatal(err)
	}
	want, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	if got := written(t, examples()); !bytes.Equal(got, want) {
		t.Errorf("entries:\n got %x\nwant %x", got, want)
	}
	for name, r := range map[string]io.Reader{"whole": bytes.NewReader(want), "byte by byte": iotest.OneByteReader(bytes.NewReader(want))} {
		got, err := readAll(r)
		if err != nil {
			t.Fatal(name, err)
		}
		if diff := cmp.Diff(examples(), got); diff != "" {
			t.Error(name, diff)
		}
	}
}

func TestRefusesWhatItWouldNotWrite(t *testing.T) {
	valid := written(t, examples())
	const first = len(magic) + 1 // the first entry
	change := func(offset int, value byte) []byte {
		b := bytes.Clone(valid)
		b[offset] = value
		return b
	}
	join := func(entries ...string) []byte {
		return []byte(magic + "\x01" + "\x01\x01\x00\x00\x00\x00i" + strings.Join(entries, "") + "\x00")
	}
	for name, tt := range map[string]struct {
		data []byte
		want error
	}{
		"something else":          {[]byte("the diary of a lighthouse keeper"), ErrFormat},
		"a newer version":         {change(first-1, 2), ErrVersion},
		"version 0":               {change(first-1, 0), ErrDamaged},
		"an unknown kind":         {change(first, byte(Listing)+1), ErrDamaged},
		"no identity":             {[]byte(magic + "\x01\x02\x00\x00\x00\x00\x00\x00"), ErrDamaged},
		"one without a name":      {join("\x01\x00\x00\x00\x00\x00"), ErrDamaged},
		"a key where there's one": {join("\x02\x01\x00\x00\x00\x00k"), ErrDamaged},
		"no key":                  {join("\x07\x00\x00\x00\x00\x00"), ErrDamaged},
		"kinds out of order":      {join("\x03\x00\x00\x00\x00\x00", "\x02\x00\x00\x00\x00\x00"), ErrDamaged},
		"keys out of order":       {join("\x07\x01\x00\x00\x00\x00b", "\x07\x01\x00\x00\x00\x00a"), ErrDamaged},
		"twice":                   {join("\x02\x00\x00\x00\x00\x00", "\x02\x00\x00\x00\x00\x00"), ErrDamaged},
		"a value too long":        {join("\x02\x00\x00\x10\x00\x01" + strings.Repeat("x", MaxValue+1)), ErrDamaged},
		"a length without end":    {join("\x02\x00\xff\xff\xff\xff"), ErrDamaged},
		"more after the end":      {append(bytes.Clone(valid), 0), ErrDamaged},
	} {
		if _, err := readAll(bytes.NewReader(tt.data)); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	for n := range valid {
		if _, err := readAll(bytes.NewReader(valid[:n])); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
}

func TestWritesNothingThatItWouldRefuse(t *testing.T) {
	for name, entries := range map[string][]Entry{
		"kind 0":           {{}},
		"an unknown kind":  {{Kind: Listing + 1, Key: "k"}},
		"a key":            {{Kind: Nick, Key: "k"}},
		"no key":           {{Kind: Relay}},
		"a key too long":   {{Kind: Relay, Key: strings.Repeat("k", 256)}},
		"a value too long": {{Kind: Nick, Value: make([]byte, MaxValue+1)}},
		"twice":            {{Kind: Nick}, {Kind: Nick}},
		"a key at the end": {{Kind: Listing, Key: "k"}},
		"out of order":     {{Kind: Nick}, {Kind: Network}},
		"no name":          {{Kind: Identity}},
		"keys":             {{Kind: Relay, Key: "b"}, {Kind: Relay, Key: "a"}},
	} {
		w, err := NewWriter(io.Discard)
		if err == nil {
			err = w.Put(Entry{Kind: Identity, Key: "main"})
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if err == nil {
				err = w.Put(e)
			}
		}
		if err == nil {
			t.Errorf("%s is written", name)
		}
	}
	if w, err := NewWriter(io.Discard); err != nil || w.Put(Entry{Kind: Nick}) == nil {
		t.Errorf("what belongs to no identity is written, %v", err)
	}
	longest := []Entry{{Kind: Identity, Key: "i"}, {Kind: Nick, Value: make([]byte, MaxValue)}, {Kind: Relay, Key: strings.Repeat("k", 255), Value: []byte{}}}
	got, err := readAll(bytes.NewReader(written(t, longest)))
	if err != nil || len(got) != 3 || len(got[1].Value) != MaxValue || got[2].Key != longest[2].Key {
		t.Errorf("the longest come back as %d, %v", len(got), err)
	}
}

// What the writer or the reader beneath has to say is passed on.
func TestErrorsFromBeneath(t *testing.T) {
	broken := errors.New("the cable is cut")
	if _, err := readAll(io.MultiReader(bytes.NewReader(written(t, examples())[:30]), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("reading: %v", err)
	}
	if _, err := readAll(io.MultiReader(bytes.NewReader(written(t, examples())), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("reading at the end: %v", err)
	}
	r, w := io.Pipe()
	r.CloseWithError(broken)
	if _, err := NewWriter(w); !errors.Is(err, broken) {
		t.Errorf("writing: %v", err)
	}
}

// FuzzRead: whatever is read is written just so.
func FuzzRead(f *testing.F) {
	valid := written(f, examples())
	f.Add(valid)
	f.Add(valid[:len(valid)-1])
	f.Add([]byte(magic + "\x01\x00"))
	f.Add([]byte(magic + "\x01\x01\x01\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := readAll(bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrVersion) {
				t.Errorf("an error in other words: %v", err)
			}
			return
		}
		if again := written(t, entries); !bytes.Equal(again, data) {
			t.Errorf("%x is written as %x", data, again)
		}
	})
}
