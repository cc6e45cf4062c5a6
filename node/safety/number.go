package safety

import (
	"crypto/pbkdf2"
	"crypto/sha512"
	"fmt"
	"math/big"
	"strings"

	"github.com/sethvargo/go-diceware/diceware"
)

const (
	iterations = 1 << 13 // 2^13 HMACs for each try at a collision

	digits    = 60
	groupSize = 5

	words       = 20
	bitsPerWord = 10

	prefix = "chatnt-safety:"

	// maxTyped is the longest text that Matches looks at, in bytes: no way of
	// showing a number takes 300, but spaces may stand between.
	maxTyped = 1024
)

// Number is what two people compare.
type Number [32]byte

// Number stretches the pair, which takes milliseconds.
func (p Pair) Number() Number {
	stretched, err := pbkdf2.Key(sha512.New, string(p[:]), []byte("chatnt safety number\x01"), iterations, len(Number{}))
	if err != nil {
		panic(err) // for parameters too weak only, and these are constants
	}
	return Number(stretched)
}

// Digits returns 60 decimal digits in twelve groups of five, with spaces between.
func (n Number) Digits() string {
	value := new(big.Int).SetBytes(n[:])
	value.Mod(value, new(big.Int).Exp(big.NewInt(10), big.NewInt(digits), nil))
	text := fmt.Sprintf("%0*d", digits, value)
	groups := make([]string, 0, digits/groupSize)
	for ; text != ""; text = text[groupSize:] {
		groups = append(groups, text[:groupSize])
	}
	return strings.Join(groups, " ")
}

// Words returns 20 words with spaces between. They come from the first 1,024 of the
// EFF's short list for dice (2.0, September 2016), whose words begin with three
// letters of their own and differ in three places at least: made for reading aloud
// over a bad line.
func (n Number) Words() string {
	list, value := diceware.WordListEffSmall(), new(big.Int).SetBytes(n[:])
	said := make([]string, words)
	for i := range said {
		index := 0
		for bit := range bitsPerWord {
			index = index<<1 | int(value.Bit(8*len(n)-1-i*bitsPerWord-bit))
		}
		said[i] = list.WordAt(dice(index))
	}
	return strings.Join(said, " ")
}

// dice returns the four throws, as decimal digits, under which the list has its
// word number index, counted from 0.
func dice(index int) int {
	return 1111 + index/216%6*1000 + index/36%6*100 + index/6%6*10 + index%6
}

// QR returns what a QR code of the number says: 66 ASCII characters, the same on
// both sides. There is no direction in it: whoever could show one side the other
// side's code as its own knows the number anyway, which is no secret; what counts is
// that the code is seen on the other person's device.
func (n Number) QR() string { return prefix + encoding().EncodeToString(n[:]) }

// Matches reports whether what was typed, pasted or scanned is this number: its
// digits, its words or its QR code's text, whole, in any spacing and case.
func (n Number) Matches(typed string) bool {
	if len(typed) > maxTyped {
		return false
	}
	typed = strings.Join(strings.Fields(strings.ToLower(typed)), " ")
	return typed == n.QR() || typed == n.Words() ||
		strings.ReplaceAll(typed, " ", "") == strings.ReplaceAll(n.Digits(), " ", "")
}
