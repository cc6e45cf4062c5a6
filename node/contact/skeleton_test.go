package contact

import (
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Known answers of confusables.txt, a few of each script.
func TestPrototype(t *testing.T) {
	for from, to := range map[rune]string{
		'a': "a", 'z': "z", 'O': "O", ' ': " ", '\n': "\n", '-': "-", utf8.RuneError: "\ufffd", '李': "李", 'é': "é", // themselves
		'0': "O", '1': "l", 'I': "l", '|': "l", 'm': "rn", '"': "''",
		'а': "a", 'е': "e", 'о': "o", 'р': "p", 'с': "c", 'у': "y", 'х': "x", 'і': "i", 'ѕ': "s", 'В': "B", 'Н': "H", 'З': "3",
		'α': "a", 'ο': "o", 'ν': "v", 'Α': "A", 'Ρ': "P", 'γ': "y", 'օ': "o", 'ա': "w", 'Ꭺ': "A", 'ꓐ': "B", 'ⲟ': "o",
		'ı': "i", 'ɑ': "a", 'ø': "o", 'æ': "ae", '\u2236': ":", '\u05c3': ":", '\u2010': "-",
	} {
		if got := prototype(from); got != to {
			t.Errorf("prototype(%q) = %q, want %q", from, got, to)
		}
	}
}

// The table is what prototype needs it to be.
func TestConfusables(t *testing.T) {
	seen, likes, n := make(map[rune]bool), "", 0
	for line := range strings.SplitSeq(strings.TrimSuffix(confusables, "\n"), "\n") {
		from, like, ok := strings.Cut(line, " ")
		if !ok || from == "" || like == "" || strings.Contains(like, " ") || !utf8.ValidString(line) {
			t.Fatalf("odd line %+q", line)
		}
		if got := norm.NFKD.String(like); got != like {
			t.Errorf("%+q is not normalised", like)
		}
		for _, r := range from {
			n++
			if seen[r] || norm.NFKD.String(string(r)) != string(r) {
				t.Errorf("%U is there twice, or never looked up", r)
			}
			seen[r] = true
			if got := prototype(r); got != like {
				t.Errorf("prototype(%U) = %+q, want %+q", r, got, like)
			}
		}
		likes += like
	}
	for _, r := range likes {
		if seen[r] {
			t.Errorf("%U looks like another, and others like it", r)
		}
	}
	if n != 2042 {
		t.Errorf("%d characters", n)
	}
}

func TestLookAlikes(t *testing.T) {
	for _, pair := range [][2]string{
		{"bob", "bob"},
		{"bob", "BOB"},
		{"bob", "b0b"},
		{"bob", "b\u043eb"},
		{"bob", "ВОВ"},
		{"вов", "BOB"},
		{"BOB", "ΒΟΒ"},
		{"ВОВ", "ʙoʙ"},
		{"Bvo", "Вνo"},
		{"alice", "a1ice"},
		{"alice", "aIice"},
		{"alice", "a|ice"},
		{"Ian", "lan"},
		{"ian", "1an"},
		{"ian", "ıan"},
		{"Fiona", "Flona"},
		{"Marnie", "Mamie"},
		{"tom", "torn"},
		{"TOM", "torn"},
		{"ToM", "Torn"},
		{"zoë", "zoe"},
		{"zoe\u0308", "Zoé"},
		{"ø", "o"},
		{"caesar", "cæsar"},
		{"paypal", "раураӏ"},
		{"coco", "сосо"},
		{"HOPE", "НОРЕ"},
		{"ABE", "ΑΒΕ"},
		{"bob", "\uff42\uff4f\uff42"},
		{"bob", "\U0001d41b\U0001d428\U0001d41b"},
		{"bob", "b\u200bob"},
		{"bob", "bo\u0336b"},
		{"bob", "b ob"},
		{"alice", "alice:"},
		{"alice", "(alice)"},
		{"a-b", "a\u2010b"},
		{"ООО", "000"},
		{"seo", "ѕео"},
		{"AB", "ꓮꓐ"},
		{"king", "кing"},
		{"Jan", "Јаn"},
		{"ΝΙΚΟΣ", "νικος"},
	} {
		if x, y := looksOf(pair[0]), looksOf(pair[1]); !x.resemble(y) || !y.resemble(x) {
			t.Errorf("%+q and %+q do not look alike: %+q, %+q", pair[0], pair[1], x, y)
		}
	}
	for _, pair := range [][2]string{
		{"bob", "rob"},
		{"bob", "bobby"},
		{"ada", "eve"},
		{"anna", "hanna"},
		{"李", "王"},
		{"Дима", "Дина"},
		{"राम", "श्याम"},
		{"김", "박"},
		{"a-b", "ab"},
		{"van", "nan"},
		{"", ""},
		{"", "bob"},
		{"\u200b", "\u202e"},
		{"\u0301", "\u0302"},
	} {
		if looksOf(pair[0]).resemble(looksOf(pair[1])) {
			t.Errorf("%+q and %+q look alike: %+q", pair[0], pair[1], looksOf(pair[0]))
		}
	}
}

func BenchmarkLooks(b *testing.B) {
	for script, name := range map[string]string{"Latin": "alice", "Cyrillic": "Александра", "Han": strings.Repeat("漢", 21)} {
		b.Run(script, func(b *testing.B) {
			for b.Loop() {
				looksOf(name)
			}
		})
	}
}
