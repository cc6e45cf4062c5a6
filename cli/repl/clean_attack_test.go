package repl

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// What others may try, kind by kind. None of it reaches the screen, and what stands
// beside it does.
func TestCleanKinds(t *testing.T) {
	for kind, cases := range map[string]map[string]string{
		"control sequences": {
			"a\x1b[31mb\x1b[0m": "ab", "a\x1b[2J\x1b[1;1Hb": "ab", "a\x1b[?1049hb": "ab", "a\x1b[6nb": "ab", "a\x1b[8mb": "ab", "a\x1b[10Ab": "ab",
			"a\x1b[4;31": "a", "a\x1b[1\x1b[31mb": "ab", "\x1b[3\u00e91m": "\u00e91m", "a\x1b[31\nmb": "a ⏎ b",
		},
		"escapes of two and three bytes": {
			"a\x1bcb": "ab", "a\x1b#8b": "ab", "a\x1b(0lqk": "alqk", "a\x1b%Gb": "ab", "a\x1b7b\x1b8c": "abc", "a\x1bMb": "ab", "a\x1b": "a", "a\x1b\x1b": "a", "a\x0eb\x0fc": "abc",
		},
		"titles, links, the clipboard": {
			"a\x1b]0;title\x07b": "ab", "a\x1b]52;c;c2VjcmV0\x07b": "ab", "a\x1b]52;c;?\x1b\\b": "ab", "\x1b]8;;http://evil\x07click\x1b]8;;\x07": "click", "\x1b]8;id=1;http://evil\x1b\\click\x1b]8;;\x1b\\": "click",
			"a\x1b]9;note\x07b": "ab", "a\x1b]1337;File=:AAAA\x07b": "ab", "a\x1b]52;c;eA==": "a", "a\u009d0;t\u009cb": "a0;tb",
		},
		"strings of other kinds": {
			"a\x1bPq#0\x1b\\b": "ab", "a\x1b_Ga=T;AAAA\x1b\\b": "ab", "a\x1b^pm\x1b\\b": "ab", "a\x1bXsos\x1b\\b": "ab", "a\x1bP$q\"p\x1b\\b": "ab", "a\x1bPtmux;\x1b\x1b[2J\x1b\\b": "ab",
		},
		"C1 as a raw byte": {
			"a\x9b31mb": "a\ufffd31mb", "a\x9d0;t\x07b": "a\ufffd0;tb", "a\x90q\x9cb": "a\ufffdq\ufffdb", "a\x85b": "a\ufffdb",
		},
		"C1 in UTF-8": {
			"a\u009b31mb": "a31mb", "a\u0090q\u009cb": "aqb", "a\u0084b\u008dc": "abc", "a\u0085b": "a ⏎ b", "\u009b\u009b2J": "2J",
		},
		"sequences in cut runes": {
			"\xe2\x1b[31mred": "\ufffdred", "\xc2\x1b[31mred": "\ufffdred", "\xe2\x9b1m": "\ufffd1m", "\xf0\x9f\x1b]0;t\x07x": "\ufffdx", "\x1b\xff[31m": "\ufffd[31m", "\x1b\u00e9[31m": "\u00e9[31m",
			"\xc0\x9b31m": "\ufffd31m", "\xe0\x82\x9b31m": "\ufffd31m", "\xed\xa0\x80": "\ufffd", "\xf4\x90\x80\x80": "\ufffd", "\x1b[\xc3\xa9m": "\u00e9m",
		},
		"sequences that a removal would join": {
			"\x1b\x1b[0m[31m": "[31m", "\x1b\u200b[31m": "[31m", "\x1b\x00[31mb": "b", "\x1b]\x1b]0;t\x070;t\x07b": "0;tb", "\x1b\ufe0f]52;c;eA==\x07": "]52;c;eA==",
		},
		"bidirectional controls": {
			"a\u202eb\u202cc": "abc", "a\u202ab\u202bc\u202dd": "abcd", "\u2066a\u2069\u2067b\u2069\u2068c\u2069": "abc", "a\u200eb\u200fc\u061cd": "abcd", "a\u206ab\u206fc": "abc",
		},
		"zero width": {
			"a\u200bb\u200cc\u200dd": "abcd", "a\u2060b\ufeffc\u00add": "abcd", "a\u2061b\u2062c\u2063d\u2064e": "abcde", "a\u180eb\u034fc": "abc", "a\u17b4b\u17b5c": "abc",
		},
		"tags and selectors": {
			"a\U000e0001\U000e0041\U000e007fb": "ab", "a\ufe00b\ufe0fc\U000e0100d\U000e01efe": "abcde", "a\u180bb\u180fc": "abc", "a\U000e0fffb\u2065c": "abc",
		},
		"fillers and blanks": {
			"a\u3164b\uffa0c\u115fd\u1160e": "abcde", "a\u2800b": "a b", "a\U00013441b\U00013442c": "a b c", "a\U00016fe4b": "a b", "a\U0001d159b": "a b", "a\u00a0b\u3000c\u2007d\u1680e": "a b c d e",
		},
		"format characters of single scripts": {
			"a\ufff9b\ufffac\ufffbd": "abcd", "a\U0001d173b\U0001d17ac": "abc", "a\U00013430b": "ab", "a\U0001bca0b": "ab", "a\U000110bdb": "ab",
		},
		"what nobody can draw": {
			"a\ue000b\U000f0000c\U0010fffdd": "abcd", "a\ufdd0b\uffffc": "abc", "a\u0378b": "ab", "a\x00b\x7fc\x08d": "abcd",
		},
		"stacks of marks": {
			"a" + strings.Repeat("\u0301", 50) + "b": "a" + strings.Repeat("\u0301", 4) + "b", "a" + strings.Repeat("\u0489", 9): "a" + strings.Repeat("\u0489", 4),
			"a" + strings.Repeat("\u0301\u200d\u0302\U000e0041", 9): "a\u0301\u0302\u0301\u0302", "\u0301\u20e3a": "a", " " + strings.Repeat("\u0336", 9): " " + strings.Repeat("\u0336", 4),
		},
		"lines": {
			"a\nb\vc\fd\re\r\nf": "a ⏎ b ⏎ c ⏎ d ⏎ e ⏎ f", "a\u2028b\u2029c": "a ⏎ b ⏎ c", "hi\n[12:01] alice: yes": "hi ⏎ [12:01] alice: yes", "a\r\x1b[K[12:01] alice: yes": "a ⏎ [12:01] alice: yes", "a\tb": "a b",
		},
	} {
		for in, want := range cases {
			got := Clean(in)
			if got != want {
				t.Errorf("%s: Clean(%+q) = %+q, want %+q", kind, in, got, want)
			}
			if again := Clean(got); again != got {
				t.Errorf("%s: cleaned again, %+q is %+q", kind, got, again)
			}
		}
	}
}

// Every character on its own, between two letters: what is left are those two, and
// between them something that shows.
func TestCleanEveryRune(t *testing.T) {
	shown := 0
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		got := Clean("a" + string(r) + "b")
		between, ok := strings.CutPrefix(got, "a")
		between, ok2 := strings.CutSuffix(between, "b")
		if !ok || !ok2 {
			if r == 0x1b { // it takes what follows with it
				continue
			}
			t.Fatalf("%U: %+q", r, got)
		}
		switch between {
		case "", " ", lineBreak:
			continue
		case string(r):
			shown++
		default:
			t.Errorf("%U became %+q", r, between)
		}
		if !unicode.IsGraphic(r) || unicode.In(r, unicode.C, unicode.Z, unicode.Bidi_Control, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point, unicode.Join_Control) {
			t.Errorf("%U is shown", r)
		}
	}
	if shown < 100_000 {
		t.Errorf("%d characters are left", shown)
	}
}
