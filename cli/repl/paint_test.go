package repl

import (
	"strings"
	"testing"
	"unicode"
)

func TestPaint(t *testing.T) {
	for line, want := range map[string]string{
		"hello, wörld":           "hello, wörld",
		"one\ue00atwo":           "one⏎two",
		"a\u202eb\u2066c\u2069":  "abc",
		"zero\u200bwidth\u2060":  "zerowidth",
		"\U000e0041tag\u00ad":    "tag",
		"می\u200cخواهم":          "میخواهم",
		"❤\ufe0f 👨\u200d👩":       "❤ 👨👩",
		"a\u2028b\u2029c":        "a⏎b⏎c",
		"\ue123\u0378\U0010fffd": "���",
		"a\u3164b":               "a��b", // as wide as it was
		"é e\u0301":              "é e\u0301",
		"李":                      "李",
		"\n":                     "\n", // never in a line: the line editor's own
		"\ufffd":                 "\ufffd",
		"a\x1e\x1db":             "ab", // keys of our own, there for a moment
		"e" + strings.Repeat("\u0301\u0302", 9) + "f\u0303": "e\u0301\u0302\u0301\u0302f\u0303",
	} {
		if got := string(paint([]rune(line), 0)); got != want {
			t.Errorf("%+q is shown as %+q, want %+q", line, got, want)
		}
	}
}

// FuzzPaint: whatever is pasted, the line keeps it, and what is shown of it takes the cells that the line editor
// counts, and does nothing else.
func FuzzPaint(f *testing.F) {
	for _, s := range []string{
		"", "hi", "a\u202e\u05d0\u0661b", "\r\n\t\x1b[2J\u009b", "👨‍👩‍👧‍👦❤️", "\u2028\u2029\u0085", "\u3164\u115f\u034f", "e\u0301\u0301\u0301\u0301\u0301", "\ue00a\U000f0000\U000e01ef",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		line := pastedRunes(s)
		before := string(line)
		shown := paint(line, 0)
		if string(line) != before {
			t.Fatalf("%+q has become %+q", before, line)
		}
		cells := func(runes []rune) (n int) {
			for _, r := range runes {
				n += counted(r)
			}
			return n
		}
		if cells(shown) != cells(line) {
			t.Fatalf("%+q has %d cells and is shown in %d", line, cells(line), cells(shown))
		}
		marks := 0
		for _, r := range shown {
			if marks++; !unicode.In(r, unicode.Mn, unicode.Me) {
				marks = 0
			}
			if isHidden(r) || isLineBreak(r) || marks > maxMarks {
				t.Fatalf("%+q is shown as %+q", line, shown)
			}
		}
	})
}
