package repl

import (
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/bidi"
)

func TestInline(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "bob": "bob", "héllo 5": "héllo 5", "李": "李", "\x1b[31mred": "red",
		"נועה":                         fence + "נועה" + fence, // Hebrew
		"ليلى":                         fence + "ليلى" + fence, // Arabic
		"bob \u0661":                   fence + "bob \u0661" + fence,
		"bob\u200fby":                  "bobby", // a mark of theirs is none of ours
		fence + "bob" + fence:          "bob",
		"\u05d0" + fence + fence + "1": fence + "\u05d01" + fence,
	} {
		if got := Inline(in); got != want {
			t.Errorf("Inline(%+q) = %+q, want %+q", in, got, want)
		}
	}
}

// shownOutside draws a line as a terminal does that knows the Bidirectional Algorithm
// and finds a line's direction by itself, and reports whether anything but the parts
// that others wrote, given by where they begin and end in runes, runs from right to left.
func shownOutside(t *testing.T, line string, parts ...[2]int) bool {
	t.Helper()
	var p bidi.Paragraph
	if _, err := p.SetString(line); err != nil {
		t.Fatalf("%+q: %v", line, err)
	}
	order, err := p.Order()
	if err != nil {
		t.Fatalf("%+q: %v", line, err)
	}
	outside := order.Direction() == bidi.RightToLeft
	for i := range order.NumRuns() {
		run := order.Run(i)
		start, end := run.Pos()
		within := false
		for _, part := range parts {
			within = within || part[0] <= start && end < part[1]
		}
		outside = outside || run.Direction() == bidi.RightToLeft && !within
	}
	return outside
}

// message is a line as a message is shown, and where its name and its text stand.
func message(name, text string) (line string, parts [][2]int) {
	at := func(s string) { line += s }
	at("[12:01] ")
	for i, part := range []string{name, text} {
		start := utf8.RuneCountInString(line)
		at(part)
		parts = append(parts, [2]int{start, utf8.RuneCountInString(line)})
		if i == 0 {
			at(": ")
		}
	}
	return line, parts
}

func TestInlineKeepsTheOrder(t *testing.T) {
	for _, test := range [][2]string{
		{"נועה", "5 apples"}, {"נועה", "hi"}, {"נועה", "שלום"}, {"נועה(", ")"}, {"ليلى", "12:05 - 3"}, {"ليلى", "+5%"}, {"נ1", "1"}, {"1נ", "/2"},
	} {
		line, parts := message(Clean(test[0]), Clean(test[1]))
		if !shownOutside(t, line, parts...) {
			t.Errorf("%+q keeps its order by itself: it shows nothing here", line)
		}
		line, parts = message(Inline(test[0]), Inline(test[1]))
		if shownOutside(t, line, parts...) {
			t.Errorf("%+q is drawn out of order", line)
		}
	}
}

// FuzzInline: whatever a name and a text are, what stands around them is drawn where it
// stands, and they are what Clean makes of them.
func FuzzInline(f *testing.F) {
	for _, seed := range [][2]string{
		{"bob", "hi"}, {"נועה", "5 apples"}, {"נועה(", ")"}, {"ليلى", "12:05 - 3"}, {"\u202eאב", "\u2067x"}, {fence, "\u05d0" + fence}, {"\u0661", "[2]"}, {"\u05d0\u0301", "\u0301"}, {"א\n", "ב"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		for _, s := range []string{name, text} {
			in := Inline(s)
			if again := Inline(in); again != in {
				t.Fatalf("%q: %+q, and again %+q", s, in, again)
			}
			if strings.Trim(in, fence) != Clean(s) {
				t.Fatalf("%q: %+q, and clean it is %+q", s, in, Clean(s))
			}
		}
		line, parts := message(Inline(name), Inline(text))
		if shownOutside(t, line, parts...) {
			t.Errorf("%+q is drawn out of order", line)
		}
	})
}
