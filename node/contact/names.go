package contact

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"

	"chatnt/discovery/hashid"
)

// MaxName is the longest local name, in bytes.
const MaxName = 64

// maxMarks is how many combining marks may follow one letter, as in Unicode
// Technical Standard #39, section 5.4.
const maxMarks = 4

// errRunes says what a name is made of.
var errRunes = errors.New("a name is made of letters, digits and signs, without spaces, brackets, quotes and colons")

// Normal returns a local name as it is to be kept, in the normal form of the PRECIS
// Nickname profile (RFC 8266): NFKC, so that one name has one spelling. It refuses
// what the profile refuses, and besides: spaces, as a name is one word of a command;
// what is drawn as nothing; the brackets, quotes and colons that our own lines are
// made of; hashids; stacks of marks; and scripts that do not go together.
func Normal(name string) (string, error) {
	if err := checkSpelling(name); err != nil {
		return "", err
	}
	normal, err := precis.Nickname.String(name)
	if err != nil {
		return "", errRunes
	}
	if err := checkSpelling(normal); err != nil { // it may be longer, and hold other runes
		return "", err
	}
	if err := checkMarks(normal); err != nil {
		return "", err
	}
	return normal, checkScripts(normal)
}

// compareKey is the same for two spellings of one name: RFC 8266's form for
// comparison, without case. It is taken of the normal form, as the profile takes case
// away first, which makes another letter of the lunate sigma than of the sigma that it
// is normalised to. A name may have been stored when more was allowed, and a nick be
// anything; what names are not made of does not count.
func compareKey(name string) string {
	name = norm.NFKC.String(clean(name))
	key, err := precis.Nickname.CompareKey(name)
	if err != nil {
		return strings.ToLower(name)
	}
	return key
}

// CheckName tells why a local name for id cannot be used, or nil. A contact that was
// rejected, either way, or blocked keeps its name from nobody: see Yield. Names that
// merely look alike may stand side by side, with their tags.
func (b *Book) CheckName(name string, id hashid.ID) error {
	if _, err := Normal(name); err != nil {
		return err
	}
	key := compareKey(name)
	for _, c := range b.contacts {
		if !c.gone() && c.Hashid != id && c.key == key {
			return fmt.Errorf("the name %q is taken by another contact", name)
		}
	}
	return nil
}

// Yield returns the rejected and blocked contacts that give up their names when id is
// called name, under their new ones. The book has the old ones until they are Put.
func (b *Book) Yield(name string, id hashid.ID) []Contact {
	var renamed []Contact
	key := compareKey(name)
	for _, c := range b.contacts {
		if c.gone() && c.Hashid != id && c.key == key {
			nameless := c.Contact
			nameless.Name = Nameless(c.Hashid)
			renamed = append(renamed, nameless)
		}
	}
	return renamed
}

// Nameless is what a contact without a name of its own goes by.
func Nameless(id hashid.ID) string { return id.String() }

// NameFor returns a local name for a person who calls itself nick: the nick, if it is
// a name, and nobody in the book has it or one that looks like it; the nick with the
// beginning of the hashid; or else that beginning alone.
func (b *Book) NameFor(nick string, id hashid.ID) string {
	letters := id.String()
	if name, err := Normal(clean(nick)); err == nil {
		if b.free(name, id) && !b.resembled(name, id) {
			return name
		}
		if name += "-" + letters[:tagSize]; b.free(name, id) {
			return name
		}
	}
	for n := 2 * tagSize; n < len(letters); n++ {
		if b.free(letters[:n], id) {
			return letters[:n]
		}
	}
	return letters // never reached: the person would have to call forty people so
}

// free reports whether a name may be given to id and is nobody's.
func (b *Book) free(name string, id hashid.ID) bool {
	return b.CheckName(name, id) == nil && len(b.Yield(name, id)) == 0
}

// resembled reports whether a contact other than id has a name that looks like name.
func (b *Book) resembled(name string, id hashid.ID) bool {
	for other := range b.alike.names.like(looksOf(name)) {
		if other != id {
			return true
		}
	}
	return false
}

// checkSpelling tests what can be said of a name rune by rune.
func checkSpelling(name string) error {
	switch {
	case name == "":
		return errors.New("a name is missing")
	case len(name) > MaxName || !utf8.ValidString(name):
		return fmt.Errorf("a name is UTF-8 of at most %d bytes", MaxName)
	case strings.ContainsAny(name[:1], "@#/-"):
		return errors.New("a name does not begin with @, #, / or -")
	}
	if _, err := hashid.Parse(name); err == nil {
		return errors.New("a name is no hashid")
	}
	for _, r := range name {
		if !validRune(r) {
			return errRunes
		}
	}
	return nil
}

// checkMarks tests that marks sit on something, and do not pile up (Unicode
// Technical Standard #39, section 5.4).
func checkMarks(name string) error {
	marks, last := maxMarks, rune(0) // nothing to sit on yet
	for _, r := range norm.NFKD.String(name) {
		if !unicode.Is(unicode.M, r) {
			marks, last = 0, 0
			continue
		}
		if marks++; marks > maxMarks || r == last && unicode.Is(unicode.Mn, r) {
			return errors.New("a name has its marks on letters, four on each at most, and none twice")
		}
		last = r
	}
	return nil
}

// clean leaves out what a name is not made of.
func clean(name string) string {
	return strings.Map(func(r rune) rune {
		if validRune(r) {
			return r
		}
		return -1
	}, name)
}

// validRune holds for what is visible, cannot move what stands around it, and cannot
// be taken for what our own lines put around a name.
func validRune(r rune) bool {
	return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S, unicode.Mn, unicode.Mc) && r != utf8.RuneError &&
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) && !Blank(r) && !encloses(r)
}

// Blank holds for the letters and signs that fonts draw as an empty space, and
// that Unicode does not list as ignorable.
func Blank(r rune) bool {
	switch r {
	case '\u2800', // braille pattern blank
		'\U00013441', '\U00013442', // Egyptian hieroglyph full and half blank
		'\U00016fe4', // Khitan small script filler
		'\U0001d159': // musical symbol null notehead
		return true
	}
	return false
}

// encloses holds for brackets, quotes and colons, and what looks like them: a person
// called "ada: yes" would say things in ada's name. The apostrophes of names pass.
func encloses(r rune) bool {
	switch r {
	case '\'', '\u2019':
		return false
	case '`', '⏎':
		return true
	}
	switch prototype(r) {
	case ":", ";", "<", ">", "''", "(", ")", "[", "]", "{", "}", "\\":
		return true
	}
	return unicode.In(r, unicode.Ps, unicode.Pe, unicode.Pi, unicode.Pf)
}
