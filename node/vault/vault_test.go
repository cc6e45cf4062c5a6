package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if task := os.Getenv(childTask); task != "" {
		os.Exit(runChild(task)) // this is the process of a test, see child_test.go
	}
	goleak.VerifyTestMain(m)
}

func passphrase() []byte { return []byte("correct horse battery staple") }

// create makes a vault on disk whose cleanup closes it.
func create(t *testing.T) (*Vault, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "profile", "vault.db")
	v, err := Create(path, passphrase())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v, path
}

func put(t *testing.T, v *Vault, bucket, key, value string) {
	t.Helper()
	err := v.Update(func(tx *Tx) error { return tx.Put(bucket, key, []byte(value)) })
	if err != nil {
		t.Fatal(err)
	}
}

// contents returns everything in the given buckets as "bucket/key" = value.
func contents(v *Vault, buckets ...string) (map[string]string, error) {
	all := make(map[string]string)
	err := v.View(func(tx *Tx) error {
		for _, bucket := range buckets {
			err := tx.ForEach(bucket, func(key string, value []byte) error {
				all[bucket+"/"+key] = string(value)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return all, err
}

// The same suite for both stores.
func TestSuite(t *testing.T) {
	stores := map[string]func(*testing.T) *Vault{
		"disk":   func(t *testing.T) *Vault { v, _ := create(t); return v },
		"memory": func(t *testing.T) *Vault { return Memory() },
	}
	tests := map[string]func(*testing.T, *Vault){
		"values":       testValues,
		"order":        testOrder,
		"change":       testChangeWhileIterating,
		"rollback":     testRollback,
		"panic":        testPanic,
		"limits":       testLimits,
		"read-only":    testReadOnly,
		"own copies":   testOwnCopies,
		"snapshot":     testSnapshot,
		"concurrent":   testConcurrent,
		"closed":       testClosed,
		"like-named":   testLikeNamed,
		"large values": testLarge,
		"spaces":       testSpaces,
		"drop a space": testDropSpace,
	}
	for store, open := range stores {
		for _, name := range slices.Sorted(maps.Keys(tests)) {
			t.Run(store+"/"+name, func(t *testing.T) {
				v := open(t)
				tests[name](t, v)
				if err := v.Close(); err != nil {
					t.Errorf("closing: %v", err)
				}
			})
		}
	}
}

func testValues(t *testing.T, v *Vault) {
	put(t, v, "contacts", "bob", "1")
	put(t, v, "contacts", "bob", "2")
	put(t, v, "contacts", "empty", "")
	put(t, v, "outbox", "bob", "3")
	err := v.Update(func(tx *Tx) error {
		if err := tx.Delete("outbox", "nobody"); err != nil {
			t.Errorf("deleting what is not there: %v", err)
		}
		if err := tx.Put("outbox", "carol", []byte("4")); err != nil {
			return err
		}
		value, err := tx.Get("outbox", "carol")
		if err != nil || string(value) != "4" {
			t.Errorf("a transaction does not see its own value: %q, %v", value, err)
		}
		return tx.Delete("outbox", "carol")
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := contents(v, "contacts", "outbox", "nothing")
	want := map[string]string{"contacts/bob": "2", "contacts/empty": "", "outbox/bob": "3"}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	err = v.View(func(tx *Tx) error { _, err := tx.Get("contacts", "dave"); return err })
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func testOrder(t *testing.T, v *Vault) {
	var want []string
	err := v.Update(func(tx *Tx) error {
		for i := range 300 {
			key := fmt.Sprintf("%03d", (i*7)%300)
			if err := tx.Put("b", key, []byte(key)); err != nil {
				return err
			}
			want = append(want, fmt.Sprintf("%03d", i))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	stop := errors.New("stop")
	err = v.View(func(tx *Tx) error {
		return tx.ForEach("b", func(key string, value []byte) error {
			if string(value) != key {
				t.Errorf("%s has the value %q", key, value)
			}
			if got = append(got, key); len(got) == 250 {
				return stop
			}
			return nil
		})
	})
	if !errors.Is(err, stop) || !slices.Equal(got, want[:250]) {
		t.Errorf("got %v, %v", got, err)
	}
}

func testChangeWhileIterating(t *testing.T, v *Vault) {
	for _, key := range []string{"a", "b", "c"} {
		put(t, v, "b", key, key)
	}
	var visited []string
	err := v.Update(func(tx *Tx) error {
		return tx.ForEach("b", func(key string, _ []byte) error {
			visited = append(visited, key)
			return errors.Join(tx.Delete("b", "b"), tx.Put("b", key+"!", nil))
		})
	})
	got, _ := contents(v, "b")
	want := map[string]string{"b/a": "a", "b/a!": "", "b/c": "c", "b/c!": ""}
	if err != nil || !slices.Equal(visited, []string{"a", "c"}) || !maps.Equal(got, want) {
		t.Errorf("visited %v, then %v, %v", visited, got, err)
	}
}

func testRollback(t *testing.T, v *Vault) {
	put(t, v, "b", "kept", "1")
	put(t, v, "b", "changed", "1")
	failure := errors.New("failure")
	err := v.Update(func(tx *Tx) error {
		err := errors.Join(tx.Delete("b", "kept"), tx.Put("b", "changed", []byte("2")), tx.Put("new", "new", nil))
		return errors.Join(err, failure)
	})
	if !errors.Is(err, failure) {
		t.Errorf("got %v, want the function's error", err)
	}
	got, _ := contents(v, "b", "new")
	if want := map[string]string{"b/kept": "1", "b/changed": "1"}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func testPanic(t *testing.T, v *Vault) {
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the function's panic was swallowed")
			}
		}()
		_ = v.Update(func(tx *Tx) error {
			if err := tx.Put("b", "k", nil); err != nil {
				return err
			}
			panic("a mistake in the caller")
		})
	}()
	if got, err := contents(v, "b"); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
	put(t, v, "b", "k", "the vault still works")
}

func testLimits(t *testing.T, v *Vault) {
	long := strings.Repeat("n", MaxName)
	err := v.Update(func(tx *Tx) error {
		for _, bad := range [][2]string{{"", "k"}, {"b", ""}, {long + "n", "k"}, {"b", long + "n"}} {
			if tx.Put(bad[0], bad[1], nil) == nil {
				t.Errorf("stored under names of %d and %d bytes", len(bad[0]), len(bad[1]))
			}
		}
		if tx.Put("b", "k", make([]byte, MaxValue+1)) == nil {
			t.Error("stored a value over the limit")
		}
		return tx.Put(long, long, make([]byte, MaxValue))
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := contents(v, long, "b")
	if err != nil || len(got) != 1 || len(got[long+"/"+long]) != MaxValue {
		t.Errorf("%d entries, %v", len(got), err)
	}
}

func testReadOnly(t *testing.T, v *Vault) {
	put(t, v, "b", "k", "1")
	var outside *Tx
	err := v.View(func(tx *Tx) error {
		outside = tx
		if tx.Put("b", "k", nil) == nil || tx.Delete("b", "k") == nil {
			t.Error("a view wrote")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := outside.Get("b", "k"); err == nil {
		t.Error("a transaction was of use after its end")
	}
	if got, _ := contents(v, "b"); got["b/k"] != "1" {
		t.Errorf("got %v", got)
	}
}

func testOwnCopies(t *testing.T, v *Vault) {
	mine := []byte("value")
	if err := v.Update(func(tx *Tx) error { return tx.Put("b", "k", mine) }); err != nil {
		t.Fatal(err)
	}
	clear(mine)
	err := v.View(func(tx *Tx) error {
		got, err := tx.Get("b", "k")
		clear(got)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := contents(v, "b"); got["b/k"] != "value" {
		t.Errorf("got %v", got)
	}
}

func testSnapshot(t *testing.T, v *Vault) {
	put(t, v, "b", "k", "before")
	done, wrote := make(chan error), make(chan struct{})
	err := v.View(func(tx *Tx) error {
		go func() {
			done <- v.Update(func(tx *Tx) error {
				defer close(wrote)
				return tx.Put("b", "k", []byte("after"))
			})
		}()
		<-wrote // but may not commit: a view never waits for that
		value, err := tx.Get("b", "k")
		if string(value) != "before" {
			t.Errorf("a view saw %q, which came after it", value)
		}
		return err
	})
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	if got, _ := contents(v, "b"); got["b/k"] != "after" {
		t.Errorf("got %v", got)
	}
}

func testConcurrent(t *testing.T, v *Vault) {
	const workers, rounds = 4, 8
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			for range rounds {
				err := v.Update(func(tx *Tx) error {
					n, err := tx.Get("b", "count")
					if err != nil && !errors.Is(err, ErrNotFound) {
						return err
					}
					return errors.Join(tx.Put("b", "count", append(n, byte('0'+i))), tx.Put("b", "twin", append(n, byte('0'+i))))
				})
				if err != nil {
					t.Error(err)
				}
				got, err := contents(v, "b")
				if err != nil || got["b/count"] != got["b/twin"] {
					t.Errorf("half a transaction: %v, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
	if got, _ := contents(v, "b"); len(got["b/count"]) != workers*rounds {
		t.Errorf("%d of %d updates counted", len(got["b/count"]), workers*rounds)
	}
}

func testClosed(t *testing.T, v *Vault) {
	put(t, v, "b", "k", "1")
	keys := v.keys
	if err := errors.Join(v.Close(), v.Close()); err != nil {
		t.Error(err)
	}
	for _, transaction := range []func(func(*Tx) error) error{v.View, v.Update} {
		err := transaction(func(*Tx) error { t.Error("ran"); return nil })
		if !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	}
	if keys.seal != [32]byte{} || keys.name != [32]byte{} {
		t.Error("the keys outlive the vault")
	}
}

// Names that run together to the same letters are not the same.
func testLikeNamed(t *testing.T, v *Vault) {
	put(t, v, "a", "bc", "1")
	put(t, v, "ab", "c", "2")
	put(t, v, "abc", "abc", "3")
	got, err := contents(v, "a", "ab", "abc")
	if want := map[string]string{"a/bc": "1", "ab/c": "2", "abc/abc": "3"}; err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func testLarge(t *testing.T, v *Vault) {
	for size := 1; size <= 1<<17; size = size*3 + 1 {
		value := bytes.Repeat([]byte{byte(size)}, size)
		put(t, v, "b", "k", string(value))
		got, err := contents(v, "b")
		if err != nil || got["b/k"] != string(value) {
			t.Errorf("%d bytes came back as %d, %v", size, len(got["b/k"]), err)
		}
	}
}

func TestReopen(t *testing.T) {
	v, path := create(t)
	put(t, v, "identity", "key", "secret")
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	v, err := Open(path, passphrase(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	got, err := contents(v, "identity")
	if err != nil || got["identity/key"] != "secret" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestCreate(t *testing.T) {
	v, path := create(t)
	if !Exists(path) {
		t.Error("Exists does not see the file")
	}
	for name, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700 | fs.ModeDir} {
		info, err := os.Stat(name)
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	if len(entries) != 1 {
		t.Errorf("left over: %v", entries)
	}
	put(t, v, "b", "k", "1")
	if _, err := Create(path, passphrase()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second Create: %v", err)
	}
	if got, _ := contents(v, "b"); got["b/k"] != "1" {
		t.Error("a second Create changed the file")
	}
	if _, err := Create(filepath.Join(t.TempDir(), "vault.db"), nil); !errors.Is(err, ErrPassphrase) {
		t.Errorf("an empty passphrase: %v", err)
	}
}

// What a Create killed half-way leaves behind is in nobody's way.
func TestCreateAfterKill(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".vault-1234"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "vault.db")
	if Exists(path) {
		t.Fatal("the leftover counts as a profile")
	}
	v, err := Create(path, passphrase())
	if err != nil {
		t.Fatal(err)
	}
	v.Close()
}

// Of two processes creating at once one wins, and the loser harms nothing.
func TestCreateRace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "vault.db")
	master := random(masterSize)
	header := appendHeader(nil, passphrase(), master)
	errs := make([]error, 4)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = write(dir, path, header, deriveKeys(master, version)) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, fs.ErrExist) {
			t.Error(err)
		}
	}
	entries, _ := os.ReadDir(dir)
	if won != 1 || len(entries) != 1 {
		t.Errorf("%d winners, files %v", won, entries)
	}
}

func TestOpenErrors(t *testing.T) {
	v, path := create(t)
	put(t, v, "b", "k", "1")
	if _, err := Open(path, passphrase(), nil); !errors.Is(err, ErrInUse) {
		t.Errorf("in use: %v", err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path)
	for _, wrong := range []string{"", "wrong", string(passphrase()) + " "} {
		if _, err := Open(path, []byte(wrong), nil); !errors.Is(err, ErrPassphrase) {
			t.Errorf("passphrase %q: %v", wrong, err)
		}
	}
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing")
	if _, err := Open(missing, passphrase(), nil); !errors.Is(err, fs.ErrNotExist) || Exists(missing) {
		t.Errorf("missing: %v", err)
	}
	if _, err := Open(dir, passphrase(), nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("a directory: %v", err)
	}
	for _, size := range []int{0, 1, 4 * pageSize, 1 << 16} {
		junk := filepath.Join(dir, fmt.Sprint(size))
		if err := os.WriteFile(junk, bytes.Repeat([]byte{0xA5}, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(junk, passphrase(), nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d bytes of junk: %v", size, err)
		}
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("a failed Open changed the file")
	}
}

func TestNewerVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault.db")
	header := append([]byte{version + 1}, "whatever a later version keeps here"...)
	if err := write(filepath.Dir(path), path, withSum(header), testKeys()); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path)
	if _, err := Open(path, passphrase(), nil); !errors.Is(err, ErrVersion) {
		t.Errorf("got %v, want ErrVersion", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("a failed Open changed the file")
	}
}

func TestNoClearText(t *testing.T) {
	v, path := create(t)
	put(t, v, "contacts-bucket", "bob-the-source", "meet me at the old mill")
	put(t, v, "contacts-bucket", "gone-again", "and this was deleted")
	err := v.Update(func(tx *Tx) error { return tx.Delete("contacts-bucket", "gone-again") })
	if err != nil {
		t.Fatal(err)
	}
	v.Close()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"contacts", "bob", "source", "old mill", "gone-again", "deleted", "correct horse"} {
		if bytes.Contains(raw, []byte(secret)) {
			t.Errorf("%q is in the file", secret)
		}
	}
	if !bytes.Contains(raw, rootBucket()) {
		t.Error("the search finds nothing at all")
	}
}

// Several who open a vault at once are in each other's way for a moment, but
// none is turned away for good.
func TestOpenedByManyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault.db")
	v, err := Create(path, passphrase())
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				v, err := Open(path, passphrase(), nil)
				if err == nil {
					if err := v.Close(); err != nil {
						t.Error(err)
					}
					return
				}
				if !errors.Is(err, ErrInUse) {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
