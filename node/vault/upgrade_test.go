package vault

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	mrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// The file of version 1 is a profile that the last program of that version wrote.
const fixture = "../testdata/profile-v1/vault.db"

func fixturePassphrase() []byte { return []byte("correct horse") }

func fixtureBuckets() []string {
	return []string{"profile", "contacts", "requests", "conversations", "outbox", "unshown", "migrated"}
}

// old puts a copy of the fixture into a new directory, and returns its bytes.
func old(t *testing.T) (path string, raw []byte) {
	t.Helper()
	raw, err := os.ReadFile(fixture)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "vault.db")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, raw
}

// fixtureOpener spares the passphrase's cost.
func fixtureOpener(t testing.TB) opener {
	t.Helper()
	master, err := hex.DecodeString("38e99fceb1138bb0617458001c8d018a36f5c86620391aca3c6539ca094c9287")
	if err != nil {
		t.Fatal(err)
	}
	return opensWith(t, master)
}

// fixtureContents reads the fixture as version 1 did.
func fixtureContents(t *testing.T) map[string]string {
	t.Helper()
	path, _ := old(t)
	f, err := inspect(path, fixtureOpener(t).unlock)
	if err != nil {
		t.Fatal(err)
	}
	v := reopen(t, path, f.keys)
	defer v.Close()
	held, err := contents(v, fixtureBuckets()...)
	if err != nil || len(held) != 15 || held["profile/nick"] != "ada" {
		t.Fatalf("the fixture holds %d entries, %v", len(held), err)
	}
	return held
}

// migrateFixture is a migration that adds, changes and deletes.
func migrateFixture(tx *Tx) error {
	nick, err := tx.Get("profile", "nick")
	if err != nil {
		return err
	}
	n := 0
	err = tx.ForEach("conversations", func(key string, value []byte) error {
		n++
		return errors.Join(tx.Put("migrated", key, value), tx.Delete("conversations", key))
	})
	return errors.Join(err, tx.Put("profile", "nick", fmt.Append(nick, n)))
}

// migrated is what the fixture holds after migrateFixture.
func migrated(before map[string]string) map[string]string {
	after := make(map[string]string)
	n := 0
	for key, value := range before {
		if peer, ok := bytes.CutPrefix([]byte(key), []byte("conversations/")); ok {
			key = "migrated/" + string(peer)
			n++
		}
		after[key] = value
	}
	after["profile/nick"] += fmt.Sprint(n)
	return after
}

// expectUpgraded opens the file and compares.
func expectUpgraded(t *testing.T, path string, migrate func(*Tx) error) {
	t.Helper()
	v, err := openAt(path, fixtureOpener(t), migrate)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	held, err := contents(v, fixtureBuckets()...)
	if want := migrated(fixtureContents(t)); err != nil || !maps.Equal(held, want) {
		t.Errorf("%d entries instead of %d, %v", len(held), len(want), err)
	}
}

func files(t *testing.T, path string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func never(*Tx) error { return errors.New("there was nothing to migrate") }

func TestUpgrade(t *testing.T) {
	path, raw := old(t)
	if err := upgradeFixture(path); err != nil {
		t.Fatal(err)
	}
	if kept, _ := os.ReadFile(keptName(path, 1)); !bytes.Equal(kept, raw) {
		t.Error("the old file was not kept as it was")
	}
	if got := files(t, path); !slices.Equal(got, []string{"vault.db", "vault.db.v1"}) {
		t.Errorf("left over: %v", got)
	}
	now, _ := os.ReadFile(path)
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("the new file: %v, %v", info.Mode(), err)
	}

	// The next Open has nothing to do, and leaves the old file where it is.
	if v, err := Open(path, fixturePassphrase(), never); err != nil || v.Close() != nil {
		t.Fatal(err)
	}
	expectUpgraded(t, path, never)
	expectUpgraded(t, path, nil)
	if after, _ := os.ReadFile(path); !bytes.Equal(now, after) {
		t.Error("opening and closing changed the file")
	}
	v, err := openAt(path, fixtureOpener(t), never)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if !Exists(keptName(path, 1)) {
		t.Error("the old file went before DropOld")
	}
	alias := filepath.Join(t.TempDir(), "alias")
	if err := os.Link(keptName(path, 1), alias); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(v.DropOld(), v.DropOld()); err != nil {
		t.Error(err)
	}
	if got := files(t, path); !slices.Equal(got, []string{"vault.db"}) {
		t.Errorf("after DropOld: %v", got)
	}
	if rest, _ := os.ReadFile(alias); !bytes.Equal(rest, make([]byte, len(raw))) {
		t.Error("the old file was removed, but not overwritten")
	}
}

