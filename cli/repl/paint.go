package repl

import (
	"slices"
	"unicode"

	"golang.org/x/text/width"
)

// paint shows the line being typed, which may be a paste of what others wrote: nothing in it
// steers the terminal, hides or turns round what stands there, or reaches into other rows. The
// line itself keeps every rune, as do its copies.
//
// The line editor finds the cursor's place by the widths of what is in the line, so each rune is shown
// in as many cells as it counts. It counts none for what is invisible, of which nothing is shown then; Persian
// words and many emoji are typed with such.
func paint(line []rune, _ int) []rune {
	shown := make([]rune, 0, len(line))
	marks := 0 // on one letter
	for _, r := range line {
		n := counted(r)
		switch {
		case r == newline, isLineBreak(r) && n > 0:
			shown = append(shown, newlineSign)
		case isHidden(r) && r != '\n': // the line editor's own, after the Enter key
			shown = append(shown, slices.Repeat([]rune{hiddenSign}, n)...)
		case n > 0 || marks < maxMarks:
			shown = append(shown, r)
		}
		if marks++; n > 0 {
			marks = 0
		}
	}
	return shown
}

// counted is how many cells the line editor counts for r in a line, a tab aside, which is not let in.
func counted(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cc, unicode.Cf):
		return 0
	case wide(r):
		return 2
	}
	return 1
}

// wide holds for what Unicode Standard Annex #11 has two cells wide everywhere.
func wide(r rune) bool {
	kind := width.LookupRune(r).Kind()
	return kind == width.EastAsianWide || kind == width.EastAsianFullwidth
}
