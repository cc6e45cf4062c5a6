package contact

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// checkScripts tells why the letters of a normalised name do not go together, or nil:
// a name is of one script, or of Latin and one of the three ways in which Chinese,
// Japanese and Korean are written, which is "Highly Restrictive" in Unicode Technical
// Standard #39, section 5.2; and its digits are of one system (section 5.3). So
// nobody puts a Cyrillic letter into a Latin name; names that are of another script
// from end to end are the business of the skeleton.
//
// What Unicode counts as Common or Inherited, most signs and marks, goes with every
// script. Script_Extensions, which the unicode package does not have, would say more
// of a few hundred characters: those that they would tie to some scripts (the
// Japanese long-vowel mark, the Arabic-Indic digits) pass here with any, those that they
// would lend to a second one (most of these, of Indic scripts) stay with their own.
func checkScripts(name string) error {
	scripts, zeros := make(map[string]bool), make(map[rune]bool)
	for _, r := range name {
		if script := scriptOf(r); script != "Common" && script != "Inherited" {
			scripts[script] = true
		}
		if zero, ok := zeroOf(r); ok {
			zeros[zero] = true
		}
	}
	if len(zeros) > 1 {
		return fmt.Errorf("a name keeps to one kind of digits, and this one mixes %d", len(zeros))
	}
	if len(scripts) > 1 && !within(scripts, "Latin", "Han", "Hiragana", "Katakana") &&
		!within(scripts, "Latin", "Han", "Bopomofo") && !within(scripts, "Latin", "Han", "Hangul") {
		mixed := strings.ReplaceAll(strings.Join(slices.Sorted(maps.Keys(scripts)), " and "), "_", " ")
		return fmt.Errorf("a name keeps to one script, and this one mixes %s letters", mixed)
	}
	return nil
}

func within(scripts map[string]bool, set ...string) bool {
	for script := range scripts {
		if !slices.Contains(set, script) {
			return false
		}
	}
	return true
}

// scriptOf returns the script that r is counted to, as the unicode package names it.
func scriptOf(r rune) string {
	if r < unicode.MaxASCII {
		if unicode.IsLetter(r) {
			return "Latin"
		}
		return "Common"
	}
	for script, table := range unicode.Scripts { // one has it at most
		if unicode.Is(table, r) {
			return script
		}
	}
	return "Common" // not in this version of Unicode: letters of a name always are
}

// zeroOf returns the zero of the decimal digits that r is one of. They stand ten in a
// row from a zero on, everywhere in Unicode, and two such rows touch among the
// digits of mathematics only, which a normalised name does not have.
func zeroOf(r rune) (zero rune, ok bool) {
	if !unicode.Is(unicode.Nd, r) {
		return 0, false
	}
	for unicode.Is(unicode.Nd, r-1) {
		r--
	}
	return r, true
}
