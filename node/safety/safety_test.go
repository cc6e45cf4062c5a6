package safety

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sethvargo/go-diceware/diceware"
)

// known is a case of testdata/numbers.txt.
type known struct {
	a, b              Keys
	pair              Pair
	number            Number
	digits, words, qr string
}

func knownAnswers(t *testing.T) []known {
	t.Helper()
	text, err := os.ReadFile("testdata/numbers.txt")
	if err != nil {
		t.Fatal(err)
	}
	var cases []known
	for i, block := range strings.Split(strings.TrimSpace(string(text)), "\n\n") {
		if i == 0 { // what the file is
			continue
		}
		lines := strings.Split(block, "\n")
		if len(lines) != 5 {
			t.Fatalf("case %d has %d lines", i, len(lines))
		}
		var raw [][32]byte
		for field := range strings.FieldsSeq(lines[0] + " " + lines[1]) {
			b, err := hex.DecodeString(field)
			if err != nil || len(b) != 32 {
				t.Fatalf("case %d: %q", i, field)
			}
			raw = append(raw, [32]byte(b))
		}
		cases = append(cases, known{Keys{raw[0], raw[1]}, Keys{raw[2], raw[3]}, raw[4], raw[5], lines[2], lines[3], lines[4]})
	}
	if len(cases) != 8 {
		t.Fatalf("%d cases", len(cases))
	}
	return cases
}

func TestKnownAnswers(t *testing.T) {
	for i, k := range knownAnswers(t) {
		for _, pair := range []Pair{Of(k.a, k.b), Of(k.b, k.a), plainPair(k.a, k.b)} {
			if pair != k.pair {
				t.Errorf("case %d: pair %x, want %x", i, pair, k.pair)
			}
		}
		if n := k.pair.Number(); n != k.number || n != plainNumber(k.pair) {
			t.Errorf("case %d: number %x, want %x", i, n, k.number)
		}
		if got := k.number.Digits(); got != k.digits || got != plainDigits(k.number) {
			t.Errorf("case %d: %q, want %q", i, got, k.digits)
		}
		if got := k.number.Words(); got != k.words || got != plainWords(k.number) {
			t.Errorf("case %d: %q, want %q", i, got, k.words)
		}
		if got := k.number.QR(); got != k.qr {
			t.Errorf("case %d: %q, want %q", i, got, k.qr)
		}
	}
}

// Each bit of each of the four keys counts, and which key it is in.
func TestEveryKeyCounts(t *testing.T) {
	a, b := Keys{Identity: [32]byte{1}, Agreement: [32]byte{2}}, Keys{Identity: [32]byte{3}, Agreement: [32]byte{4}}
	seen := map[Pair]bool{Of(a, b): true}
	fresh := func(what string, p Pair) {
		if seen[p] {
			t.Errorf("%s makes no difference", what)
		}
		seen[p] = true
	}
	for _, field := range []*[32]byte{&a.Identity, &a.Agreement, &b.Identity, &b.Agreement} {
		for bit := range 256 {
			field[bit/8] ^= 1 << (bit % 8)
			fresh("a flipped bit", Of(a, b))
			field[bit/8] ^= 1 << (bit % 8)
		}
	}
	fresh("one person's keys taken for each other", Of(Keys{a.Agreement, a.Identity}, b))
	fresh("two people's keys exchanged", Of(Keys{a.Identity, b.Agreement}, Keys{b.Identity, a.Agreement}))
	fresh("one side alone", Of(a, a))
	if (Pair{}).IsZero() == Of(a, b).IsZero() {
		t.Error("IsZero")
	}
}

func TestMatches(t *testing.T) {
	n := knownAnswers(t)[1].number
	for _, typed := range []string{
		n.Digits(), n.Words(), n.QR(), strings.ReplaceAll(n.Digits(), " ", ""), " " + strings.ReplaceAll(n.Digits(), " ", "\n\t") + "\n",
		strings.ToUpper(n.Words()), strings.ReplaceAll(n.Words(), " ", "  "), strings.ToUpper(n.QR()),
	} {
		if !n.Matches(typed) {
			t.Errorf("%q does not match", typed)
		}
	}
	for _, typed := range []string{
		"", " ", n.Digits()[:59], n.Digits()[6:], n.Digits() + " 00000", n.Words()[:60], strings.ReplaceAll(n.Words(), " ", ""),
		n.QR()[:40], n.QR() + "a", strings.TrimPrefix(n.QR(), prefix), n.Digits() + strings.Repeat(" ", maxTyped),
	} {
		if n.Matches(typed) {
			t.Errorf("%q matches", typed)
		}
	}
	for _, shown := range []string{n.Digits(), n.Words(), n.QR()} {
		for i := range shown {
			wrong := []byte(shown)
			if wrong[i] == ' ' {
				continue // spacing does not count
			}
			wrong[i] ^= 1 // another digit or letter
			if n.Matches(string(wrong)) {
				t.Errorf("%q matches with a typing error in place %d", shown, i)
			}
		}
	}
	for _, other := range knownAnswers(t)[2:] {
		if n.Matches(other.digits) || n.Matches(other.words) || n.Matches(other.qr) {
			t.Error("another number matches")
		}
	}
}

func TestPairText(t *testing.T) {
	pair := knownAnswers(t)[1].pair
	text, err := pair.MarshalText()
	if err != nil || len(text) != 52 {
		t.Fatalf("%q, %v", text, err)
	}
	var back Pair
	if err := back.UnmarshalText(text); err != nil || back != pair {
		t.Errorf("%x, %v", back, err)
	}
	tail := []byte(string(text)) // the last letter carries one bit
	tail[51]++
	for _, bad := range []string{"", string(text[:51]), string(text) + "a", strings.ToUpper(string(text)), string(text[:20]) + "\n" + string(text[20:]), string(tail)} {
		if back.UnmarshalText([]byte(bad)) == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

// The list is another module's: people on two versions of this program must read
// the same words, and words must not be taken for one another.
func TestWordList(t *testing.T) {
	var list []string
	for i := range 1 << bitsPerWord {
		word := diceware.WordListEffSmall().WordAt(dice(i))
		if len(word) < 3 || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz-") != "" {
			t.Errorf("word %d is %q", i, word)
		}
		list = append(list, word)
	}
	if !slices.IsSorted(list) {
		t.Error("the words are out of order")
	}
	for i := 1; i < len(list); i++ {
		if list[i][:3] == list[i-1][:3] {
			t.Errorf("%q and %q begin alike", list[i-1], list[i])
		}
	}
	const want = "4cd4c6e025aa1256ad0f3b82bbc252f2ea368e1bd0236030403d69ce561e8d82"
	if sum := sha256.Sum256([]byte(strings.Join(list, " "))); hex.EncodeToString(sum[:]) != want {
		t.Errorf("the list has changed: %x", sum)
	}
}

func BenchmarkNumber(b *testing.B) {
	pair := Of(Keys{}, Keys{Identity: [32]byte{1}})
	for b.Loop() {
		pair.Number()
	}
}
