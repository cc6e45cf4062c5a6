package hashid

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base32"
	"errors"
	"strings"
	"testing"
)

// seed makes a fixed key pair.
func seed(b byte) ed25519.PublicKey {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
	return key.Public().(ed25519.PublicKey)
}

func TestGolden(t *testing.T) {
	const text = "ae2hkd4yxvm7z7eunwsfvkv6sm56cvfewueu4hckx5bimzif6pex53tg"
	id := Of(seed(1))
	if got := id.String(); got != text {
		t.Errorf("hashid of the fixed key:\n%s\nwant\n%s", got, text)
	}
	if got, err := Parse(text); err != nil || got != id {
		t.Errorf("Parse(%q) = %v, %v; want %v", text, got, err, id)
	}
}

func TestGoldenNode(t *testing.T) {
	const text = "34750f98bd59fcfc946da45aaabe933be154a4b5094e1c4abf42866505f3c97e"
	id := OfNode(seed(1))
	if got := id.String(); got != text {
		t.Errorf("node id of the fixed key:\n%s\nwant\n%s", got, text)
	}
	if got, err := ParseNode(text); err != nil || got != id {
		t.Errorf("ParseNode(%q) = %v, %v; want %v", text, got, err, id)
	}
}

// A changed letter passes the checksum with probability 2^-16; for this hashid
// none does.
func TestEveryWrongLetterIsCaught(t *testing.T) {
	text := Of(seed(1)).String()
	for i := range text {
		for c := range 256 {
			wrong := text[:i] + string([]byte{byte(c)}) + text[i+1:]
			if id, err := Parse(wrong); wrong != text && err == nil {
				t.Errorf("Parse(%q) = %v; letter %d is wrong", wrong, id, i)
			}
		}
	}
}

func TestSwappedLettersAreCaught(t *testing.T) {
	text := Of(seed(1)).String()
	for i := range len(text) - 1 {
		wrong := text[:i] + text[i+1:i+2] + text[i:i+1] + text[i+2:]
		if _, err := Parse(wrong); wrong != text && err == nil {
			t.Errorf("Parse(%q): letters %d and %d are swapped", wrong, i, i+1)
		}
	}
}

func TestParseTellsWhatIsWrong(t *testing.T) {
	text := Of(seed(1)).String()
	raw, err := base32.StdEncoding.DecodeString(strings.ToUpper(text))
	if err != nil {
		t.Fatal(err)
	}
	raw[0]++
	otherVersion := strings.ToLower(base32.StdEncoding.EncodeToString(raw))

	for _, test := range []struct{ name, text, want string }{
		{"empty", "", "56 letters, this has 0"},
		{"short", text[:55], "56 letters, this has 55"},
		{"long", text + "a", "56 letters, this has 57"},
		{"spaces", " " + text + " ", "56 letters, this has 58"},
		{"capitals", strings.ToUpper(text), "letters a-z"},
		{"digit one", "1" + text[1:], "letters a-z"},
		{"line break", text[:55] + "\n", "letters a-z"},
		{"line breaks", strings.Repeat("\r\n", 28), "letters a-z"},
		{"padding", text[:54] + "==", "letters a-z"},
		{"node id", OfNode(seed(1)).String(), "56 letters, this has 64"},
		{"other version", otherVersion, "version 2"},
		{"typing error", text[:20] + "a" + text[21:], "typing error"},
	} {
		if _, err := Parse(test.text); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: Parse(%q) = %v; want an error with %q", test.name, test.text, err, test.want)
		}
	}
	if _, err := Parse(text[:20] + "a" + text[21:]); !errors.Is(err, ErrChecksum) {
		t.Errorf("a typing error gives %v, not ErrChecksum", err)
	}
}

func TestParseNodeTellsWhatIsWrong(t *testing.T) {
	text := OfNode(seed(1)).String()
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", "64 hexadecimal digits, this has 0"},
		{"short", text[:63], "64 hexadecimal digits, this has 63"},
		{"long", text + "0", "64 hexadecimal digits, this has 65"},
		{"capitals", "A" + text[1:], "digits 0-9"},
		{"no digit", "g" + text[1:], "digits 0-9"},
		{"hashid", Of(seed(1)).String(), "64 hexadecimal digits, this has 56"},
	} {
		if id, err := ParseNode(test.text); err == nil || !strings.Contains(err.Error(), test.want) || !id.IsZero() {
			t.Errorf("%s: ParseNode(%q) = %v, %v; want zero and an error with %q", test.name, test.text, id, err, test.want)
		}
	}
}

func TestText(t *testing.T) {
	id := Of(seed(1))
	text, err := id.MarshalText()
	if err != nil || string(text) != id.String() {
		t.Errorf("MarshalText = %q, %v; want %q", text, err, id)
	}
	var got ID
	if err := got.UnmarshalText(text); err != nil || got != id {
		t.Errorf("UnmarshalText(%q) = %v, %v", text, got, err)
	}
	text[20]++
	if err := got.UnmarshalText(text); err == nil || got != id {
		t.Errorf("UnmarshalText(%q) = %v, %v; want an error and no change", text, got, err)
	}
}

func TestZero(t *testing.T) {
	if !(ID{}).IsZero() || !(NodeID{}).IsZero() {
		t.Error("the zero values are not zero")
	}
	if Of(seed(1)).IsZero() || OfNode(seed(1)).IsZero() {
		t.Error("the hash of a key is zero")
	}
}

func FuzzParse(f *testing.F) {
	text := Of(seed(1)).String()
	f.Add(text)
	f.Add(strings.ToUpper(text))
	f.Add(text[:55] + "\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := Parse(s); err == nil && id.String() != s {
			t.Errorf("Parse accepts %q, String writes %q", s, id)
		}
	})
}

func FuzzParseNode(f *testing.F) {
	text := OfNode(seed(1)).String()
	f.Add(text)
	f.Add(strings.ToUpper(text))
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseNode(s); err == nil && id.String() != s {
			t.Errorf("ParseNode accepts %q, String writes %q", s, id)
		}
	})
}
