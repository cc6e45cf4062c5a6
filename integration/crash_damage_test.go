package integration

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDamagedProfile spoils a profile in all ways that disks and people have, and
// runs the real program on it: it refuses with one sentence, or the profile
// is whole all the same, and on no account is the file changed.
func TestDamagedProfile(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "p")
	path := filepath.Join(dir, "vault.db")
	run(t, 0, "network", "create", "family", "--listen", loopback, "--data", dir)
	p := newProcess(t, "p", "node", "--json", "--data", dir)
	p.do("/nick ada") // so that even the state before the last is that of a profile in use
	p.do("/nick eve")
	p.quit()
	id := run(t, 0, "id", "--data", dir)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	outcomes := make(map[bool]int)
	change := func(name string, spoil func(b []byte) []byte, want string) {
		t.Helper()
		bad := spoil(bytes.Clone(raw))
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		out, refused := refuses(t, name, dir, want, "id")
		switch {
		case refused && want != mayBeWhole:
			_, refused = refuses(t, name, dir, want, "node", "--json")
		case !refused && out != id:
			t.Errorf("%s: the program takes it, and is %q", name, out)
		}
		if !refused && want != mayBeWhole {
			t.Errorf("%s: the program takes it", name)
		}
		if after, err := os.ReadFile(path); err != nil || refused && !bytes.Equal(after, bad) {
			t.Errorf("%s: the file was changed, %v", name, err)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
			t.Errorf("%s: beside the file are left %v, %v", name, entries, err)
		}
		outcomes[refused]++
	}
	const damaged = "the profile is damaged"
	for _, size := range []int{0, 1, 4096, 3 * 4096, len(raw) / 8} {
		change(fmt.Sprintf("cut to %d bytes", size), func(b []byte) []byte { return b[:size] }, damaged)
	}
	change("garbage", func(b []byte) []byte {
		for i := range b {
			b[i] = byte(i*i>>3) ^ 0xA5
		}
		return b
	}, damaged)
	change("text", func([]byte) []byte { return []byte(strings.Repeat("Dear diary, ", 9000)) }, damaged)
	change("zeros", func(b []byte) []byte { clear(b); return b }, damaged)
	change("a later version", laterVersion(t), "newer version")

	var written []int // where the file is not zero: zeros are mostly free space
	for at, b := range raw {
		if b != 0 {
			written = append(written, at)
		}
	}
	flips := count(20, 300)
	for i := range flips {
		at := written[(2*i+1)*len(written)/(2*flips)]
		change(fmt.Sprintf("byte %d of %d changed", at, len(raw)), func(b []byte) []byte { b[at] ^= 0x10; return b }, mayBeWhole)
	}
	for i := range 10 {
		from, to := written[i*len(written)/10], written[(i+1)*len(written)/10-1]
		change(fmt.Sprintf("bytes %d to %d inverted", from, to), func(b []byte) []byte {
			for at := from; at <= to; at++ {
				b[at] ^= 0xFF
			}
			return b
		}, mayBeWhole)
	}
	if outcomes[true] < (9+flips+10)/2 {
		t.Errorf("only %d of %d were refused", outcomes[true], 9+flips+10)
	}
	t.Logf("%d refused, %d taken since the damage lay in free space", outcomes[true], outcomes[false])

	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, refused := refuses(t, "a directory", dir, damaged, "node", "--json"); !refused {
		t.Error("the program takes a directory for a file")
	}
	if entries, err := os.ReadDir(path); err != nil || len(entries) > 0 {
		t.Errorf("a directory in the file's place now holds %v, %v", entries, err)
	}
	if err := errors.Join(os.Remove(path), os.WriteFile(path, raw, 0o600)); err != nil {
		t.Fatal(err)
	}
	if again := run(t, 0, "id", "--data", dir); again != id {
		t.Errorf("put right again, the profile is %q, and was %q", again, id)
	}
}

// mayBeWhole is what refuses is to expect of damage that may lie in free space or in
// what only says which of two states is the newer.
const mayBeWhole = ""

// refuses runs the program on a profile and reports whether it refuses it, which it does
// with one sentence on standard error that matches want, exit code 1 and no word on
// standard output.
func refuses(t *testing.T, name, dir, want string, args ...string) (out string, refused bool) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), build(t), append(args, "--data", dir)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(environment(t), "CHATNT_PASSPHRASE="+passphrase), &stdout, &stderr
	err := cmd.Run()
	if err == nil {
		return stdout.String(), false
	}
	sentence := stderr.String()
	if want == mayBeWhole {
		want = "damaged"
	}
	switch {
	case cmd.ProcessState.ExitCode() != 1:
		t.Errorf("%s: chatnt %q: %v\n%s", name, args, err, sentence)
	case stdout.Len() > 0:
		t.Errorf("%s: chatnt %q says on standard output\n%s", name, args, &stdout)
	case strings.Count(sentence, "\n") != 1 || !strings.HasPrefix(sentence, "chatnt: ") || !regexp.MustCompile(want).MatchString(sentence):
		t.Errorf("%s: chatnt %q says no sentence about %q, but\n%s", name, args, want, sentence)
	}
	return "", true
}

// laterVersion makes the header of a file that of a version that does not exist yet: the
// first byte of the header is the version, and its last 32 a hash of all before, in every
// version.
func laterVersion(t *testing.T) func(b []byte) []byte {
	return func(b []byte) []byte {
		found := 0
		for at := range b {
			body, ok := bytes.CutPrefix(b[at:], []byte("header"))
			if !ok {
				continue
			}
			for n := 33; n < min(400, len(body)-sha256.Size); n++ {
				if sum := sha256.Sum256(body[:n]); slices.Equal(sum[:], body[n:n+sha256.Size]) {
					body[0] = 200
					sum = sha256.Sum256(body[:n])
					copy(body[n:], sum[:])
					found++
					break
				}
			}
		}
		if found == 0 {
			t.Fatal("the file's header is not found")
		}
		return b
	}
}
