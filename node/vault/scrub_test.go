package vault

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	mrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// leftIn returns the pages of a file that nobody uses and that hold anything.
func leftIn(raw []byte) []uint64 {
	file := bytes.NewReader(raw)
	newest, _, err := metas(file)
	if err != nil {
		return nil
	}
	free, err := newWalker(file, newest.high).freelist(newest.freelist)
	if err != nil {
		return nil
	}
	for id := newest.high; id < uint64(len(raw))/pageSize; id++ {
		free = append(free, id)
	}
	return slices.DeleteFunc(free, func(id uint64) bool {
		return bytes.Equal(raw[id*pageSize:][:pageSize], make([]byte, pageSize))
	})
}

// A ledger remembers what was sealed and is in the vault no more.
type ledger struct {
	v       *Vault
	path    string
	current map[string][]byte // sealed, by key of the bucket "b"
	gone    [][]byte
}

func (l *ledger) update(t *testing.T, fn func(*Tx) error) {
	t.Helper()
	if err := l.v.Update(fn); err != nil {
		t.Fatal(err)
	}
	now := make(map[string][]byte)
	err := l.v.store.view(func(p pages) error {
		for i := range 40 {
			key := fmt.Sprint(i)
			if sealed := p.get(l.v.keys.of("b", key)); sealed != nil {
				now[key] = bytes.Clone(sealed)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for key, sealed := range l.current {
		if !bytes.Equal(sealed, now[key]) {
			l.gone = append(l.gone, sealed)
		}
	}
	l.current = now
}

// found counts those of the sealed values of which the file holds any 32 bytes that
// they consist of.
func (l *ledger) found(t *testing.T, values [][]byte) (n int) {
	t.Helper()
	raw, err := os.ReadFile(l.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, sealed := range values {
		for at := 0; at+32 <= len(sealed); at += 32 {
			if bytes.Contains(raw, sealed[at:at+32]) {
				n++
				break
			}
		}
	}
	return n
}

func newLedger(t *testing.T) *ledger {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vault.db")
	if err := write(filepath.Dir(path), path, golden(t, "header-v2"), testKeys()); err != nil {
		t.Fatal(err)
	}
	l := &ledger{v: reopen(t, path, testKeys()), path: path}
	t.Cleanup(func() { l.v.Close() })
	return l
}

// change puts and deletes a few values of all sizes.
func change(r *mrand.Rand) func(*Tx) error {
	return func(tx *Tx) error {
		var errs []error
		for range 1 + r.IntN(4) {
			key := fmt.Sprint(r.IntN(40))
			if r.IntN(3) == 0 {
				errs = append(errs, tx.Delete("b", key))
			} else {
				errs = append(errs, tx.Put("b", key, noise(r.IntN(1<<r.IntN(14)))))
			}
		}
		return errors.Join(errs...)
	}
}

// Of what was deleted or replaced not a piece is in the file after Scrub, and
// before it only what the last update deleted or replaced.
func TestNothingDeletedLingers(t *testing.T) {
	l := newLedger(t)
	r := mrand.New(mrand.NewPCG(1, 2))
	for range count(60, 600) {
		before := len(l.gone)
		l.update(t, change(r))
		if n := l.found(t, l.gone[:before]); n > 0 {
			t.Fatalf("after an update %d values are found that earlier ones took away", n)
		}
	}
	if l.found(t, l.gone) == 0 {
		t.Error("nothing lingers before Scrub: either it is of no use or nothing would be found")
	}
	if n := l.found(t, slices.Collect(maps.Values(l.current))); n != len(l.current) {
		t.Errorf("%d of %d values are found that are there", n, len(l.current))
	}
	if err := l.v.Scrub(); err != nil {
		t.Fatal(err)
	}
	if n := l.found(t, l.gone); n > 0 || len(l.gone) < 50 {
		t.Errorf("after Scrub %d of %d deleted values are found", n, len(l.gone))
	}
	scrubbed, _ := os.ReadFile(l.path)
	if err := l.v.Scrub(); err != nil {
		t.Fatal(err)
	}
	if again, _ := os.ReadFile(l.path); !bytes.Equal(scrubbed, again) {
		t.Error("a second Scrub wrote to the file")
	}
	l.update(t, change(r))
	if err := l.v.Close(); err != nil {
		t.Fatal(err)
	}
	if n := l.found(t, l.gone); n > 0 {
		t.Errorf("after Close %d of %d deleted values are found", n, len(l.gone))
	}
	if _, err := inspect(l.path, func([]byte) (*keys, error) { return testKeys(), nil }); err != nil {
		t.Error(err)
	}
}

// A view keeps what it began with through updates and their wiping, and what is
// left for its sake is wiped afterwards.
func TestViewOutlivesWiping(t *testing.T) {
	l := newLedger(t)
	r := mrand.New(mrand.NewPCG(3, 4))
	for range 20 {
		l.update(t, change(r))
	}
	before, err := contents(l.v, "b")
	if err != nil {
		t.Fatal(err)
	}
	// One that grows the file would wait for the view: give it room first.
	large := func(tx *Tx) error { return tx.Put("large", "k", make([]byte, MaxValue)) }
	if err := errors.Join(l.v.Update(large), l.v.Update(func(tx *Tx) error { return tx.Delete("large", "k") })); err != nil {
		t.Fatal(err)
	}
	err = l.v.View(func(tx *Tx) error {
		for range 10 {
			l.update(t, change(r))
			seen := make(map[string]string)
			err := tx.ForEach("b", func(key string, value []byte) error {
				seen["b/"+key] = string(value)
				return nil
			})
			if err != nil || !maps.Equal(seen, before) {
				return fmt.Errorf("a view sees %d entries instead of %d: %w", len(seen), len(before), err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.v.Scrub(); err != nil {
		t.Fatal(err)
	}
	if n := l.found(t, l.gone); n > 0 {
		t.Errorf("%d of %d deleted values are found", n, len(l.gone))
	}

	// The same if the last update, with the view still open, was one of nothing.
	earlier := len(l.gone)
	err = l.v.View(func(*Tx) error {
		for len(l.gone) == earlier {
			l.update(t, change(r))
		}
		l.update(t, func(*Tx) error { return nil })
		return nil
	})
	if err := errors.Join(err, l.v.Scrub()); err != nil {
		t.Fatal(err)
	}
	if n := l.found(t, l.gone); n > 0 {
		t.Errorf("after an update of nothing %d of %d deleted values are found", n, len(l.gone))
	}
}

// When the power goes during an update or a scrub, any of the pages that it wrote
// or wiped may have reached the disk, in any order, while its meta page has not, or
// in part: the state before it stands, and the same holds for the next update.
func TestPowerCutWhileWiping(t *testing.T) {
	l := newLedger(t)
	r := mrand.New(mrand.NewPCG(5, 6))
	for range 20 {
		l.update(t, change(r))
	}
	path := filepath.Join(t.TempDir(), "cut.db")
	for round := range count(12, 120) {
		old, _ := os.ReadFile(l.path)
		want, err := contents(l.v, "b")
		if err != nil {
			t.Fatal(err)
		}
		if round%3 == 0 {
			err = l.v.Scrub()
		} else {
			err = l.v.Update(change(r))
		}
		if err != nil {
			t.Fatal(err)
		}
		now, _ := os.ReadFile(l.path)
		newest, _, err := metas(bytes.NewReader(now))
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			cut := append(bytes.Clone(old), make([]byte, max(0, len(now)-len(old)))...)
			for at := 2 * pageSize; at < len(cut); at += pageSize {
				if r.IntN(2) == 0 {
					copy(cut[at:at+pageSize], now[at:])
				}
			}
			// Its sum is the last of a meta page, and a part of the sum could be right.
			if torn := newest.transaction % 2 * pageSize; r.IntN(2) == 0 {
				copy(cut[torn:], now[torn:torn+uint64(pageHeader+r.IntN(metaSize-8))])
			}
			f, err := inspectBytes(path, cut)
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			v := reopen(t, path, f.keys)
			got, err := contents(v, "b")
			if err != nil || !maps.Equal(got, want) {
				t.Fatalf("round %d: %d entries instead of %d, %v", round, len(got), len(want), err)
			}
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func inspectBytes(path string, raw []byte) (*found, error) {
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		return nil, err
	}
	return inspect(path, func([]byte) (*keys, error) { return testKeys(), nil })
}

// What a killed process, or a disk that was full, has left in free pages and
// behind the last one goes at the next Scrub, without a transaction.
func TestScrubFindsWhatOthersLeft(t *testing.T) {
	l := newLedger(t)
	r := mrand.New(mrand.NewPCG(7, 8))
	for range 20 {
		l.update(t, change(r))
	}
	want, err := contents(l.v, "b")
	if err := errors.Join(err, l.v.Close()); err != nil {
		t.Fatal(err)
	}
	raw, _ := os.ReadFile(l.path)
	newest, other, err := metas(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	free, err := newWalker(bytes.NewReader(raw), newest.high).freelist(newest.freelist)
	if err != nil || len(free) < 5 {
		t.Fatalf("%d free pages, %v", len(free), err)
	}
	dirty := append(bytes.Clone(raw), make([]byte, 3*pageSize)...)
	for _, id := range append(free, newest.high+1, uint64(len(dirty))/pageSize-1) {
		if id != other.freelist {
			copy(dirty[id*pageSize+100:], noise(500))
		}
	}
	f, err := inspectBytes(l.path, dirty)
	if err != nil {
		t.Fatal(err)
	}
	v := reopen(t, l.path, f.keys)
	got, err := contents(v, "b")
	if err := errors.Join(err, v.Close()); err != nil || !maps.Equal(got, want) {
		t.Errorf("%d entries, %v", len(got), err)
	}
	after, _ := os.ReadFile(l.path)
	if !bytes.Equal(after[:len(raw)], raw) || !bytes.Equal(after[len(raw):], make([]byte, 3*pageSize)) {
		t.Error("the file is not what it was")
	}
}

// A closed vault survives the loss of either meta page with all it holds: the last
// transaction was a scrub.
func TestEitherMetaPageWillDo(t *testing.T) {
	l := newLedger(t)
	r := mrand.New(mrand.NewPCG(9, 10))
	for range 10 {
		l.update(t, change(r))
	}
	want, err := contents(l.v, "b")
	if err := errors.Join(err, l.v.Close()); err != nil {
		t.Fatal(err)
	}
	raw, _ := os.ReadFile(l.path)
	for id := range 2 {
		bad := bytes.Clone(raw)
		clear(bad[id*pageSize+pageHeader:][:metaSize])
		f, err := inspectBytes(l.path, bad)
		if err != nil {
			t.Fatalf("without meta page %d: %v", id, err)
		}
		v := reopen(t, l.path, f.keys)
		got, err := contents(v, "b")
		if err := errors.Join(err, v.Close()); err != nil || !maps.Equal(got, want) {
			t.Errorf("without meta page %d: %d entries instead of %d, %v", id, len(got), len(want), err)
		}
	}
}

func TestScrubOfAClosedVault(t *testing.T) {
	l := newLedger(t)
	if err := l.v.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.v.Scrub(); !errors.Is(err, ErrClosed) {
		t.Errorf("Scrub: %v", err)
	}
	if err := l.v.DropOld(); !errors.Is(err, ErrClosed) {
		t.Errorf("DropOld: %v", err)
	}
	m := Memory()
	if err := errors.Join(m.Scrub(), m.DropOld(), m.Close()); err != nil {
		t.Error(err)
	}
}

// If only the last sync of a transaction fails, the new state can be read and may
// not be on the disk: nobody gets an answer then.
func TestUnsureState(t *testing.T) {
	l := newLedger(t)
	l.update(t, func(tx *Tx) error { return tx.Put("b", "1", nil) })
	d := l.v.store.(*disk)
	newest, _, err := metas(d.file)
	if err != nil || !d.cleared.known {
		t.Fatal(err, d.cleared.known)
	}
	failure := errors.New("failure")
	if err := d.failed(int(newest.transaction)+1, failure); !errors.Is(err, failure) || errors.Is(err, errUnsure) {
		t.Errorf("nothing was written: %v", err)
	}
	if d.cleared.known {
		t.Error("pages count as empty that the transaction may have written to")
	}
	l.update(t, func(tx *Tx) error { return tx.Put("b", "1", nil) })
	if err := d.failed(int(newest.transaction)+1, failure); !errors.Is(err, failure) || !errors.Is(err, errUnsure) {
		t.Errorf("the meta page was written: %v", err)
	}
	for name, try := range map[string]func() error{
		"View":   func() error { return l.v.View(func(*Tx) error { return nil }) },
		"Update": func() error { return l.v.Update(func(*Tx) error { return nil }) },
		"Scrub":  l.v.Scrub,
	} {
		if err := try(); !errors.Is(err, errUnsure) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
