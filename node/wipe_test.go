package node

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chatnt/node/control"
	"chatnt/node/vault"
)

// litter makes what a node and killed processes leave in a profile's directory.
func litter(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{
		"config.toml", ".config-1", ".vault-22", ".chatnt-backup-333",
		"vault.db.new", "vault.db.old", "vault.db.old.copy", "vault.db.v1", "vault.db.v1.copy",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("# x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, control.SocketName), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false) // as a kill leaves it
	l.Close()
}

// Everything that the program makes goes, and nothing else, without the passphrase.
func TestWipe(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "profile")
	p := openProfile(t, dir)
	if err := Wipe(dir); !errors.Is(err, vault.ErrInUse) {
		t.Errorf("while it is open: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	litter(t, dir)
	if err := Wipe(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left are %q", filesIn(t, dir))
	}
	if err := Wipe(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("when there is nothing: %v", err)
	}

	if err := openProfile(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	litter(t, dir)
	others := []string{".chatnt-backup-x", ".config-x", ".vault-token", "chatnt.backup", "notes", "vault.db.bak"}
	for _, name := range others {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Wipe(dir); err != nil {
		t.Fatal(err)
	}
	if left := filesIn(t, dir); !slices.Equal(left, others) {
		t.Errorf("left are %q", left)
	}
}

// A profile that another process destroys while it is open is gone, and one that is made in its
// place then is another's.
func TestWipeInUse(t *testing.T) {
	for _, again := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "profile")
		p := openProfile(t, dir)
		litter(t, dir)
		if err := WipeInUse(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("left are %q", filesIn(t, dir))
		}
		if again {
			if err := openProfile(t, dir).Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.wipe(); err != nil {
			t.Error(err)
		}
		if there := vault.Exists(filepath.Join(dir, vaultName)); there != again {
			t.Errorf("a profile is there: %v, want %v", there, again)
		}
	}
}

// What a killed restore has left goes as well, and where there is nothing else too.
func TestWipeHalfRestored(t *testing.T) {
	for _, whole := range []bool{true, false} {
		dir := filepath.Join(t.TempDir(), "profile")
		for _, half := range []string{filepath.Join(dir, ".restore-1"), filepath.Join(dir, ".restore-22")} {
			if err := openProfile(t, half).Close(); err != nil {
				t.Fatal(err)
			}
			litter(t, half)
		}
		for _, half := range []string{".restore-3", ".restore-4"} { // empty, and with a vault that is not one yet
			if err := os.Mkdir(filepath.Join(dir, half), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{".vault-5", "config.toml"} {
			if err := os.WriteFile(filepath.Join(dir, ".restore-4", name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if whole {
			if err := openProfile(t, dir).Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := Wipe(dir); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("beside a profile, %v: left are %q", whole, filesIn(t, dir))
		}
	}
}

// A process that is killed as it puts a profile in place leaves two names of one file.
func TestWipeOfTwoNames(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "profile")
	if err := openProfile(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(dir, ".restore-1")
	path := filepath.Join(dir, vaultName)
	err := os.Mkdir(half, 0o700)
	if err := errors.Join(err, os.Link(path, filepath.Join(half, vaultName)), os.Link(path, filepath.Join(dir, ".vault-2"))); err != nil {
		t.Fatal(err)
	}
	if err := Wipe(dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left are %q", filesIn(t, dir))
	}
}

// A directory without a profile is left alone, whatever its files are called.
func TestWipeNoProfile(t *testing.T) {
	dir := t.TempDir()
	litter(t, dir)
	before := filesIn(t, dir)
	if err := Wipe(dir); !errors.Is(err, fs.ErrNotExist) || !slices.Equal(filesIn(t, dir), before) {
		t.Errorf("without a vault: %v, left are %q", err, filesIn(t, dir))
	}
	if err := os.WriteFile(filepath.Join(dir, vaultName), []byte("somebody's"), 0o600); err != nil {
		t.Fatal(err)
	}
	before = filesIn(t, dir)
	if err := Wipe(dir); !errors.Is(err, vault.ErrForeign) || !slices.Equal(filesIn(t, dir), before) {
		t.Errorf("with a vault of somebody else: %v, left are %q", err, filesIn(t, dir))
	}
}

// An open profile whose vault is behind a link goes, and the link; other links stay,
// and what they lead to.
func TestWipeAndLinks(t *testing.T) {
	dir, elsewhere := filepath.Join(t.TempDir(), "profile"), filepath.Join(t.TempDir(), "real.db")
	if err := openProfile(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	path, precious := filepath.Join(dir, vaultName), filepath.Join(t.TempDir(), "precious")
	if err := errors.Join(os.Rename(path, elsewhere), os.Symlink(elsewhere, path), os.WriteFile(precious, []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := Wipe(dir); !errors.Is(err, vault.ErrForeign) || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("without the passphrase: %v", err)
	}
	p := openProfile(t, dir)
	if err := p.wipe(); err != nil {
		t.Fatal(err)
	}
	if left := append(filesIn(t, filepath.Dir(elsewhere)), filesIn(t, dir)...); len(left) > 0 {
		t.Errorf("left are %q", left)
	}

	p = openProfile(t, dir)
	if err := os.Symlink(precious, filepath.Join(dir, "config.toml")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(precious, path+".old"); err != nil {
		t.Fatal(err)
	}
	if err := p.wipe(); err != nil {
		t.Errorf("with links in the place of files: %v", err)
	}
	if left := filesIn(t, dir); !slices.Equal(left, []string{"config.toml", "vault.db.old"}) {
		t.Errorf("left are %q", left)
	}
	if raw, err := os.ReadFile(precious); err != nil || string(raw) != "x" {
		t.Errorf("what they lead to: %q, %v", raw, err)
	}
}

// A vault that is damaged goes with the copy beside it, which may still open.
func TestWipeDamagedBesideACopy(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "profile")
	if err := openProfile(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, vaultName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(path+".v1", whole, 0o600), os.Truncate(path, 0)); err != nil {
		t.Fatal(err)
	}
	if err := Wipe(dir); err != nil {
		t.Error(err)
	}
	if left := filesIn(t, dir); len(left) > 0 {
		t.Errorf("left are %q", left)
	}
}
