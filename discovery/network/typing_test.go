package network

import (
	"errors"
	"strings"
	"testing"

	"chatnt/discovery/hashid"
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
				if _, err := ParseInvite(wrong); !errors.Is(err, ErrChecksum) {
					t.Errorf("character %d as byte %#x: %v, want ErrChecksum", i, c, err)
				}
			}
		}
	})
}

func TestOtherTypingErrorsAreCaught(t *testing.T) {
	eachText(t, func(t *testing.T, text string) {
		for i := range text {
			wrong := map[string]string{
				"left out":            text[:i] + text[i+1:],
				"doubled":             text[:i] + text[i:i+1] + text[i:],
				"a sign before":       text[:i] + "\u00e7" + text[i:],
				"a line break before": text[:i] + "\n" + text[i:],
			}
			if i == 0 {
				delete(wrong, "a line break before") // it is cut off
			}
			if i >= len(prefix) {
				wrong["not copied from on"] = text[:i]
				wrong["not copied up to"] = prefix + text[i+1:]
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

// What is no invite with a typing error is told from one: a hashid, for one, begins with "a".
func TestLooksLikeInvite(t *testing.T) {
	for text, want := range map[string]bool{
		"chatnt:": true, "CHATNT:QY": true, "chatnt": true, "chatnt;qy": true, "chatnt::qy": true, "catnt:qy": true, "hcatnt:qy": true,
		"": false, "c": false, "chat": false, "cat:qy": false, "https://chatnt:qy": false, "nonsense": false, hashid.ID{1}.String(): false,
		strings.Repeat("\xff", 100): false,
	} {
		if got := LooksLikeInvite(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
