package contact

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// looks are the skeletons of a name: as it is written, in small letters and in
// capitals, as nobody remembers which of the three somebody's name is. Two names
// look alike when any of theirs are equal: "BOB" like the Cyrillic "вов", whose
// capitals are ВОВ, and "ian" like "lan", as the capital I is like l.
type looks []string

// looksOf returns how a name or nick looks. One that shows nothing looks like none.
func looksOf(name string) looks {
	name = clean(name)
	var l looks
	for _, written := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
		if s := skeleton(written); s != "" && !slices.Contains(l, s) {
			l = append(l, s)
		}
	}
	return l
}

func (l looks) resemble(other looks) bool {
	return slices.ContainsFunc(l, func(s string) bool { return slices.Contains(other, s) })
}

// skeleton returns what two names that look the same have in common (Unicode
// Technical Standard #39, section 4), made coarser: it leaves out marks and case, too,
// so that é, É and e are one. It is for comparing and nothing else.
func skeleton(name string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(name) {
		if !unicode.In(r, unicode.Mn, unicode.Me) {
			b.WriteString(prototype(r))
		}
	}
	return strings.ToLower(b.String())
}
