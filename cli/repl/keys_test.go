package repl

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"chatnt/node/control"
)

// typed returns what a keyboard hands on for pieces of input, and the pastes.
func typed(pieces ...[]byte) (string, []string) {
	chunks := make(chan []byte)
	go func() {
		defer close(chunks)
		for _, piece := range pieces {
			chunks <- piece
		}
	}()
	k := newKeyboard(chunks, nil)
	got, _ := io.ReadAll(k)
	return string(got), k.pastes
}

func TestKeyboard(t *testing.T) {
	for name, test := range map[string]struct{ in, want, paste string }{
		"text":                  {"hello ü\r", "hello ü\r", ""},
		"keys":                  {"\x1b[A\x1bOB\x1b[1;3D\x1bf\x1b\x1b[C\x1b[3~", "\x1b[A\x1bOB\x1b[1;3D\x1bf\x1b\x1b[C\x1b[3~", ""},
		"our own keys":          {"a\x1eb\x1cc", "abc", ""},
		"our own keys with Alt": {"\x1b\x1ea", "\x1b\x1ea", ""}, // the editor ignores Alt and a control
		"unfinished":            {"a\x1b[12", "a", ""},
		"endless sequence":      {"\x1b[" + strings.Repeat("1", 100) + "m", strings.Repeat("1", 100-maxKey) + "m", ""},
		"invalid UTF-8":         {"\xffa\xc3(", "\xffa\xc3(", ""},
		"paste":                 {"a" + pasteStart + "b\rc" + pasteEnd + "d", "a\x1ed", "b\rc"},
		"end without a start":   {"a" + pasteEnd + "b", "a" + pasteEnd + "b", ""}, // the editor ignores it
		"start in a paste":      {pasteStart + pasteStart + "a" + pasteEnd, "\x1e", pasteStart + "a"},
		"paste without an end":  {pasteStart + "abc", "", ""},
	} {
		var single [][]byte
		for _, b := range []byte(test.in) {
			single = append(single, []byte{b})
		}
		for kind, pieces := range map[string][][]byte{"whole": {[]byte(test.in)}, "byte by byte": single} {
			got, pastes := typed(pieces...)
			if got != test.want || strings.Join(pastes, "|") != test.paste {
				t.Errorf("%s, %s: %q, %q", name, kind, got, pastes)
			}
		}
	}
}

func TestKeyboardBounds(t *testing.T) {
	_, pastes := typed([]byte(pasteStart), bytes.Repeat([]byte{'p'}, 10*control.MaxLine), []byte(pasteEnd))
	if len(pastes) != 1 || len(pastes[0]) != control.MaxLine+1 {
		t.Errorf("%d pastes", len(pastes))
	}
	keys, pastes := typed(bytes.Repeat([]byte(pasteStart+"p"+pasteEnd), 2*maxPastes))
	if len(pastes) != maxPastes || len(keys) != maxPastes {
		t.Errorf("%d pastes wait, %d keys for them", len(pastes), len(keys))
	}
}

// However the input is cut, the same keys and pastes come out, and our own keys
// only where we put them.
func FuzzKeyboard(f *testing.F) {
	f.Add([]byte("a\x1b[Ab"+pasteStart+"p\rq"+pasteEnd+"\x1e"), uint8(3))
	f.Add([]byte("\x1b\x1b[\xc3\xb6\x1b[20"), uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, size uint8) {
		whole, pastes := typed(in)
		if len(whole) > len(in) || len(pastes) > maxPastes || strings.Count(whole, string(rune(keyPaste))) < len(pastes) {
			t.Fatalf("%q became %q and %d pastes", in, whole, len(pastes))
		}
		for _, paste := range pastes {
			if len(paste) > control.MaxLine+1 || strings.Contains(paste, pasteEnd) {
				t.Fatalf("%q: a paste of %d bytes: %.100q", in, len(paste), paste)
			}
		}
		var pieces [][]byte
		for rest := in; len(rest) > 0; {
			n := min(len(rest), int(size)+1)
			pieces = append(pieces, bytes.Clone(rest[:n]))
			rest = rest[n:]
		}
		cut, cutPastes := typed(pieces...)
		if whole != cut || strings.Join(pastes, "\x00|") != strings.Join(cutPastes, "\x00|") {
			t.Fatalf("%q in pieces of %d: %q, %q, not %q, %q", in, int(size)+1, cut, cutPastes, whole, pastes)
		}
	})
}

func TestColoursOnly(t *testing.T) {
	for in, want := range map[string]string{
		"plain ü":              "plain ü",
		"\x1b[1;31mred\x1b[0m": "\x1b[1;31mred\x1b[0m",
		"\x1b[mx":              "\x1b[mx",
		"\x1b[2Jx\x1b":         "[2Jx",
		"\x1b[31":              "[31",
		"a\nb\tc\rd\a\u009b":   "a\nb\tcd",
		"\x1b]52;c;eA==\x07":   "]52;c;eA==",
	} {
		if got := coloursOnly(in); got != want {
			t.Errorf("coloursOnly(%q) = %q, want %q", in, got, want)
		}
	}
}
