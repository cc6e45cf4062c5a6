package vault

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// emptied makes a large file most of which is free, and returns what it holds.
func emptied(t *testing.T) (path string, held map[string]string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "vault.db")
	if err := write(filepath.Dir(path), path, golden(t, "header-v2"), testKeys()); err != nil {
		t.Fatal(err)
	}
	v := reopen(t, path, testKeys())
	v.store.(*disk).db.NoSync = true // the machine will not go down meanwhile
	for i := range 24 {
		put(t, v, "b", fmt.Sprint("large", i), string(noise(1<<19)))
		put(t, v, "b", fmt.Sprint("small", i), string(noise(300)))
	}
	err := v.Update(func(tx *Tx) error {
		var errs []error
		for i := range 20 {
			errs = append(errs, tx.Delete("b", fmt.Sprint("large", i)))
		}
		return errors.Join(errs...)
	})
	if err != nil {
		t.Fatal(err)
	}
	held, err = contents(v, "b")
	if err := errors.Join(err, v.Close()); err != nil {
		t.Fatal(err)
	}
	return path, held
}

func TestCompact(t *testing.T) {
	path, want := emptied(t)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	alias := filepath.Join(t.TempDir(), "alias")
	if err := os.Link(path, alias); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		v, err := Open(path, passphrase(), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := contents(v, "b")
		if err := errors.Join(err, v.Close()); err != nil || !maps.Equal(got, want) {
			t.Errorf("%d entries instead of %d, %v", len(got), len(want), err)
		}
		if left := files(t, path); !slices.Equal(left, []string{"vault.db"}) {
			t.Errorf("left over: %v", left)
		}
	}
	after, err := os.Stat(path)
	if err != nil || after.Size() > before.Size()/2 {
		t.Errorf("%d bytes became %d, %v", before.Size(), after.Size(), err)
	}
	if rest, _ := os.ReadFile(alias); !bytes.Equal(rest, make([]byte, before.Size())) {
		t.Error("the old file was removed, but not overwritten")
	}
}

// What a process leaves that is killed while it compacts is cleared away, also
// where the file is not worth it any more.
func TestCompactAfterKill(t *testing.T) {
	path, want := emptied(t)
	raw, _ := os.ReadFile(path)
	for name, leave := range map[string]func() error{
		"half a new file": func() error { return os.WriteFile(path+newSuffix, raw[:len(raw)/2], 0o600) },
		"a second name":   func() error { return os.Link(path, path+oldSuffix) },
		"the old file":    func() error { return os.WriteFile(path+oldSuffix, raw, 0o600) },
		"half a copy":     func() error { return os.WriteFile(path+oldSuffix+copySuffix, raw[:5000], 0o600) },
	} {
		if err := leave(); err != nil {
			t.Fatal(err)
		}
		v, err := openAt(path, opensWith(t, testMaster()), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := contents(v, "b")
		if err := errors.Join(err, v.Close()); err != nil || !maps.Equal(got, want) {
			t.Errorf("%s: %d entries instead of %d, %v", name, len(got), len(want), err)
		}
		if left := files(t, path); !slices.Equal(left, []string{"vault.db"}) {
			t.Errorf("%s: left over: %v", name, left)
		}
	}
}

// Without room for a second file the first will do.
func TestCompactFails(t *testing.T) {
	path, want := emptied(t)
	if err := os.MkdirAll(filepath.Join(path+newSuffix, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path)
	v, err := openAt(path, opensWith(t, testMaster()), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := contents(v, "b")
	if err := errors.Join(err, v.Close()); err != nil || !maps.Equal(got, want) {
		t.Errorf("%d entries instead of %d, %v", len(got), len(want), err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the file changed")
	}
}