// Whatever stands in the way of an upgrade leaves the old file, and nothing else.
func TestUpgradeErrors(t *testing.T) {
	path, raw := old(t)
	failure := errors.New("failure")
	huge := func(tx *Tx) error { return tx.Put("b", "k", make([]byte, MaxValue+1)) }
	spoilt := bytes.Clone(raw)
	spoilt[len(spoilt)/4] ^= 1
	for name, try := range map[string]struct {
		passphrase string
		migrate    func(*Tx) error
		want       error
	}{
		"no migration":       {string(fixturePassphrase()), nil, errOlder},
		"wrong passphrase":   {"wrong", migrateFixture, ErrPassphrase},
		"failing migration":  {string(fixturePassphrase()), func(*Tx) error { return failure }, failure},
		"refused by the API": {string(fixturePassphrase()), huge, nil},
	} {
		_, err := Open(path, []byte(try.passphrase), try.migrate)
		if err == nil || try.want != nil && !errors.Is(err, try.want) {
			t.Errorf("%s: %v", name, err)
		}
		if after, _ := os.ReadFile(path); !bytes.Equal(raw, after) || len(files(t, path)) != 1 {
			t.Errorf("%s: the file changed, or left over are %v", name, files(t, path))
		}
	}
	for at := 2 * pageSize; at < len(raw); at += 1000 {
		bad := bytes.Clone(raw)
		bad[at] ^= 1
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := openAt(path, fixtureOpener(t), migrateFixture)
		if err == nil { // the byte was in a free page
			v.Close()
			_ = os.Remove(keptName(path, 1))
			continue
		}
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d: %v", at, err)
		}
		if after, _ := os.ReadFile(path); !bytes.Equal(bad, after) || len(files(t, path)) != 1 {
			t.Errorf("byte %d: the file changed, or left over are %v", at, files(t, path))
		}
	}
}

func TestUpgradePanic(t *testing.T) {
	path, raw := old(t)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the migration's panic was swallowed")
			}
		}()
		_, _ = openAt(path, fixtureOpener(t), func(*Tx) error { panic("a mistake in the caller") })
	}()
	if after, _ := os.ReadFile(path); !bytes.Equal(raw, after) {
		t.Error("the file changed")
	}
	expectUpgraded(t, path, migrateFixture)
}

