package safety

import (
	"strings"
	"testing"
	"unicode"
)

// FuzzTyped: a stored pair that is read is written the same, and what matches a number
// is, spacing and case aside, letter by letter one of the three ways to show it.
func FuzzTyped(f *testing.F) {
	pair := Of(Keys{}, Keys{Identity: [32]byte{1}})
	n := pair.Number()
	text, err := pair.MarshalText()
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"", string(text), string(text[1:]), n.Digits(), n.Words(), n.QR(), strings.ToUpper(n.Words()), " " + n.Digits() + "\n", "\u212a", "\u0660", "１"} {
		f.Add(s)
	}
	squeeze := func(s string) string {
		return strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) {
				return -1
			}
			return unicode.ToLower(r)
		}, s)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		var p Pair
		if p.UnmarshalText([]byte(typed)) == nil {
			if again, err := p.MarshalText(); err != nil || string(again) != typed {
				t.Errorf("%q is read, and written %q, %v", typed, again, err)
			}
		}
		if s := squeeze(typed); n.Matches(typed) && s != squeeze(n.Digits()) && s != squeeze(n.Words()) && s != n.QR() {
			t.Errorf("%q matches", typed)
		}
	})
}
