package contact

import (
	"strings"
	"testing"
	"unicode"
)

func TestScripts(t *testing.T) {
	for _, good := range []string{
		"", "bob", "Дима", "Αλέξης", "נועה", "ليلى", "李明", "さくら", "サクラ", "김철수", "राम", "ก้อง", "გია", "Արամ",
		"bob1", "bob🦊", "Дима-1", "李bob", "さくらカード漢字abc", "김a漢", "ㄅ漢a", "é", "e\u0301", "д\u0301", "\u0661\u0662", "५७",
	} {
		if err := checkScripts(good); err != nil {
			t.Errorf("%+q: %v", good, err)
		}
	}
	for bad, mix := range map[string]string{
		"p\u0430ypal": "Cyrillic and Latin", "\u0391lice": "Greek and Latin", "аα": "Cyrillic and Greek", "김さ": "Hangul and Hiragana", "ㄅさ": "Bopomofo and Hiragana",
		"漢д": "Cyrillic and Han", "aա": "Armenian and Latin", "aᎪ": "Cherokee and Latin", "לa": "Hebrew and Latin", "राa": "Devanagari and Latin",
	} {
		if err := checkScripts(bad); err == nil || !strings.Contains(err.Error(), mix) {
			t.Errorf("%+q: %v", bad, err)
		}
	}
	for _, bad := range []string{"1\u0661", "\u0661\u06f1", "५5"} {
		if err := checkScripts(bad); err == nil || !strings.Contains(err.Error(), "digits") {
			t.Errorf("%+q: %v", bad, err)
		}
	}
}

// Digits stand as zeroOf takes them to: of every digit that a name can have, the zero
// is one, and ten follow it.
func TestDigitsStandInTens(t *testing.T) {
	zeros := make(map[rune]int)
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if mathematical := r >= 0x1d7ce && r <= 0x1d7ff; mathematical {
			continue
		}
		if zero, ok := zeroOf(r); ok {
			zeros[zero]++
		} else if unicode.IsDigit(r) {
			t.Errorf("%U has no zero", r)
		}
	}
	for zero, n := range zeros {
		if n != 10 {
			t.Errorf("%d digits begin at %U", n, zero)
		}
	}
	if len(zeros) < 50 {
		t.Errorf("%d systems", len(zeros))
	}
}
