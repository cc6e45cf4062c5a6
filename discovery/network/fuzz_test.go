package network

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzParse reads any bytes as a stored network. What parses is written to bytes
// that say the same; only entries that were passed over make a second encoding.
func FuzzParse(f *testing.F) {
	person := entry(0x86, strings.Repeat("p", 32))
	link := testLink()
	for _, n := range []*Network{testPrivate(f), testPublic()} {
		raw, err := n.Append(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		f.Add(raw[:len(raw)-1])
		f.Add(append(bytes.Clone(raw), person...)) // not a network alone
		f.Add(append(bytes.Clone(raw), person+entry(0x87, string(link[:]))...))
		f.Add(append(bytes.Clone(raw), entry(0x87, "later")...))                             // critical, and not known
		f.Add(append([]byte("\x01"+entry(2, "later")), raw[1:]...))                          // out of order, for one of the two
		f.Add(append(bytes.Clone(raw), raw[1:]...))                                          // everything twice
		f.Add(bytes.Replace(raw, []byte("\x82\x00\x02\x03"), []byte("\x82\x00\x02\x04"), 1)) // four hops
		f.Add(bytes.Replace(raw, []byte("\x82\x00\x02"), []byte("\x82\xff\xff"), 1))
	}
	f.Add([]byte("\x01" + entry(1, strings.Repeat("\x36", 2000))))
	f.Add([]byte("\x01" + strings.Repeat(entry(1, "\x04\x14\x00\x00\x01\x06\x0f\xa1"), 200)))
	f.Add([]byte("\x01" + entry(0x81, "a\u202e\x1b[2J")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		n, err := Parse(raw)
		if err != nil {
			return
		}
		again, err := n.Append(nil)
		if err != nil || len(again) > len(raw) {
			t.Fatalf("%x is written again as %x, %v", raw, again, err)
		}
		if len(again) == len(raw) && !bytes.Equal(again, raw) {
			t.Errorf("two encodings of one network: %x and %x", raw, again)
		}
		if back, err := Parse(again); err != nil || !cmp.Equal(n, back) {
			t.Errorf("%+v became %+v, %v", n, back, err)
		}
	})
}
