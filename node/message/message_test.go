package message

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatnt/discovery/record"
)

func example() *Message {
	return &Message{
		Kind: Text, Generation: 0x0a0b0c0d, Sequence: 0x0102030405060708, Base: 7, ID: ID{0xaa, 15: 0xbb},
		At: time.UnixMilli(1_700_000_000_123), TTL: time.Hour, Part: 1, Parts: 3, Text: []byte("hi\x1b[31m\u202e"),
	}
}

// linkKey is the base point of Ed25519 (RFC 8032, section 5.1), as good a link key as any.
func linkKey() record.LinkKey {
	key := record.LinkKey(bytes.Repeat([]byte{0x66}, 32))
	key[0] = 0x58
	return key
}

func request() *Message {
	return &Message{
		Kind: Request, Generation: 1, Sequence: 1, Base: 1, ID: ID{1}, At: time.UnixMilli(1_700_000_000_123),
		Parts: 1, Nick: "ada", Text: []byte("it is me"), Link: linkKey(),
	}
}

func link() *Message {
	return &Message{
		Kind: Link, Generation: 1, Before: 7, Sequence: 9, Base: 8, ID: ID{1}, At: time.UnixMilli(1_700_000_000_123),
		Parts: 1, Link: linkKey(),
	}
}

func TestGolden(t *testing.T) {
	for name, m := range map[string]*Message{"text": example(), "request": request(), "link": link()} {
		got, err := m.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile("testdata/" + name + ".hex")
		if err != nil {
			t.Fatal(err)
		}
		if head := hex.EncodeToString(bytes.TrimRight(got, "\x00")); head != strings.TrimSpace(string(want)) {
			t.Errorf("encoded %s, without its padding:\n got %s\nwant %s", name, head, want)
		}
		if len(got) != Size {
			t.Errorf("a message has %d bytes, want %d", len(got), Size)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	at := time.UnixMilli(1_800_000_000_000)
	for _, m := range []*Message{
		example(), request(), link(),
		{Kind: Request, Generation: 1, Sequence: 1, Base: 1, ID: ID{1}, At: at, Parts: 1, Nick: "ada", Text: []byte("it is me")},
		{Kind: Accept, Generation: 1, Sequence: 2, Base: 1, ID: ID{1}, At: at, Parts: 1, Nick: "bob"},
		{Kind: Reject, Generation: 1, Sequence: 2, Base: 1, ID: ID{1}, At: at, Parts: 1},
		{Kind: Receipt, Generation: 1, Sequence: 0, Parts: 1},
		{Kind: Receipt, Generation: 1, Sequence: 7, ID: ID{1}, Parts: 1},
		{Kind: Receipt, Generation: 1, Sequence: 7, Parts: 1},
		{Kind: Link, Generation: 1, Sequence: 1, Base: 1, ID: ID{1}, At: at, Parts: 1},
		{Kind: Text, Generation: 1, Sequence: 1, Base: 1, ID: ID{1}, At: at, TTL: MaxTTL, Parts: 1},
		{Kind: Text, Generation: 2, Before: ID{0xff, 3: 1}.Short(), Sequence: 2, Base: 1, ID: ID{1}, At: at, Parts: 1},
		{Kind: Text, Generation: 1, Sequence: 2, Base: 1, ID: ID{1}, At: at, Parts: 1, Text: bytes.Repeat([]byte{'x'}, PartSize)},
	} {
		data, err := m.Append(nil)
		if err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		back, err := Parse(data)
		if err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		if diff := cmp.Diff(m, back); diff != "" {
			t.Error(diff)
		}
	}
}

func TestRefusesWhatItWouldNotWrite(t *testing.T) {
	valid, _ := example().Append(nil)
	change := func(offset int, value byte) []byte {
		b := bytes.Clone(valid)
		b[offset] = value
		return b
	}
	for name, data := range map[string][]byte{
		"empty":                 nil,
		"short":                 valid[:Size-1],
		"long":                  append(bytes.Clone(valid), 0),
		"kind 0":                change(0, 0),
		"kind 7":                change(0, 7),
		"a text as a link":      change(0, byte(Link)),
		"before the first":      append(append(bytes.Clone(valid[:8]), 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1), valid[25:]...),
		"no generation":         append([]byte{byte(Text), 0, 0, 0, 0}, valid[5:]...),
		"text as a receipt":     change(0, byte(Receipt)),
		"a request in parts":    change(0, byte(Request)),
		"base above sequence":   change(17, 2),
		"part beyond parts":     change(53, 3),
		"no parts":              change(54, 0),
		"too many parts":        change(54, MaxParts+1),
		"a nick in a text":      change(55, 1),
		"a nick beyond the end": change(55, 0xff),
		"text beyond the end":   change(56, 0xff),
		"padding not zero":      change(Size-1, 1),
		"a ttl of years":        change(49, 0x80),
		"a time beyond clocks":  change(41, 0x80),
		"a time past the last":  append(binary.BigEndian.AppendUint64(bytes.Clone(valid[:41]), lastTime+1), valid[49:]...),
	} {
		if m, err := Parse(data); err == nil {
			t.Errorf("%s: accepted as %+v", name, m)
		}
	}
}

// A link key stands where there is room for one, and only one that somebody can have made.
func TestLinkKeys(t *testing.T) {
	noKey := record.LinkKey{0: 1} // the identity: no generator makes it
	for name, change := range map[string]func(*Message){
		"a text with a link key":    func(m *Message) { m.Link = linkKey() },
		"an accept with a link key": func(m *Message) { m.Kind, m.TTL, m.Part, m.Parts, m.Text, m.Link = Accept, 0, 0, 1, nil, linkKey() },
		"a link that says more":     func(m *Message) { *m = *link(); m.Text = []byte("x") },
		"a link in parts":           func(m *Message) { *m = *link(); m.Parts = 2 },
		"a link of no key":          func(m *Message) { *m = *link(); m.Link = noKey },
		"a request of no key":       func(m *Message) { *m = *request(); m.Link = noKey },
	} {
		m := example()
		change(m)
		if data, err := m.Append(nil); err == nil {
			t.Errorf("%s: written as %x", name, data[:200])
		}
	}
	for _, m := range []*Message{request(), link()} {
		data, err := m.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(data, m.Link[:])
		data[at+31] ^= 1 // the curve has half as many points as there are encodings, and one in eight is of the subgroup
		if m, err := Parse(data); err == nil {
			t.Errorf("a damaged link key is read: %+v", m)
		}
	}
}

// Whatever time a message carries can be written as JSON, which ends with the year 9999.
func TestTimesAreBounded(t *testing.T) {
	m := example()
	m.At = time.UnixMilli(lastTime)
	data, err := m.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(back.At); err != nil {
		t.Error(err)
	}
	m.At = time.UnixMilli(lastTime + 1)
	if _, err := m.Append(nil); err == nil {
		t.Error("a time was written that is refused on reading")
	}
}

func TestSplit(t *testing.T) {
	for _, n := range []int{1, PartSize, PartSize + 1, MaxText} {
		text := strings.Repeat("y", n)
		parts, err := Split(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(bytes.Join(parts, nil)); got != text {
			t.Errorf("%d bytes came back as %d", n, len(got))
		}
	}
	for name, text := range map[string]string{
		"nothing": "", "too long": strings.Repeat("y", MaxText+1), "not UTF-8": "\xff\xfe",
	} {
		if _, err := Split(text); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// The corpus is of this format's size: else it would end at the first check.
func TestCorpusReachesTheParser(t *testing.T) {
	files, err := filepath.Glob("testdata/fuzz/FuzzParse/*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, quoted, _ := strings.Cut(strings.TrimSpace(string(raw)), "\n[]byte(")
		entry, err := strconv.Unquote(strings.TrimSuffix(quoted, ")"))
		if err != nil || len(entry) != Size {
			t.Errorf("%s has %d bytes: %v", file, len(entry), err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, m := range []*Message{example(), request(), link(), {Kind: Receipt, Generation: 1, Parts: 1}} {
		data, err := m.Append(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		if key := m.Link; !key.IsZero() { // one that nobody made
			at := bytes.Index(data, key[:])
			f.Add(slices.Concat(data[:at], []byte{1}, make([]byte, 31), data[at+32:]))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse(data)
		if err != nil {
			return
		}
		again, err := m.Append(nil)
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%x parses, but is written as %x (%v)", data, again, err)
		}
	})
}
