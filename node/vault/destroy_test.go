package vault

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// listing returns the names in a directory and what the files hold.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, e := range entries {
		all[e.Name()] = e.Type().String()
		if e.Type().IsRegular() {
			raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			all[e.Name()] = string(raw)
		}
	}
	return all
}

func write600(t *testing.T, path string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// The keys go first, of every copy there is; then the files, and nobody else's.
func TestDestroy(t *testing.T) {
	v, path := create(t)
	dir := filepath.Dir(path)
	put(t, v, "b", "k", "value")
	var header []byte
	if err := v.store.view(func(p pages) error { header = bytes.Clone(p.(diskPages).header()); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	raw := []byte(listing(t, dir)["vault.db"])
	if !bytes.Contains(raw, header) {
		t.Fatal("this file has no header")
	}
	for _, copied := range []string{"vault.db.v1", "vault.db.old", "vault.db.old.copy", ".vault-123"} {
		write600(t, filepath.Join(dir, copied), raw)
	}
	write600(t, path+".new", raw[:5000]) // half written
	others := map[string]string{".vault-token": "a", "vault.db.bak": "b", ".vault-": "c", "vault.db.v3": "d", "notes": "e"}
	for name, text := range others {
		write600(t, filepath.Join(dir, name), []byte(text))
	}

	if err := DestroyKeys(path); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, passphrase(), nil); !errors.Is(err, ErrPassphrase) {
		t.Errorf("with its passphrase, the vault opens: %v", err)
	}
	key := header[saltAt:sumAt]
	for name, text := range listing(t, dir) {
		if strings.Contains(text, string(key)) {
			t.Errorf("%s still has the key", name)
		}
	}
	if err := os.Rename(path, filepath.Join(dir, ".vault-7")); err != nil { // as a kill in Remove leaves it
		t.Fatal(err)
	}
	if err := errors.Join(DestroyKeys(path), Remove(path)); err != nil {
		t.Fatal(err)
	}
	if left := listing(t, dir); !maps.Equal(left, others) {
		t.Errorf("left are %q", slices.Sorted(maps.Keys(left)))
	}
	if err := DestroyKeys(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("when nothing is left: %v", err)
	}
	if v, err := Create(path, passphrase()); err != nil {
		t.Error(err)
	} else {
		v.Close()
	}
}

// A vault in use ends what runs in it, and cannot be opened any more by anybody.
func TestDestroyOpenVault(t *testing.T) {
	v, path := create(t)
	put(t, v, "b", "k", "value")
	if err := DestroyKeys(path); !errors.Is(err, ErrInUse) {
		t.Errorf("by somebody else: %v", err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				err := v.Update(func(tx *Tx) error { return tx.Put("b", "k", []byte("other")) })
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	keys := v.keys
	if err := v.Space(SpaceID{1}).DestroyKeys(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if keys.seal != [32]byte{} || keys.name != [32]byte{} {
		t.Error("the keys are still in memory")
	}
	if _, err := Open(path, passphrase(), nil); !errors.Is(err, ErrPassphrase) {
		t.Errorf("the vault opens: %v", err)
	}
	if err := v.DestroyKeys(); !errors.Is(err, ErrClosed) {
		t.Errorf("again: %v", err)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	m := Memory()
	if err := m.DestroyKeys(); err != nil || m.Path() != "" {
		t.Errorf("one in memory: %v", err)
	}
}

// A vault that a process has open, and goes on writing, holds no key afterwards, wherever that process
// has written it meanwhile. When the process is told to do the same it finds nothing to do, and leaves alone
// what has taken the place of its file.
func TestDestroyInUse(t *testing.T) {
	v, path := create(t)
	put(t, v, "b", "k", "value")
	var header []byte
	if err := v.store.view(func(p pages) error { header = bytes.Clone(p.(diskPages).header()); return nil }); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link") // the file, after it has lost its name
	if err := os.Link(path, link); err != nil {
		t.Fatal(err)
	}
	if err := DestroyKeys(path); !errors.Is(err, ErrInUse) {
		t.Fatalf("as if nobody had it open: %v", err)
	}
	done, written := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-done:
				written <- nil
				return
			default:
			}
			if err := v.Update(func(tx *Tx) error { return tx.Put("b", "k", []byte("other")) }); err != nil {
				written <- err
				return
			}
		}
	}()
	err := DestroyKeysInUse(path)
	close(done)
	if err := errors.Join(err, <-written); err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(link); err != nil || bytes.Contains(raw, header[saltAt:sumAt]) {
		t.Errorf("the key is in the file: %v", err)
	}
	if err := Remove(path); err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(link); err != nil || !bytes.Equal(raw, make([]byte, len(raw))) {
		t.Errorf("something is in the file: %v", err)
	}
	next, err := Create(path, passphrase())
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
	if err := v.DestroyKeys(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("with another in its place: %v", err)
	}
	if next, err = Open(path, passphrase(), nil); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(path), next.DestroyKeys()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("with nothing in its place: %v", err)
	}
	if err := DestroyKeysInUse(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("where there is none: %v", err)
	}
}

// What is not a vault is left as it is, byte for byte, and what links lead to.
func TestDestroyIsForVaultsOnly(t *testing.T) {
	v, sound := create(t)
	put(t, v, "b", "k", "value")
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	for name, plant := range map[string]func(path string) error{
		"text": func(path string) error { return os.WriteFile(path, []byte("my own vault: header"), 0o600) },
		"bbolt": func(path string) error {
			return build(path, func(b *bolt.Bucket) error { return b.Put([]byte(headerKey), make([]byte, headerSize)) })
		},
		"a link":      func(path string) error { return os.Symlink(sound, path) },
		"a directory": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "vault.db")
		if err := plant(path); err != nil {
			t.Fatal(err)
		}
		write600(t, path+".old", []byte("x"))
		before := listing(t, dir)
		if err := DestroyKeys(path); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "is left as it is") {
			t.Errorf("%s: %v", name, err)
		}
		if !maps.Equal(listing(t, dir), before) {
			t.Errorf("%s: something has changed", name)
		}
	}
	if again, err := Open(sound, passphrase(), nil); err != nil {
		t.Errorf("behind the link: %v", err)
	} else {
		again.Close()
	}

	// Beside a vault, a link in the place of a copy: it stays, and the rest goes.
	target := filepath.Join(t.TempDir(), "precious")
	write600(t, target, []byte("precious"))
	if err := os.Symlink(target, sound+".v1"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(DestroyKeys(sound), Remove(sound)); err != nil {
		t.Error(err)
	}
	if left := listing(t, filepath.Dir(sound)); len(left) != 1 || left["vault.db.v1"] == "" {
		t.Errorf("left are %q", slices.Sorted(maps.Keys(left)))
	}
	if raw, err := os.ReadFile(target); err != nil || string(raw) != "precious" {
		t.Errorf("what a link leads to: %q, %v", raw, err)
	}
}

// A header is found wherever it lies, twice too, and nothing around it changes.
func TestBlot(t *testing.T) {
	header := appendHeader(nil, passphrase(), testMaster())
	element := append([]byte(headerKey), header...)
	for _, at := range [][]int{{0}, {pieceSize - 1}, {pieceSize - len(element)}, {pieceSize - len(element) + 1}, {pieceSize + 100}, {5, 2*pieceSize - 60}, {3*pieceSize - len(element)}} {
		raw := bytes.Repeat([]byte("header"), 3*pieceSize/6)
		want := bytes.Clone(raw)
		for _, at := range at {
			copy(raw[at:], element)
			copy(want[at:], element[:len(headerKey)])
			copy(want[at+len(headerKey):], blotted(version))
		}
		path := filepath.Join(t.TempDir(), "file")
		write600(t, path, raw)
		for range 2 {
			if found, _, err := blot(path); err != nil || !found {
				t.Errorf("at %d: found is %v, %v", at, found, err)
			}
			if got, _ := os.ReadFile(path); !bytes.Equal(got, want) {
				t.Errorf("at %d: the file is another than it should be", at)
			}
		}
	}
	if err := checkHeader(blotted(version)); err != nil {
		t.Errorf("a file cannot be told from a foreign one any more: %v", err)
	}
	if _, err := openHeader(blotted(version), passphrase()); !errors.Is(err, ErrPassphrase) {
		t.Errorf("it opens: %v", err)
	}
}
