package repl

import "strings"

// coloursOnly drops every control from s but line ends, tabs and whole SGR
// sequences, ESC [ digits and semicolons m: a caller's slip must not reach the
// terminal, and the line editor's own width count runs past the end of an
// unfinished sequence.
func coloursOnly(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == '\n', r == '\t':
		case r == 0x1b && isSGR(s[i:]):
		case r < 0x20, r >= 0x7f && r < 0xa0:
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// isSGR reports whether s begins with a whole SGR sequence.
func isSGR(s string) bool {
	args, found := strings.CutPrefix(s, "\x1b[")
	if !found {
		return false
	}
	args = strings.TrimLeft(args, "0123456789;")
	return strings.HasPrefix(args, "m")
}
