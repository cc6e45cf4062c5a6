package vault

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// grown makes a file with branch pages, overflow pages and free pages, and
// returns its bytes, its keys, and what it holds now and held one transaction
// before, which is what stands when the last meta page is lost.
func grown(t *testing.T) (raw []byte, k *keys, now, before map[string]string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vault.db")
	k = testKeys()
	if err := write(filepath.Dir(path), path, golden(t, "header-v2"), k); err != nil {
		t.Fatal(err)
	}
	held := *k // Close wipes
	v := reopen(t, path, &held)
	err := v.Update(func(tx *Tx) error {
		for i := range 120 {
			if err := tx.Put(fmt.Sprint("bucket", i%3), fmt.Sprint(i), bytes.Repeat([]byte{byte(i)}, i*3)); err != nil {
				return err
			}
		}
		return tx.Put("bucket0", "large", make([]byte, 10_000))
	})
	if err != nil {
		t.Fatal(err)
	}
	err = v.Update(func(tx *Tx) error {
		for i := range 30 {
			if err := tx.Delete(fmt.Sprint("bucket", i%3), fmt.Sprint(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	before, _ = contents(v, "bucket0", "bucket1", "bucket2")
	put(t, v, "bucket1", "last", "the last transaction")
	now, err = contents(v, "bucket0", "bucket1", "bucket2")
	if err != nil || len(now) != 92 || len(before) != 91 {
		t.Fatalf("%d and %d entries, %v", len(now), len(before), err)
	}
	raw, err = os.ReadFile(path) // as a killed process leaves it
	if err := errors.Join(err, v.Close()); err != nil {
		t.Fatal(err)
	}
	return raw, k, now, before
}

// reopen opens a file that is known to be sound, without the passphrase's cost.
func reopen(t testing.TB, path string, k *keys) *Vault {
	t.Helper()
	d, err := openDisk(path)
	if err != nil {
		t.Fatal(err)
	}
	return &Vault{path: path, store: d, keys: k}
}

// try opens the bytes as a vault, without the passphrase's cost. If they are
// accepted it returns what they hold, and has written to them once.
func try(path string, raw []byte, master []byte) (map[string]string, error) {
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		return nil, err
	}
	f, err := inspect(path, func([]byte) (*keys, error) { return deriveKeys(master, version), nil })
	if err != nil {
		if after, _ := os.ReadFile(path); !bytes.Equal(raw, after) {
			return nil, fmt.Errorf("a failed Open changed the file")
		}
		return nil, err
	}
	d, err := openDisk(path)
	if err != nil {
		return nil, fmt.Errorf("sound, but did not open: %w", err)
	}
	d.db.NoSync = true // this file is not for keeping
	defer func() { _ = d.close() }()
	v := &Vault{path: path, store: d, keys: f.keys}
	held, err := contents(v, "bucket0", "bucket1", "bucket2")
	if err != nil {
		return nil, fmt.Errorf("sound, but did not read: %w", err)
	}
	err = v.Update(func(tx *Tx) error {
		return errors.Join(tx.Put("bucket0", "more", make([]byte, 5000)), tx.Delete("bucket1", "40"))
	})
	if err != nil {
		return nil, fmt.Errorf("sound, but did not write: %w", err)
	}
	return held, nil
}

func TestDamage(t *testing.T) {
	raw, _, now, before := grown(t)
	path := filepath.Join(t.TempDir(), "vault.db")
	if held, err := try(path, raw, testMaster()); err != nil || !maps.Equal(held, now) {
		t.Fatalf("undamaged: %d entries, %v", len(held), err)
	}

	var refused, harmless, older int
	check := func(what string, bad []byte) {
		held, err := try(path, bad, testMaster())
		switch {
		case errors.Is(err, ErrDamaged), errors.Is(err, ErrVersion):
			refused++
		case err != nil:
			t.Errorf("%s: %v", what, err)
		case maps.Equal(held, now):
			harmless++
		case maps.Equal(held, before):
			older++
		default:
			t.Errorf("%s: accepted with wrong contents, %d entries", what, len(held))
		}
	}
	flip := func(at int, bit byte) {
		bad := bytes.Clone(raw)
		bad[at] ^= bit
		check(fmt.Sprintf("byte %d ^ %#02x", at, bit), bad)
	}
	for page := 0; page < len(raw); page += pageSize {
		for i := range 48 { // the page's header, the first elements
			flip(page+i, 1<<(i%8))
		}
		for i := 48; i < pageSize; i += 167 {
			flip(page+i, 1<<(i%8))
		}
	}
	for size := 0; size < len(raw); size += 1500 {
		check(fmt.Sprintf("cut to %d", size), raw[:size])
	}
	for page := 0; page < len(raw); page += pageSize {
		bad := bytes.Clone(raw)
		clear(bad[page : page+pageSize])
		check(fmt.Sprintf("page %d zeroed", page/pageSize), bad)
		copy(bad[page:page+pageSize], raw[(page+2*pageSize)%len(raw):])
		check(fmt.Sprintf("page %d overwritten", page/pageSize), bad)
	}
	t.Logf("%d bytes: %d refused, %d harmless (in free space), %d one transaction older (meta page)",
		len(raw), refused, harmless, older)
	if refused < 300 || older == 0 {
		t.Errorf("only %d refused, %d older", refused, older)
	}
}

// Structures that a flipped bit can make and that would send bbolt in a circle
// or off the map: each must be refused before bbolt sees it.
func TestWickedPages(t *testing.T) {
	raw, _, _, _ := grown(t)
	order := binary.NativeEndian
	best, _, err := metas(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	root, err := elements(raw[best.root*pageSize:][:pageSize])
	if err != nil {
		t.Fatal(err)
	}
	branch := u64(root[0].value) * pageSize
	if u16(raw[branch+8:]) != branchFlag {
		t.Fatal("the tree has no branches")
	}
	at := best.transaction % 2 * pageSize
	meta := func(bad []byte, offset, value uint64) {
		order.PutUint64(bad[at+pageHeader+offset:], value)
		sum := fnv.New64a()
		sum.Write(bad[at+pageHeader : at+pageHeader+56])
		order.PutUint64(bad[at+pageHeader+56:], sum.Sum64())
	}
	if _, err := checkPages(bytes.NewReader(raw), int64(len(raw))); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(bad []byte){
		"a branch that is its own child": func(bad []byte) {
			order.PutUint64(bad[branch+pageHeader+8:], branch/pageSize)
		},
		"a child that is a meta page":     func(bad []byte) { order.PutUint64(bad[branch+pageHeader+8:], 1) },
		"a child past the end":            func(bad []byte) { order.PutUint64(bad[branch+pageHeader+8:], 1<<40) },
		"one child twice":                 func(bad []byte) { copy(bad[branch+pageHeader+24:], bad[branch+pageHeader+8:][:8]) },
		"an element past the page":        func(bad []byte) { order.PutUint32(bad[branch+pageHeader:], 0xFFFFFFF0) },
		"more elements than fit":          func(bad []byte) { order.PutUint16(bad[branch+10:], 0xFFFF) },
		"an overflow past the end":        func(bad []byte) { order.PutUint32(bad[branch+12:], 0xFFFFFFFF) },
		"a branch without children":       func(bad []byte) { order.PutUint16(bad[branch+10:], 0) },
		"the root past the end":           func(bad []byte) { meta(bad, 16, 1<<50) },
		"the free list past the end":      func(bad []byte) { meta(bad, 32, 1<<50) },
		"no free list":                    func(bad []byte) { meta(bad, 32, 1<<64-1) },
		"a high-water mark past the end":  func(bad []byte) { meta(bad, 40, 1<<50) },
		"a high-water mark below it all":  func(bad []byte) { meta(bad, 40, 2) },
		"a page in use on the free list":  func(bad []byte) { freeOne(bad, best.freelist, branch/pageSize) },
		"a meta page on the free list":    func(bad []byte) { freeOne(bad, best.freelist, 0) },
		"a number of free pages past it":  func(bad []byte) { order.PutUint16(bad[best.freelist*pageSize+10:], 0xFFFE) },
		"a huge number of free pages too": func(bad []byte) { order.PutUint16(bad[best.freelist*pageSize+10:], 0xFFFF) },
	} {
		bad := bytes.Clone(raw)
		spoil(bad)
		if _, err := checkPages(bytes.NewReader(bad), int64(len(bad))); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// freeOne puts id alone on the free list.
func freeOne(raw []byte, freelist, id uint64) {
	page := raw[freelist*pageSize:]
	binary.NativeEndian.PutUint16(page[10:], 1)
	binary.NativeEndian.PutUint64(page[pageHeader:], id)
}
