package network

import (
	"errors"
	"strings"
	"testing"
)

// eachText runs a test on the text of each invite.
func eachText(t *testing.T, test func(t *testing.T, text string)) {
	for file, invite := range testInvites(t) {
		t.Run(file, func(t *testing.T) {
			text, err := invite.Text()
			if err != nil {
				t.Fatal(err)
			}
			test(t, text)
		})
	}
}

func TestEveryWrongCharacterIsCaught(t *testing.T) {
	eachText(t, func(t *testing.T, text string) {
		for i := range text {
			for c := range 256 {
				wrong := text[:i] + string([]byte{byte(c)}) + text[i+1:]
				if wrong == text {
					continue
				}
				_, err := ParseInvite(wrong)
				want := ErrChecksum
				if i < len(prefix) && !strings.EqualFold(wrong[:len(prefix)], prefix) {
					want = ErrNotInvite
				}
				if !errors.Is(err, want) {
					t.Errorf("character %d as byte %#x: %v, want %v", i, c, err, want)
				}
			}
		}
	})
}

func TestOtherTypingErrorsAreCaught(t *testing.T) {
	eachText(t, func(t *testing.T, text string) {
		for i := len(prefix); i < len(text); i++ {
			wrong := map[string]string{
				"left out":            text[:i] + text[i+1:],
				"doubled":             text[:i] + text[i:i+1] + text[i:],
				"not copied from on":  text[:i],
				"not copied up to":    prefix + text[i+1:],
				"a line break before": text[:i] + "\n" + text[i:],
			}
			if i == len(prefix) {
				wrong["a space after"] = text[:i+1] + " " + text[i+1:]
			}
			if i < len(text)-1 && text[i] != text[i+1] {
				wrong["swapped"] = text[:i] + text[i+1:i+2] + text[i:i+1] + text[i+2:]
			}
			for what, wrong := range wrong {
				if _, err := ParseInvite(wrong); !errors.Is(err, ErrChecksum) {
					t.Errorf("character %d %s: %v, want ErrChecksum", i, what, err)
				}
			}
		}
	})
}
