package repl

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/bidi"

	"chatnt/node/control"
)

func TestHang(t *testing.T) {
	in := strings.Repeat(" ", len(hanging))
	for _, test := range []struct {
		columns int
		line    string
		want    string
	}{
		{20, "", ""},
		{20, "short", "short"},
		{20, "just twenty columns!", "just twenty columns!"},
		{20, "just twenty columns !", "just twenty columns\n" + in + "!"},
		{20, "[12:01] bob: one two three [12:02] alice: hi", "[12:01] bob: one two\n" + in + "three\n" + in + "[12:02]\n" + in + "alice: hi"},
		{20, "[12:01] bob: " + strings.Repeat("x", 20), "[12:01] bob:\n" + in + strings.Repeat("x", 12) + "\n" + in + strings.Repeat("x", 8)},
		{20, strings.Repeat("x", 21), strings.Repeat("x", 20) + "\n" + in + "x"},
		{20, "two\nlines, one of them long", "two\nlines, one of them\n" + in + "long"},
		{20, "a" + strings.Repeat(" ", 60) + "b", "a" + strings.Repeat(" ", 19) + "\n" + in + "b"},
		{20, "    " + strings.Repeat("y", 17), "    " + strings.Repeat("y", 16) + "\n" + in + "y"}, // its own indent is no place to break
		{19, strings.Repeat("x ", 40), strings.Repeat("x ", 40)},                                   // too narrow for an indent
		{20, "\x1b[1m" + strings.Repeat("x", 20) + "\x1b[0m", "\x1b[1m" + strings.Repeat("x", 20) + "\x1b[0m"},
		{20, strings.Repeat("李", 11), strings.Repeat("李", 10) + "\n" + in + "李"},
		{20, strings.Repeat("ж", 21), strings.Repeat("ж", 20) + "\n" + in + "ж"},
		{20, strings.Repeat("☃", 11), strings.Repeat("☃", 10) + "\n" + in + "☃"},                   // some draw it wide
		{20, strings.Repeat("x", 19) + "e\u0301", strings.Repeat("x", 19) + "\n" + in + "e\u0301"}, // a mark stays on its letter
		{20, "[12:01] bob: \u200eשלום 5 7 [12:02] x\u200e", "[12:01] bob: \u200eשלום 5\n" + in + "7 [12:02] x\u200e"},
		{20, "[12:01] bob: aaaaaaa bbbbbbbbb שלום 5 ccc ddd", "[12:01] bob: aaaaaaa\n" + in + "bbbbbbbbb\n\u200e" + in + "שלום 5 ccc\n" + in + "ddd"}, // each row for itself
		{20, "[12:01] bob: aaaaaaa שלום 5", "[12:01] bob: aaaaaaa\n\u200e" + in + "שלום 5"},
	} {
		if got := hang(test.line, test.columns); got != test.want {
			t.Errorf("hang(%q, %d) =\n%q, want\n%q", test.line, test.columns, got, test.want)
		}
	}
}

// A history of the longest texts, of nothing but what takes most rows, is broken in one go through each.
func TestHangTakesLongTexts(t *testing.T) {
	const long = 30_000 // bytes: a text has hardly more
	h := control.History{}
	for range 20 {
		h.Texts = append(h.Texts, control.Said{Name: "bob", Text: strings.Repeat("\n", long)})
	}
	for _, columns := range []int{hangFrom, 80} {
		rows := strings.Split(hang(Result(h), columns), "\n")
		breaks := 0
		for _, row := range rows {
			breaks += strings.Count(row, "⏎")
		}
		if fit := (columns - len(hanging)) / 4; breaks != len(h.Texts)*long || len(rows) < breaks/(fit+1) {
			t.Errorf("%d line ends are in %d rows of %d cells", breaks, len(rows), columns)
		}
	}
}

// ours is how each line begins that the program makes of its own.
var ours = regexp.MustCompile(`^(\[|  ?\(|  [a-z2-7]{56}|    (calls|and) |error: |> |Somebody |Ready )`)

// FuzzHang: whatever a text is, its rows fit, nothing of it is lost but spaces, and no row but the first
// begins as a line of ours does, or is drawn from the right.
func FuzzHang(f *testing.F) {
	for _, s := range []string{
		"", "hi", "[12:01] alice: hi", strings.Repeat("x ", 50), strings.Repeat("x", 200), "  (deadbeef delivered)", strings.Repeat(" ", 200) + "[12:01] alice: hi",
		"שלום [12:01] alice: hi שלום שלום שלום", strings.Repeat("李", 99), "e" + strings.Repeat("\u0301\u0302", 99), "👨‍👩‍👧‍👦☃❤", "\x1b[31m", "a\tb", "\u200e\u200e", "ﷺﷺﷺﷺﷺﷺﷺﷺﷺ",
	} {
		f.Add(s, byte(0))
		f.Add(s, byte(27))
	}
	f.Fuzz(func(t *testing.T, text string, more byte) {
		columns := hangFrom + int(more)
		line := "[12:00] " + called("bob", "") + ": " + Inline(text)
		rows := strings.Split(hang(line, columns), "\n")
		for i, row := range rows {
			used := 0
			for _, r := range row {
				used += cells(r)
			}
			if used > columns || !utf8.ValidString(row) {
				t.Fatalf("%q: row %d, %q, has %d cells of %d", line, i, row, used, columns)
			}
			if i == 0 {
				continue
			}
			bare, fenced := strings.CutPrefix(row, fence)
			if !strings.HasPrefix(bare, hanging) || ours.MatchString(row) || ours.MatchString(bare) {
				t.Fatalf("%q: row %d is %q", line, i, row)
			}
			if !fenced && runsLeft(row) {
				var p bidi.Paragraph
				if _, err := p.SetString(row); err != nil {
					t.Fatal(err)
				}
				if order, err := p.Order(); err != nil || order.Direction() == bidi.RightToLeft {
					t.Fatalf("%q: row %d, %q, is drawn from the right, %v", line, i, row, err)
				}
			}
		}
		bare := func(s string) string { return strings.NewReplacer(" ", "", fence, "", "\n", "").Replace(s) }
		if got := bare(strings.Join(rows, "")); got != bare(line) {
			t.Fatalf("%q is shown as %q", bare(line), got)
		}
	})
}
