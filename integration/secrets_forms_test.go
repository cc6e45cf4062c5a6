package integration

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// secret is something that must be found neither in a file nor in a log, in
// whatever form.
type secret struct {
	what  string // for who reads of the find
	forms []form
}

type form struct {
	name   string
	bytes  []byte
	folded bool // capitals count as small letters
}

// shortestForm is how long what is looked for must be, so that it does not turn up
// by chance among random bytes.
const shortestForm = 6

// newSecret is a secret that is some bytes.
func newSecret(what string, raw []byte) secret {
	s := secret{what: what}
	s.add("as it is", raw, false)
	s.add("in hexadecimal", []byte(hex.EncodeToString(raw)), true)
	s.add("as a list of numbers", []byte(strings.Trim(fmt.Sprintf("%d", raw), "[]")), false)
	s.add("as Go writes it", bytes.Trim(fmt.Appendf(nil, "%#v", raw)[len("[]byte"):], "{}"), false)
	// In the middle of something encoded it may begin at any place of a group.
	for at := range 5 {
		s.add("in base32", inside([]byte(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(shifted(at, raw))), at, len(raw), 5), true)
		s.add("in base32hex", inside([]byte(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(shifted(at, raw))), at, len(raw), 5), true)
	}
	for at := range 3 {
		s.add("in base64", inside([]byte(base64.RawStdEncoding.EncodeToString(shifted(at, raw))), at, len(raw), 6), false)
		s.add("in base64url", inside([]byte(base64.RawURLEncoding.EncodeToString(shifted(at, raw))), at, len(raw), 6), false)
	}
	return s
}

// newTextSecret is a secret that is a text: that of newSecret, and in UTF-16.
func newTextSecret(what, text string) secret {
	s := newSecret(what, []byte(text))
	s.add("as a text", []byte(text), true)
	var little, big []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		little = append(little, byte(unit), byte(unit>>8))
		big = append(big, byte(unit>>8), byte(unit))
	}
	s.add("in UTF-16, little endian", little, true)
	s.add("in UTF-16, big endian", big, true)
	s.add("quoted", []byte(strings.Trim(fmt.Sprintf("%+q", text), `"`)), true)
	return s
}

func (s *secret) add(name string, b []byte, folded bool) {
	if folded {
		b = fold(b)
	}
	known := slices.ContainsFunc(s.forms, func(f form) bool { return bytes.Equal(f.bytes, b) && f.folded == folded })
	if known || len(b) < shortestForm {
		return
	}
	s.forms = append(s.forms, form{name, b, folded})
}

func shifted(at int, raw []byte) []byte { return append(make([]byte, at), raw...) }

// inside cuts from an encoding, with so many bits a letter, of at bytes and then n others
// the letters that say nothing but of the n.
func inside(encoded []byte, at, n, bits int) []byte {
	first, end := (at*8+bits-1)/bits, (at+n)*8/bits
	return encoded[min(first, end):end]
}

// fold makes capitals small. Unlike bytes.ToLower it leaves alone what is no text.
func fold(b []byte) []byte {
	folded := bytes.Clone(b)
	for i, c := range folded {
		if 'A' <= c && c <= 'Z' {
			folded[i] = c + 'a' - 'A'
		}
	}
	return folded
}

// finds says which secrets are in b and where, and what else in it looks like
// an address, an id or a key. It does not repeat them.
func finds(b []byte, secrets []secret) (found []string) {
	folded := fold(b)
	for _, s := range secrets {
		for _, f := range s.forms {
			in := b
			if f.folded {
				in = folded
			}
			if at := bytes.Index(in, f.bytes); at >= 0 {
				found = append(found, fmt.Sprintf("%s %s at byte %d", s.what, f.name, at))
			}
		}
	}
	for what, pattern := range map[string]string{
		"an address":            `/(ip4|ip6|dns4|dns6|tcp|udp)/[0-9a-z]`,
		"an address of IPv4":    `\b[0-9]{1,3}(\.[0-9]{1,3}){3}\b`,
		"an invite":             `chatnt:[a-z0-9]{8}`,
		"a hashid":              `\b[a-z2-7]{56}\b`,
		"a key in hexadecimal":  `[0-9a-f]{32}`,
		"a key in base64":       `[0-9A-Za-z+/_-]{43}=?\b`,
		"libp2p's id of a node": `\b(12D3Koo|16Uiu2|Qm[1-9A-HJ-NP-Za-km-z])[1-9A-HJ-NP-Za-km-z]{30}`,
		"a private key":         `-----BEGIN`,
	} {
		if at := regexp.MustCompile(pattern).FindIndex(b); at != nil {
			found = append(found, fmt.Sprintf("what looks like %s at byte %d", what, at[0]))
		}
	}
	return found
}

// The search finds what it is to find, wherever it begins.
func TestFinds(t *testing.T) {
	raw := []byte{0xfb, 0xef, 0x00, 0x10, 0x83, 0x10, 0x51, 0x87, 0xff, 0xfe}
	text := "Grüße aus Marmalade Lane"
	secrets := []secret{newSecret("raw", raw), newTextSecret("text", text)}
	noise := func(n int) []byte { return bytes.Repeat([]byte("~!"), n)[:n] }
	var wide []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		wide = append(wide, byte(unit>>8), byte(unit))
	}
	for at := range 8 {
		around := func(b []byte) []byte { return slices.Concat(noise(at), b, noise(7)) }
		for want, hay := range map[string][]byte{
			"raw as it is":               around(raw),
			"raw in hexadecimal":         around(fmt.Appendf(nil, "%X", raw)),
			"raw as a list of numbers":   around(fmt.Append(nil, append([]byte{1}, raw...))),
			"raw as Go writes it":        around(fmt.Appendf(nil, "%#v", raw)),
			"raw in base32 ":             []byte(strings.ToLower(base32.StdEncoding.EncodeToString(around(raw)))),
			"raw in base64 ":             []byte(base64.StdEncoding.EncodeToString(around(raw))),
			"raw in base64url":           []byte(base64.URLEncoding.EncodeToString(around(raw))),
			"text as a text":             around([]byte("grüße AUS marmalade lane")),
			"text in UTF-16, big endian": around(wide),
			"text quoted":                fmt.Appendf(nil, "x=%+q", text),
			"text in base64 ":            []byte(base64.StdEncoding.EncodeToString(around([]byte(text)))),
			"text in base32hex":          []byte(base32.HexEncoding.EncodeToString(around([]byte(text)))),
		} {
			if found := strings.Join(finds(hay, secrets), "\n"); !strings.Contains(found, want) {
				t.Errorf("%q, %d bytes in, is not found; found were\n%s", want, at, found)
			}
		}
	}
	if found := finds(noise(10_000), secrets); found != nil {
		t.Errorf("found where nothing is: %q", found)
	}
	for want, hay := range map[string]string{
		"an address of IPv4":   "dial 10.1.2.3:4001 failed",
		"an address at":        "at /ip4/10",
		"a hashid":             "to " + strings.Repeat("a2", 28) + ",",
		"a key in hexadecimal": strings.Repeat("0f", 16),
		"libp2p's id":          "12D3KooWGRUVh1rWWcVWYjBGLCAfV1Z6h6k7vXsAqyUqMUN7JQyR",
	} {
		if !strings.Contains(strings.Join(finds([]byte(hay), nil), "\n"), want) {
			t.Errorf("%s is not found", want)
		}
	}
}
