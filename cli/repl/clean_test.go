package repl

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"plain", "hello, world", "hello, world"},
		{"empty", "", ""},
		{"languages", "héllo Привет 你好 नमस्ते สวัสดี", "héllo Привет 你好 नमस्ते สวัสดี"},
		{"emoji", "👋 ok 👍🏽", "👋 ok 👍🏽"},
		{"emoji family", "👨\u200d👩\u200d👧", "👨👩👧"},
		{"colour", "\x1b[31mred\x1b[0m", "red"},
		{"clear the screen", "a\x1b[2J\x1b[Hb", "ab"},
		{"set the clipboard", "a\x1b]52;c;c2VjcmV0\x07b", "ab"},
		{"hyperlink", "\x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\", "click"},
		{"device control", "a\x1bPq#0;2;0;0;0\x1b\\b", "ab"},
		{"unfinished sequence", "a\x1b[31", "a"},
		{"8-bit CSI", "a\x9b31mb", "a\ufffd31mb"},
		{"C1 in UTF-8", "a\u009b31mb", "a31mb"},
		{"bell, backspace", "abc\a\b\b\x7fd", "abcd"},
		{"NUL", "a\x00b", "ab"},
		{"lines", "a\nb\r\nc\rd\u2028e\u0085f", "a ⏎ b ⏎ c ⏎ d ⏎ e ⏎ f"},
		{"tab and other spaces", "a\tb\u00a0c\u3000d", "a b c d"},
		{"right to left override", "file\u202egpj.exe", "filegpj.exe"},
		{"isolates", "\u2066a\u2069\u2067b\u2068c\u061c\u200e\u200f", "abc"},
		{"zero width", "a\u200bb\u200cc\u2060d\ufeffe\u00adf", "abcdef"},
		{"invisible letters", "a\u3164b\u115fc\uffa0d\u034fe", "abcde"},
		{"variation selectors", "a\ufe0fb\U000e0101c", "abc"},
		{"tags", "a\U000e0041\U000e0042b", "ab"},
		{"private use", "a\ue00ab\U000f0000c", "abc"},
		{"noncharacters", "a\ufffeb\ufdd0c\U0010ffffd", "abcd"},
		{"surrogate", "a\xed\xa0\x80b", "a\ufffdb"},
		{"cut rune that hides an escape", "\xe2\x1b[31mred", "\ufffdred"},
		{"marks", "e\u0301\u0302", "e\u0301\u0302"},
		{"flood of marks", "Z" + strings.Repeat("\u0301", 200) + "a", "Z" + strings.Repeat("\u0301", 4) + "a"},
		{"flood in disguise", "Z" + strings.Repeat("\u0301\u200b", 200), "Z" + strings.Repeat("\u0301", 4)},
		{"marks on nothing", "\u0301\u0302\u0303abc", "abc"},
		{"removal joins an escape", "\x1b\x1b[0m[31mred", "[31mred"},
		{"removal joins an escape, hidden", "\x1b\u200b[31mred", "[31mred"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Clean(test.in); got != test.want {
				t.Errorf("Clean(%q) = %q, want %q", test.in, got, test.want)
			}
		})
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{
		"", "hello\nworld", "\x1b[31mred\x1b]52;c;eA==\x07", "\xe2\x1b[2J", "\x1b\x1b[0m[31m", "\u009b1m\u202e",
		"e\u0301\u200b\u0301", "\x1bP\x9c\x1b\\", "👨\u200d👩", "\x1b]8;;\xc2\x9c\xff",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		clean := Clean(s)
		if !utf8.ValidString(clean) {
			t.Fatalf("%q: invalid UTF-8 %q", s, clean)
		}
		marks := 0
		for _, r := range clean {
			if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
				t.Fatalf("%q: %q holds %U", s, clean, r)
			}
			if marks++; !unicode.Is(unicode.M, r) {
				marks = 0
			}
			if marks > 4 {
				t.Fatalf("%q: %q stacks marks", s, clean)
			}
		}
		if again := Clean(clean); again != clean {
			t.Fatalf("%q: %q, and cleaned again %q", s, clean, again)
		}
	})
}
