package vault

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"testing"
)

// Values of a space and of the vault itself do not reach each other, and each is all
// that its view shows.
func testSpaces(t *testing.T, v *Vault) {
	one, two := SpaceID{1}, SpaceID{2}
	views := map[string]*Vault{"whole": v, "one": v.Space(one), "two": v.Space(two)}
	for name, view := range views {
		put(t, view, "bucket", "key", "of "+name)
		put(t, view, "only "+name, name, name)
	}
	for name, view := range views {
		got, err := contents(view, "bucket", "only whole", "only one", "only two")
		if want := map[string]string{"bucket/key": "of " + name, "only " + name + "/" + name: name}; err != nil || !maps.Equal(got, want) {
			t.Errorf("%s holds %v, %v", name, got, err)
		}
	}
	if got, err := contents(views["one"].Space(two), "bucket"); err != nil || got["bucket/key"] != "of two" {
		t.Errorf("a space of a space: %v, %v", got, err)
	}
	if views["one"].Whole() != v || v.Whole() != v {
		t.Error("the whole is another")
	}

	// One transaction shows several, and is one.
	failure := errors.New("failure")
	for _, fail := range []error{failure, nil} {
		err := v.Update(func(tx *Tx) error {
			value, err := tx.Space(two).Get("bucket", "key")
			if err != nil {
				return err
			}
			return errors.Join(tx.Space(one).Put("bucket", "copy", value), tx.Delete("bucket", "key"), fail)
		})
		if !errors.Is(err, fail) {
			t.Fatal(err)
		}
		got, err := contents(views["one"], "bucket")
		whole, err2 := contents(v, "bucket")
		if err := errors.Join(err, err2); err != nil || (got["bucket/copy"] == "of two") != (fail == nil) || (len(whole) == 0) != (fail == nil) {
			t.Errorf("after %v: %v, %v, %v", fail, got, whole, err)
		}
	}
	var kept *Tx
	if err := v.View(func(tx *Tx) error { kept = tx.Space(one); return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := kept.Get("bucket", "key"); !errors.Is(err, errTxDone) || kept.keys.name != [32]byte{} {
		t.Errorf("after its transaction: %v", err)
	}
	if err := errors.Join(views["two"].Close(), v.Close()); err != nil {
		t.Error(err)
	}
	if err := v.View(func(*Tx) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("the whole is open after a view was closed: %v", err)
	}
}

// Dropping deletes everything of one space, or everything outside the others, and
// nothing else.
func testDropSpace(t *testing.T, v *Vault) {
	one, two := SpaceID{1}, SpaceID{2}
	fill := func(v *Vault, n int) map[string]string {
		want := make(map[string]string)
		for i := range n {
			bucket, key := fmt.Sprint("bucket", i%3), fmt.Sprint(i)
			put(t, v, bucket, key, key)
			want[bucket+"/"+key] = key
		}
		return want
	}
	buckets := []string{"bucket0", "bucket1", "bucket2"}
	whole, first, second := fill(v, 20), fill(v.Space(one), 30), fill(v.Space(two), 40)
	put(t, v, "list", "them", "all")
	check := func(when string, whole, first, second map[string]string) {
		t.Helper()
		for i, view := range []*Vault{v, v.Space(one), v.Space(two)} {
			got, err := contents(view, buckets...)
			if want := []map[string]string{whole, first, second}[i]; err != nil || !maps.Equal(got, want) {
				t.Errorf("%s: view %d holds %d values, want %d, %v", when, i, len(got), len(want), err)
			}
		}
		if got, err := contents(v, "list"); err != nil || len(got) != 1 {
			t.Errorf("%s: the list is gone: %v", when, err)
		}
		var census census
		err := v.store.view(func(p pages) (err error) {
			census, err = v.keys.readCensus(p)
			return errors.Join(err, v.keys.checkSeals(p))
		})
		if n := uint64(len(whole) + len(first) + len(second) + 1); err != nil || census.count != n {
			t.Errorf("%s: the census counts %d of %d, %v", when, census.count, n, err)
		}
	}
	check("at first", whole, first, second)
	if err := v.View(func(tx *Tx) error { return tx.DropSpace(one) }); !errors.Is(err, errReadOnly) {
		t.Errorf("in a view: %v", err)
	}
	failure := errors.New("failure")
	err := v.Update(func(tx *Tx) error { return errors.Join(tx.DropSpace(one), failure) })
	if !errors.Is(err, failure) {
		t.Error(err)
	}
	check("after a failure", whole, first, second)
	if err := v.Update(func(tx *Tx) error { return errors.Join(tx.DropSpace(one), tx.DropSpace(SpaceID{3})) }); err != nil {
		t.Fatal(err)
	}
	check("without one", whole, nil, second)
	if err := v.Update(func(tx *Tx) error { return tx.DropRest("list", []SpaceID{one, two}) }); err != nil {
		t.Fatal(err)
	}
	check("without the rest", nil, nil, second)
}

// The names of spaces are what doc.go says, computed here once more.
func TestSpaceNames(t *testing.T) {
	k := testKeys()
	id := SpaceID(bytes.Repeat([]byte{7}, 16))
	space := k.inSpace(id)
	if want := hmacOf(k.name[:], append([]byte{2}, id[:]...)); !bytes.Equal(space.name[:], want) || space.seal != k.seal || space.version != k.version {
		t.Error("the space's keys are others")
	}
	at := space.of("bucket", "key")
	group := hmacOf(space.name[:], []byte("\x00bucket"))[:16]
	rest := hmacOf(space.name[:], append(append([]byte{3}, group...), "key"...))[:16]
	if !bytes.Equal(at[:], append(group, rest...)) {
		t.Errorf("the name is %x", at)
	}
	if !space.has(at, "key") || space.has(at, "kez") || k.inSpace(SpaceID{}).has(at, "key") || space.has(k.of("bucket", "key"), "key") {
		t.Error("what is in a space cannot be told")
	}
}

// Nothing that was sealed in a dropped space is in the file after a scrub, and the
// rest of the file opens.
func TestDroppedSpaceLeavesTheFile(t *testing.T) {
	v, path := create(t)
	id := NewSpaceID()
	for i := range count(50, 2000) {
		put(t, v, "b", fmt.Sprint(i), "stays")
		put(t, v.Space(id), "b", fmt.Sprint(i), "goes")
	}
	var sealed [][]byte
	space := v.keys.inSpace(id)
	err := v.store.view(func(p pages) error {
		return p.scan(nil, func(at name, value []byte) error {
			if key, _, err := v.keys.openValue(at, value); err != nil || !space.has(at, key) {
				return err
			}
			sealed = append(sealed, bytes.Clone(value))
			return nil
		})
	})
	if err != nil || len(sealed) != count(50, 2000) {
		t.Fatalf("%d values in the space, %v", len(sealed), err)
	}
	l := &ledger{v: v, path: path}
	if n := l.found(t, sealed); n != len(sealed) {
		t.Fatalf("%d of %d values are in the file", n, len(sealed))
	}
	err = v.Update(func(tx *Tx) error { return tx.DropSpace(id) })
	if err := errors.Join(err, v.Scrub()); err != nil {
		t.Fatal(err)
	}
	if n := l.found(t, sealed); n != 0 {
		t.Errorf("%d of %d values are still in the file", n, len(sealed))
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		t.Fatal(err)
	}
	again, err := Open(path, passphrase(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got, err := contents(again, "b"); err != nil || len(got) != count(50, 2000) {
		t.Errorf("%d values are left, %v", len(got), err)
	}
}

func hmacOf(key, text []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(text)
	return mac.Sum(nil)
}
