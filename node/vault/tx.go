package vault

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrNotFound says that a bucket has no such key.
var ErrNotFound = errors.New("no such entry in the profile")

var (
	errReadOnly = errors.New("this transaction only reads")
	errTxDone   = errors.New("this transaction is over")
)

// A Tx is one transaction. It belongs to the function it was handed to, and to
// one goroutine.
type Tx struct {
	*transaction
	keys *keys // of the space that this shows
}

// transaction is what a Tx shares with those of other spaces.
type transaction struct {
	root     *keys
	pages    pages
	writable bool
	done     bool

	added, removed census
	derived        []*keys // of spaces, to be forgotten
}

func newTx(k *keys, p pages, writable bool) *Tx {
	return &Tx{&transaction{root: k, pages: p, writable: writable}, k}
}

// end is called when the function that the transaction was handed to has returned.
func (t *Tx) end() {
	t.done = true
	for _, k := range t.derived {
		k.wipe()
	}
}

// Get returns a copy of the value of key, ErrNotFound if there is none.
func (t *Tx) Get(bucket, key string) ([]byte, error) {
	if err := t.check(bucket, key, false); err != nil {
		return nil, err
	}
	return t.open(t.keys.of(bucket, key), key)
}

// open returns the value of key, which lies at a name, ErrNotFound if none does.
func (t *Tx) open(at name, key string) ([]byte, error) {
	sealed := t.pages.get(at)
	if sealed == nil {
		return nil, ErrNotFound
	}
	stored, value, err := t.keys.openValue(at, sealed)
	if err != nil {
		return nil, err
	}
	if stored != key {
		return nil, damaged("a value lies under another name")
	}
	return value, nil
}

// Put stores a copy of value, at most MaxValue bytes, in place of what was there.
// Bucket and key are 1 to MaxName bytes.
func (t *Tx) Put(bucket, key string, value []byte) error {
	if err := t.check(bucket, key, true); err != nil {
		return err
	}
	if len(value) > MaxValue {
		return fmt.Errorf("a value of %d bytes is over the limit of %d", len(value), MaxValue)
	}
	at := t.keys.of(bucket, key)
	if t.pages.get(at) == nil {
		t.added.add(at)
	}
	return t.pages.put(at, t.keys.sealValue(at, key, value))
}

// Delete removes key. It is no error if there is none.
func (t *Tx) Delete(bucket, key string) error {
	if err := t.check(bucket, key, true); err != nil {
		return err
	}
	at := t.keys.of(bucket, key)
	if t.pages.get(at) == nil {
		return nil
	}
	t.removed.add(at)
	return t.pages.delete(at)
}

// ForEach calls fn for every key of bucket, in the order of the keys' bytes, with
// a copy of the value, until fn fails. fn may change the bucket: a key it adds is
// not visited, a key it deletes before its turn neither. Names are sorted here,
// as their order on disk is that of their hashes, so each value is opened twice
// and one is held at a time.
func (t *Tx) ForEach(bucket string, fn func(key string, value []byte) error) error {
	if err := t.check(bucket, "-", false); err != nil {
		return err
	}
	type entry struct {
		key string
		at  name
	}
	var entries []entry
	err := t.pages.scan(t.keys.group(bucket), func(at name, sealed []byte) error {
		key, value, err := t.keys.openValue(at, sealed)
		clear(value)
		if err != nil {
			return err
		}
		entries = append(entries, entry{key, at})
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	for _, e := range entries {
		value, err := t.open(e.at, e.key)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := fn(e.key, value); err != nil {
			return err
		}
	}
	return nil
}

// finish brings the census up to date before the transaction is made durable.
func (t *Tx) finish() error {
	if t.added.count == 0 && t.removed.count == 0 {
		return nil
	}
	c, err := t.root.readCensus(t.pages)
	if err != nil {
		return err
	}
	c.count += t.added.count - t.removed.count
	c.toggle(t.added.sum)
	c.toggle(t.removed.sum)
	return t.pages.put(t.root.sealCensus(c))
}

func (t *Tx) check(bucket, key string, write bool) error {
	switch {
	case t.done:
		return errTxDone
	case write && !t.writable:
		return errReadOnly
	case len(bucket) == 0 || len(bucket) > MaxName || len(key) == 0 || len(key) > MaxName:
		return fmt.Errorf("a bucket or key has 1 to %d bytes", MaxName)
	}
	return nil
}
