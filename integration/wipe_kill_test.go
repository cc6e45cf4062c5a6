package integration

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestWipeKilled kills the program at some moment of destroying a profile. The profile
// is then whole, or nothing of its key is left; and whatever is left goes with the
// next profile that is destroyed in its place.
func TestWipeKilled(t *testing.T) {
	t.Parallel()
	whole, halves := 0, 0
	for i := range count(6, 120) {
		dir := filepath.Join(t.TempDir(), "p")
		id := run(t, 0, "id", "--data", dir)
		key := sealedKey(t, dir)
		cmd := exec.Command(build(t), "wipe", "--now", "--data", dir)
		cmd.Env = environment(t)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(rand.N(60*time.Millisecond), func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // killed or done
		kill.Stop()
		held := false
		left := map[string]string{}
		if _, err := os.Lstat(dir); err == nil {
			left = snapshot(t, dir)
		}
		for _, text := range left {
			held = held || strings.Contains(text, key)
		}
		switch {
		case held:
			whole++
			if again := run(t, 0, "id", "--data", dir); again != id {
				t.Errorf("kill %d: the profile has its key, and is another", i)
			}
		case len(left) > 0:
			halves++
			for name := range left {
				if base := filepath.Base(name); base != "p" && base != "vault.db" && !strings.HasPrefix(base, ".vault-") {
					t.Errorf("kill %d: left is %s", i, base)
				}
			}
			if _, err := os.Lstat(filepath.Join(dir, "vault.db")); err != nil {
				run(t, 0, "id", "--data", dir) // a new profile
			}
		default:
			continue
		}
		run(t, 0, "wipe", "--now", "--data", dir)
		if _, err := os.Lstat(dir); err == nil {
			t.Errorf("kill %d: %d files are left", i, len(snapshot(t, dir)))
		}
	}
	t.Logf("%d profiles were whole, %d half destroyed", whole, halves)
}

// sealedKey is the sealed master key in the header of a profile's vault.
func sealedKey(t *testing.T, dir string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "vault.db"))
	if err != nil {
		t.Fatal(err)
	}
	const name, keyAt, keySize = "header\x02", 41, 48
	at := bytes.Index(raw, []byte(name))
	if at < 0 || len(raw) < at+len(name)+keyAt+keySize {
		t.Fatal("the vault has no header")
	}
	return string(raw[at+len("header")+keyAt:][:keySize])
}
