// Package repl is the node for a person at a terminal: a line to type in, what
// happens above it, and everything that others wrote made safe to show.
package repl

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"

	"chatnt/node/contact"
)

const (
	// lineBreak stands where the writer ended a line: one message is one line on
	// the screen, so that nobody writes a line that looks like somebody else's.
	lineBreak = " ⏎ "

	// maxMarks is how many combining marks may sit on one letter. Written
	// languages use up to three; stacks of them reach into other lines.
	maxMarks = 4
)

// Clean makes what others wrote safe to print: text, nicknames, names of files.
// The result is valid UTF-8 on one line and nothing in it moves the cursor, hides or
// colours text, or turns its direction round. Escape sequences go with their arguments,
// line ends become " ⏎ ", other spaces, and what is drawn as one, a space, bytes that
// are not UTF-8 become U+FFFD, and dropped are controls, everything invisible
// (bidirectional controls, zero-width and default-ignorable characters, Unicode
// Standard Annex #44), private-use and unassigned characters, and combining marks
// beyond four on a letter.
//
// Joiners are invisible too: an emoji of several people becomes several emoji, and
// a few Persian and Indic ligatures come apart. Letters that merely look alike
// pass; that is for the tag beside a name. Letters that run from right to left may draw
// what follows into their run: Inline keeps them from it.
//
// Clean(Clean(s)) == Clean(s): nothing that it removes makes something else appear.
func Clean(s string) string {
	// In this order: Strip reads bytes, and believes the length that the first
	// byte of a rune announces. All that could start a sequence is dropped below,
	// whatever Strip left or brought together.
	s = ansi.Strip(strings.ToValidUTF8(s, string(utf8.RuneError)))
	s = strings.ReplaceAll(s, "\r\n", "\n")

	var b strings.Builder
	b.Grow(len(s))
	marks := maxMarks // nothing to sit on yet: marks would land on our own text
	for _, r := range s {
		switch {
		case isLineBreak(r):
			b.WriteString(lineBreak)
			marks = 0
		case r == '\t', unicode.Is(unicode.Zs, r), contact.Blank(r):
			b.WriteByte(' ')
			marks = 0
		case isHidden(r):
		case unicode.Is(unicode.M, r):
			if marks < maxMarks {
				b.WriteRune(r)
				marks++
			}
		default:
			b.WriteRune(r)
			marks = 0
		}
	}
	return b.String()
}

func isLineBreak(r rune) bool {
	switch r {
	case '\n', '\v', '\f', '\r', '\u0085', '\u2028', '\u2029':
		return true
	}
	return false
}

// isHidden reports whether r shows nothing of its own, or nobody knows what.
func isHidden(r rune) bool {
	return unicode.In(r,
		unicode.C, // control, format, private use, surrogate, unassigned
		unicode.Other_Default_Ignorable_Code_Point,
		unicode.Variation_Selector,
		unicode.Noncharacter_Code_Point,
	)
}
