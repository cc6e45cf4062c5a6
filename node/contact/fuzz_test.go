package contact

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"chatnt/discovery/hashid"
)

// FuzzNames: whatever a stranger calls itself, the name proposed for it is one that
// may be given, that no other contact has, and that reads back as the stranger.
func FuzzNames(f *testing.F) {
	id, other := hashid.ID{1}, hashid.ID{2}
	for _, nick := range []string{
		"", "bob", "@bob", "#room", "/quit", "-fast", "two words", "a\u202eb", "\x1b[2Jx", "\xff", "u\u0308", "ü", "e\u0301\u0301\u0301\u0301\u0301\u0301",
		"\u3164", "\u2800", id.String(), other.String(), other.String() + "x", " " + other.String(), strings.Repeat("ü", 40), "\U000e0041", "bob\u200b", "ｂｏｂ", "\ufe0f",
	} {
		f.Add(nick, "bob")
	}
	f.Fuzz(func(t *testing.T, nick, taken string) {
		b := New(nil, nil)
		if b.CheckName(taken, other) == nil {
			b.Put(Contact{Hashid: other, Name: taken, State: Accepted})
		}
		name := b.NameFor(nick, id)
		if err := b.CheckName(name, id); err != nil {
			t.Fatalf("%q is proposed for %q: %v", name, nick, err)
		}
		if !utf8.ValidString(name) || len(name) > MaxName || strings.ContainsFunc(name, func(r rune) bool {
			return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
		}) {
			t.Fatalf("%q is proposed for %q", name, nick)
		}
		if c, err := b.Named(name); err == nil && c.Hashid != id {
			t.Fatalf("%q, proposed for %q, names another", name, nick)
		}
		b.Put(Contact{Hashid: id, Name: name, Nick: nick, State: Accepted})
		if c, err := b.Named(name); err != nil || c.Hashid != id {
			t.Fatalf("%q names %v, %v", name, c.Hashid, err)
		}
		// A name that is good is good in any book, and whoever has it keeps it.
		if alone := New(nil, nil).CheckName(nick, id) == nil; alone && b.CheckName(nick, hashid.ID{3}) == nil && b.CheckName(nick, id) != nil {
			t.Errorf("%q may be given to a third person only", nick)
		}
	})
}
