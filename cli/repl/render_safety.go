package repl

import (
	"fmt"
	"slices"
	"strings"

	"chatnt/node/control"
)

// safetyNumber shows a safety number for two people to compare.
func safetyNumber(s control.Safety) string {
	var b strings.Builder
	name := called(s.Name, s.Tag)
	if s.Changed {
		fmt.Fprintf(&b, "The identity key of %s has changed: this is the number of the new key, which is not used yet.\n", name)
	}
	fmt.Fprintf(&b, "Compare this number with %s, over the phone or side by side: one of its forms is enough.\n", name)
	rows(&b, s.Digits, 6)
	rows(&b, s.Words, 5)
	verify := "/verify " + Inline(s.Name)
	switch {
	case s.Changed:
		fmt.Fprintf(&b, "If it is the same: %s yes, and the new key is theirs. If not, or while you cannot tell: %s no, and it is refused.\n", verify, verify)
	case s.Verified:
		fmt.Fprintf(&b, "You have compared it; %s no takes that back.\n", verify)
	default:
		fmt.Fprintf(&b, "If it is the same: %s yes. If not, somebody stands between you two: %s no.\n", verify, verify)
	}
	return b.String()
}

// rows writes words, some to a row.
func rows(b *strings.Builder, words string, each int) {
	for row := range slices.Chunk(strings.Fields(words), each) {
		fmt.Fprintf(b, "  %s\n", strings.Join(row, " "))
	}
}

// compared says what the answer to a safety number has changed.
func compared(c control.Compared) string {
	name := called(c.Name, c.Tag)
	switch {
	case c.Verified:
		return fmt.Sprintf("%s is verified.\n", name)
	case c.Changed:
		return fmt.Sprintf("%s has another key still: see /verify.\n", name)
	}
	return fmt.Sprintf("%s is not verified.\n", name)
}

// textStatus says how far a text of one's own has come.
func textStatus(t control.Text) string {
	if t.Reason == "" {
		return t.State
	}
	return t.State + ": " + Inline(t.Reason)
}