// Whatever a process leaves that is killed between two steps of an upgrade, the
// next one ends it.
func TestUpgradeAfterKill(t *testing.T) {
	write := func(name string, raw []byte) {
		if err := os.WriteFile(name, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(from, to string) {
		if err := os.Link(from, to); err != nil {
			t.Fatal(err)
		}
	}
	for name, leave := range map[string]func(path string, raw []byte){
		"half a new file":           func(path string, raw []byte) { write(path+newSuffix, raw[:5000]) },
		"a new file, and a link":    func(path string, raw []byte) { write(path+newSuffix, raw); link(path, keptName(path, 1)) },
		"a link alone":              func(path string, _ []byte) { link(path, keptName(path, 1)) },
		"half a copy":               func(path string, raw []byte) { write(keptName(path, 1)+copySuffix, raw[:5000]) },
		"a copy":                    func(path string, raw []byte) { write(keptName(path, 1), raw) },
		"the file of another time":  func(path string, _ []byte) { write(keptName(path, 1), []byte("long ago")) },
		"of a compaction, no sense": func(path string, _ []byte) { link(path, path+oldSuffix) },
	} {
		path, raw := old(t)
		leave(path, raw)
		expectUpgraded(t, path, migrateFixture)
		if kept, _ := os.ReadFile(keptName(path, 1)); !bytes.Equal(kept, raw) {
			t.Errorf("%s: the old file was not kept as it was", name)
		}
		if got := files(t, path); !slices.Equal(got, []string{"vault.db", "vault.db.v1"}) {
			t.Errorf("%s: left over: %v", name, got)
		}
	}
}

// A file system without links gets a copy, which appears whole.
func TestDuplicate(t *testing.T) {
	path, raw := old(t)
	if err := duplicate(path, keptName(path, 1)); err != nil {
		t.Fatal(err)
	}
	if kept, _ := os.ReadFile(keptName(path, 1)); !bytes.Equal(kept, raw) || same(path, keptName(path, 1)) {
		t.Error("not a copy")
	}
	if err := os.MkdirAll(filepath.Join(path+oldSuffix, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := duplicate(path, path+oldSuffix); err == nil || Exists(path+oldSuffix+copySuffix) {
		t.Errorf("over a directory: %v, %v", err, files(t, path))
	}
}

// What goes by two names keeps what it holds when one of them is given up.
func TestShred(t *testing.T) {
	path, raw := old(t)
	if err := os.Link(path, path+oldSuffix); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(shred(path+oldSuffix, path), shred(path+oldSuffix, path)); err != nil {
		t.Error(err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(raw, after) || Exists(path+oldSuffix) {
		t.Error("the file itself was overwritten")
	}
	if err := os.Symlink(path, path+oldSuffix); err != nil {
		t.Fatal(err)
	}
	if err := shred(path+oldSuffix, path); err != nil {
		t.Error(err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(raw, after) || Exists(path+oldSuffix) {
		t.Error("the file was overwritten through a symbolic link")
	}
}

// The file may lie elsewhere, behind a link: that stays one.
func TestUpgradeBehindALink(t *testing.T) {
	path, _ := old(t)
	link := filepath.Join(t.TempDir(), "vault.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := upgradeFixture(link); err != nil {
		t.Fatal(err)
	}
	expectUpgraded(t, path, never)
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info.Mode(), err)
	}
}

// Of several who come at once one upgrades, once, and the others wait for the
// result or are told that somebody is at it.
func TestUpgradedByManyAtOnce(t *testing.T) {
	path, raw := old(t)
	results := make(chan error)
	for range 3 {
		go func() {
			v, err := Open(path, fixturePassphrase(), migrateFixture)
			if err == nil {
				err = v.Close()
			}
			results <- err
		}()
	}
	won := 0
	for range 3 {
		switch err := <-results; {
		case err == nil:
			won++
		case !errors.Is(err, ErrInUse):
			t.Error(err)
		}
	}
	if won == 0 {
		t.Error("nobody got through")
	}
	expectUpgraded(t, path, never)
	if kept, _ := os.ReadFile(keptName(path, 1)); !bytes.Equal(kept, raw) {
		t.Error("the old file was not kept as it was")
	}
}

func upgradeChild() error { return upgradeFixture(childFile) }

func upgradeFixture(path string) error {
	v, err := Open(path, fixturePassphrase(), migrateFixture)
	if err != nil {
		return err
	}
	return v.Close()
}

// Killed at any moment, an upgrade leaves the old file or the new one, whole.
func TestKilledWhileUpgrading(t *testing.T) {
	path, raw := old(t)
	start := time.Now()
	if err := upgradeFixture(path); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	r := mrand.New(mrand.NewPCG(1, 1))
	for range count(4, 60) {
		path, _ := old(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.Int64N(int64(took*3/2))))
		err := child(ctx, "upgrade", filepath.Dir(path)).Run() // killed, or done before
		if err == nil && ctx.Err() == nil && Exists(path+newSuffix) {
			t.Errorf("done, and left over: %v", files(t, path))
		}
		cancel()
		if now, _ := os.ReadFile(path); !bytes.Equal(now, raw) {
			if kept, _ := os.ReadFile(keptName(path, 1)); !bytes.Equal(kept, raw) {
				t.Error("neither the old file nor its second name holds what it held")
			}
			expectUpgraded(t, path, never)
			continue
		}
		expectUpgraded(t, path, migrateFixture)
	}
}
