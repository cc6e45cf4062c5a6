package repl

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// hanging stands before each row of a line but the first. No line of ours begins with
	// so many spaces, so nobody who writes a long text decides what a line of ours looks
	// like: a terminal that broke it by itself would begin the next row with any word of it.
	hanging = "        "

	// hangFrom is the least width, in cells, at which rows have an indent: below it they
	// would be nothing else.
	hangFrom = 20
)

// hang breaks each line of s that does not fit a terminal of some cells in width into rows,
// between words where it can. The rows fit whatever the terminal takes a character's width for:
// see cells.
//
// A row that runs from right to left begins with a fence, see Inline: else it would be drawn
// from the right edge on, and what is its end in the first column.
func hang(s string, columns int) string {
	if columns < hangFrom || len(s) <= columns && !strings.Contains(s, "\n") && isASCII(s) {
		return s
	}
	var b strings.Builder
	for i, line := range strings.Split(s, "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		n := fit(line, columns)
		b.WriteString(line[:n])
		for line = strings.TrimLeft(line[n:], " "); line != ""; line = strings.TrimLeft(line[n:], " ") {
			n = fit(line, columns-len(hanging))
			b.WriteByte('\n')
			if runsLeft(line[:n]) {
				b.WriteString(fence)
			}
			b.WriteString(hanging)
			b.WriteString(line[:n])
		}
	}
	return b.String()
}

// fit returns how many bytes of a line, at least one character, go into a row: all, or up to
// the last space that stands behind something, or as many as there is room for.
func fit(line string, room int) int {
	used, space, base, written := 0, 0, 0, false // base: where the last character that marks sit on begins
	for i := 0; i < len(line); {
		if n := sgr(line[i:]); n > 0 {
			i += n
			continue
		}
		r, size := utf8.DecodeRuneInString(line[i:])
		if r == ' ' && written {
			space = i
		}
		if !unicode.Is(unicode.M, r) {
			base = i
		}
		if used += cells(r); used > room {
			switch {
			case space > 0:
				return space
			case base > 0:
				return base
			case i > 0:
				return i
			}
			return size
		}
		written = written || r != ' '
		i += size
	}
	return len(line)
}

// cells is the most cells that a terminal gives to r, not counting what is wrong with it.
// Terminals do not agree on signs, emoji and marks. To count too many is to break a row too
// soon; to count too few is to leave the break to the terminal.
func cells(r rune) int {
	switch {
	case string(r) == fence:
		return 0
	case r == '\t':
		return 8
	case r < unicode.MaxASCII, unicode.Is(unicode.M, r):
		return 1
	case !unicode.IsLetter(r), wide(r):
		return 2
	}
	return 1
}

// sgr returns the length of the colour sequence that s begins with, 0 if there is none.
func sgr(s string) int {
	if !isSGR(s) {
		return 0
	}
	return strings.IndexByte(s, 'm') + 1
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= unicode.MaxASCII }) < 0
}
