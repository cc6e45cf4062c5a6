package backup

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"filippo.io/age"
)

// sealed is a sealed file with a text in it, made with little work: what is looked at here does not
// depend on how much there was.
func sealed(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	recipient, err := age.NewScryptRecipient("secret")
	if err != nil {
		t.Fatal(err)
	}
	recipient.SetWorkFactor(4)
	w, err := age.Encrypt(&b, recipient)
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func unsealed(b []byte, passphrase string) (string, error) {
	r, err := Open(bytes.NewReader(b), []byte(passphrase))
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(r)
	return string(text), err
}

func TestSeal(t *testing.T) {
	var b bytes.Buffer
	w, err := Seal(&b, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("what it holds, ", 10_000) // several pieces
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(b.Bytes(), []byte(ageIntro+"-> scrypt ")) || !bytes.Contains(b.Bytes()[:100], []byte(" 18\n")) {
		t.Errorf("the file begins with %q", b.Bytes()[:100])
	}
	if got, err := unsealed(b.Bytes(), "secret"); err != nil || got != text {
		t.Errorf("%d bytes come back: %v", len(got), err)
	}
	if _, err := unsealed(b.Bytes(), "Secret"); !errors.Is(err, ErrPassphrase) {
		t.Errorf("with another passphrase: %v", err)
	}
	for _, empty := range []error{second(Seal(io.Discard, nil)), second(Open(&b, nil))} {
		if !errors.Is(empty, ErrPassphrase) {
			t.Errorf("with none: %v", empty)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// A file that was sealed long ago opens.
func TestSealedGolden(t *testing.T) {
	file, err := os.ReadFile("testdata/sealed.age")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(bytes.NewReader(file), []byte("a passphrase"))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := readAll(r)
	if err != nil || len(entries) != len(examples()) {
		t.Errorf("it holds %d entries: %v", len(entries), err)
	}
}

// Cut anywhere, with any byte changed, or with more behind it, a file does not pass for whole, and what was read of
// it before that is noticed is what was written.
func TestDamagedFiles(t *testing.T) {
	text := strings.Repeat("x", 70_000) // two pieces
	file := sealed(t, text)
	payload := bytes.Index(file, []byte("\n---")) + 1
	check := func(what string, b []byte, at int) {
		t.Helper()
		got, err := unsealed(b, "secret")
		damaged := errors.Is(err, ErrDamaged)
		if at < payload { // it may look like another kind of file, or a wrong passphrase
			damaged = damaged || errors.Is(err, ErrPassphrase) || errors.Is(err, ErrFormat) || errors.Is(err, ErrVersion)
		}
		if !damaged || !strings.HasPrefix(text, got) {
			t.Errorf("%s: %d bytes, %v", what, len(got), err)
		}
	}
	for n := 0; n < len(file); n++ {
		if n > 300 && n < len(file)-100 {
			n += 997
		}
		check("cut", file[:n], len(file))
		bad := bytes.Clone(file)
		bad[n] ^= 4
		check("changed", bad, n)
	}
	check("continued", append(bytes.Clone(file), 0), len(file))
}

func TestOtherFiles(t *testing.T) {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	var toKey bytes.Buffer
	if w, err := age.Encrypt(&toKey, key.Recipient()); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	hard := bytes.Replace(sealed(t, "x"), []byte(" 4\n"), []byte(" 22\n"), 1) // 4 GiB of memory
	for name, tt := range map[string]struct {
		file []byte
		want error
	}{
		"empty":                {nil, ErrDamaged},
		"a text":               {[]byte("the diary of a lighthouse keeper\n"), ErrFormat},
		"a short text":         {[]byte("ab"), ErrFormat},
		"armoured":             {[]byte("-----BEGIN AGE ENCRYPTED FILE-----\n"), ErrFormat},
		"of a newer age":       {[]byte(ageName + "v2\n-> x\n"), ErrVersion},
		"sealed to a key":      {toKey.Bytes(), ErrFormat},
		"more work than ever":  {hard, ErrDamaged},
		"a header without end": {append([]byte(ageIntro+"-> scrypt "), bytes.Repeat([]byte("x"), 4<<20)...), ErrDamaged},
	} {
		if _, err := unsealed(tt.file, "secret"); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	broken := errors.New("the cable is cut")
	file := sealed(t, strings.Repeat("x", 100_000))
	for _, n := range []int{0, 10, 50, 300, 80_000} {
		r, err := Open(io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(broken)), []byte("secret"))
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if !errors.Is(err, broken) {
			t.Errorf("broken after %d bytes: %v", n, err)
		}
	}
}
