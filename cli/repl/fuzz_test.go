package repl

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"chatnt/node/control"
)

// FuzzColours: nothing that a line may hold steers the terminal, but for colours,
// line ends and tabs; and what is left is left alone.
func FuzzColours(f *testing.F) {
	for _, s := range []string{
		"", "plain ü", "\x1b[1;31mred\x1b[0m", "\x1b[mx", "\x1b[2Jx\x1b", "\x1b[31", "\x1b[3\x1b[0m1m", "\x1b\x07[0m", "\x1b[0;\x9b1m", "\u009b31m",
		"\xff\x1b[0m", "a\nb\tc\rd\a", "\x1b]52;c;eA==\x07", "\x1bP\x1b[0m\x1b\\", "\x1b[" + strings.Repeat("1;", 500) + "m", "\xc2", "\x1b[१m",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := coloursOnly(s)
		if !utf8.ValidString(got) {
			t.Fatalf("%q became %q", s, got)
		}
		if again := coloursOnly(got); again != got {
			t.Fatalf("%q became %q, and that %q", s, got, again)
		}
		for rest := got; rest != ""; {
			_, size := utf8.DecodeRuneInString(rest)
			if r := rune(rest[0]); r == 0x1b {
				end := strings.IndexByte(rest, 'm')
				if end < 2 || rest[1] != '[' || strings.Trim(rest[2:end], "0123456789;") != "" {
					t.Fatalf("%q became %q", s, got)
				}
				size = end + 1
			} else if r < 0x20 && r != '\n' && r != '\t' || r == 0x7f || rest[0] == 0xc2 && rest[1] < 0xa0 {
				t.Fatalf("%q became %q", s, got)
			}
			rest = rest[size:]
		}
	})
}

// FuzzShown puts hostile text into everything that a person is shown of others:
// each takes the lines it should, whatever the text says, and steers nothing.
func FuzzShown(f *testing.F) {
	for _, s := range []string{
		"", "bob", "\n[12:01] alice: hi", "\r\x1b[A", "\u202egpj.exe", "\u2028", "\"\n    and says \"", "\\\"", "\xff\xfe", "\u200b", "a\u0301\u0302\u0303\u0304\u0305\u0306",
		"\U000e0041", "\x1b]8;;http://x\x1b\\y", "%s%n", strings.Repeat("\n", 50), "\ufeff\u00ad", "\ue00a",
	} {
		f.Add(s, "bob")
		f.Add("bob", s)
	}
	at := time.Unix(0, 0)
	f.Fuzz(func(t *testing.T, one, two string) {
		quoted := func(s string) int { return min(len(s), 1) } // a line of its own if there is something to say
		for _, shown := range []struct {
			text  string
			lines int
		}{
			{Event(control.MessageReceived{From: "h", Name: one, Text: two, At: at}), 1},
			{Event(control.MessageReceived{From: "h", Name: one, Text: two, At: at, Again: true}), 1},
			{Event(control.Ready{Hashid: "h", Network: one}), 1},
			{Event(control.ContactChanged{Local: one, State: "requested"}), 1},
			{Event(control.ContactChanged{Local: one, State: "accepted"}), 1},
			{Event(control.ContactChanged{Local: one, State: "rejected"}), 1},
			{Event(control.RequestReceived{From: "h", Nick: one, Text: two}), 2 + quoted(one) + quoted(two)},
			{Event(control.ContactChanged{Local: one, Tag: "tag", State: "blocked"}), 1},
			{Event(control.ContactChanged{Local: one, State: "removed"}), 1},
			{Event(control.StatusChanged{ID: "1", State: "failed", Reason: one}), 1},
			{Event(control.Warning{About: "key", Text: one}), 1},
			{Result(control.Nick{Nick: one}), 1},
			{Result(control.Contact{Name: one, Tag: "tag"}), 1},
			{Result(control.Compared{Safety: control.Safety{Name: one}}), 1},
			{Result(control.Safety{Name: one, Digits: "1 2 3 4 5 6 7", Words: "a"}), 5},
			{Result(control.Settings{Name: one, TTL: 60}), 1},
			{Result(control.History{Texts: []control.Said{{Name: one, Tag: "tag", Text: two}}}), 1},
			{Result(control.Text{State: "queued", Reason: two}), 1},
			{Result(control.Conversation{Name: one}), 1},
			{Result(control.Contacts{Contacts: []control.Contact{{Name: one, Nick: two, State: "accepted"}}}), 1},
			{Result(control.Requests{Requests: []control.Request{{From: "h", Name: one, Text: two}}}), 1 + quoted(one) + quoted(two)},
		} {
			if lines := strings.Count(shown.text, "\n") + 1; lines != shown.lines {
				t.Errorf("%q, %q: %d lines, want %d: %q", one, two, lines, shown.lines, shown.text)
			}
			if i := strings.IndexFunc(shown.text, func(r rune) bool {
				return r != '\n' && string(r) != fence && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
			}); i >= 0 || !utf8.ValidString(shown.text) {
				t.Errorf("%q, %q: steers the terminal: %q", one, two, shown.text)
			}
		}
	})
}
