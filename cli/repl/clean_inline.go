package repl

import (
	"strconv"

	"golang.org/x/text/unicode/bidi"
)

// fence is the left-to-right mark. It is as wide as nothing and stands, to a terminal
// that draws from right to left, for a letter that runs from left to right.
const fence = "\u200e"

// Inline makes what others wrote safe to stand in a line of ours, beside names, times
// and other people's text: it is Clean, and what runs from right to left is fenced.
// Inline(Inline(s)) == Inline(s).
//
// A terminal that knows the Unicode Bidirectional Algorithm (Unicode Standard Annex #9)
// draws digits and signs that follow Hebrew or Arabic letters to the left of them,
// across the end of a name: "[12:01] NAME: 5" can show as "[12:01] 5 :NAME". With a
// strong left-to-right character on either side, what is between neither takes in what is
// around it (rules W2, W7, N1 and N2 look no further) nor makes the line begin on the
// right (P2). Isolates would do the same, are younger, and are a box on the screen of
// many a terminal that knows nothing of all this; the mark is not, and moves nothing
// there. Clean drops the marks of others, so nobody opens or closes a fence but we.
func Inline(s string) string {
	s = Clean(s)
	if runsLeft(s) {
		return fence + s + fence
	}
	return s
}

// runsLeft reports whether something in s runs from right to left.
func runsLeft(s string) bool {
	for s != "" {
		properties, size := bidi.LookupString(s)
		switch properties.Class() {
		case bidi.R, bidi.AL, bidi.AN:
			return true
		}
		s = s[max(size, 1):]
	}
	return false
}

// called is how a name that others may have chosen is shown, with its tag where one is needed.
// No name has brackets.
func called(name, tag string) string {
	if tag == "" {
		return Inline(name)
	}
	return Inline(name) + " [" + tag + "]"
}

// quote is how words of a stranger are shown: in quotes, with those that they hold escaped.
func quote(s string) string { return Inline(strconv.Quote(Clean(s))) }
