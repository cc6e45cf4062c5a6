package contact

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"chatnt/discovery/hashid"
)

// FuzzNames: whatever a stranger calls itself, the name proposed for it is one that
// may be given, that no other contact has nor one that looks like it, and that reads
// back as the stranger.
func FuzzNames(f *testing.F) {
	id, other := hashid.ID{1}, hashid.ID{2}
	for _, nick := range []string{
		"", "bob", "@bob", "#room", "/quit", "-fast", "two words", "a\u202eb", "\x1b[2Jx", "\xff", "u\u0308", "ü", "e\u0301\u0301\u0301\u0301\u0301\u0301",
		"\u3164", "\u2800", id.String(), other.String(), other.String() + "x", " " + other.String(), strings.Repeat("ü", 40), "\U000e0041", "bob\u200b", "ｂｏｂ", "\ufe0f",
		"b\u043eb", "B0B", "bob: yes", "ВОВ", "\ufdfa", "1\u0661", "\u0301", "İ", "ß", "ΣΑΣ", "राम", "さくら", "\u00b4", "\u2126",
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
			return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || strings.ContainsRune(":\"<>[](){}", r)
		}) {
			t.Fatalf("%q is proposed for %q", name, nick)
		}
		if normal, err := Normal(name); err != nil || normal != name {
			t.Fatalf("%q is proposed for %q, and in normal form is %q, %v", name, nick, normal, err)
		}
		if c, err := b.Named(name); err == nil && c.Hashid != id {
			t.Fatalf("%q, proposed for %q, names another", name, nick)
		}
		b.Put(Contact{Hashid: id, Name: name, Nick: nick, State: Accepted})
		if c, err := b.Named(name); err != nil || c.Hashid != id {
			t.Fatalf("%q names %v, %v", name, c.Hashid, err)
		}
		if mine, theirs := b.Tag(id), b.Tag(other); mine != "" && mine == theirs || !strings.HasPrefix(id.String(), mine) {
			t.Fatalf("tags %q and %q", mine, theirs)
		}
		// A name that is good is good in any book, and whoever has it keeps it.
		if alone := New(nil, nil).CheckName(nick, id) == nil; alone && b.CheckName(nick, hashid.ID{3}) == nil && b.CheckName(nick, id) != nil {
			t.Errorf("%q may be given to a third person only", nick)
		}
	})
}

// FuzzNormal: whatever is a name has one spelling that is kept, and every spelling of
// it finds, takes and looks like it.
func FuzzNormal(f *testing.F) {
	for _, name := range []string{
		"bob", "Zoe\u0308", "\uff22\uff4f\uff42", "\u2126", "\ufb01", "\ufdfb", "İstanbul", "ß", "Σας", "राम", "김", "\u1100\u1161", "e\u0301\u0302\u0303\u0304", "\u00bd", "ŉ", "ǰ",
		"\U0001d7d9", "\u0661\u0662", "p\u0430y", "O’Brien", "\u1e9e", "\u0345", "ᾳ", "ﬗ",
	} {
		f.Add(name)
	}
	id, other := hashid.ID{1}, hashid.ID{2}
	f.Fuzz(func(t *testing.T, name string) {
		normal, err := Normal(name)
		b := New(nil, nil)
		if (b.CheckName(name, id) == nil) != (err == nil) {
			t.Fatalf("%q: %v, but CheckName says otherwise", name, err)
		}
		if err != nil {
			return
		}
		if again, err := Normal(normal); err != nil || again != normal {
			t.Fatalf("%q is %q, and that is %q, %v", name, normal, again, err)
		}
		b.Put(Contact{Hashid: id, Name: normal, State: Accepted})
		for _, spelling := range []string{name, normal} {
			if c, err := b.Named(spelling); err != nil || c.Hashid != id {
				t.Errorf("%q does not name %q: %v", spelling, normal, err)
			}
			if b.CheckName(spelling, other) == nil {
				t.Errorf("%q may be given beside %q", spelling, normal)
			}
			if !looksOf(spelling).resemble(looksOf(normal)) {
				t.Errorf("%q does not look like %q: %q, %q", spelling, normal, looksOf(spelling), looksOf(normal))
			}
		}
		// The same in other letters' case is the same name, or looks like it.
		for _, cased := range []string{strings.ToUpper(normal), strings.ToLower(normal)} {
			if b.CheckName(cased, other) == nil && !looksOf(cased).resemble(looksOf(normal)) {
				t.Errorf("%q passes beside %q: %q, %q", cased, normal, looksOf(cased), looksOf(normal))
			}
		}
	})
}
