package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

var (
	// ErrPassphrase says that the passphrase is wrong, or empty.
	ErrPassphrase = errors.New("the passphrase is wrong")
	// ErrInUse says that another process has the file open.
	ErrInUse = errors.New("the profile is in use by another process")
	// ErrDamaged says that the file is not what a vault wrote.
	ErrDamaged = errors.New("the profile is damaged")
	// ErrVersion says that a newer program wrote the file.
	ErrVersion = errors.New("the profile was written by a newer version of this program")
	// ErrClosed says that the vault has been closed.
	ErrClosed = errors.New("the profile is closed")
)

// A Vault holds named values in named buckets. It is safe for concurrent use;
// transactions must not be nested, nor Close called within one.
type Vault struct {
	path   string       // "" for one in memory; read-only
	mu     sync.RWMutex // held for reading by transactions, for writing by Close
	store  store
	keys   *keys
	closed bool

	of    *Vault // for a view of a space: the whole, and nothing else but space counts
	space SpaceID
}

// Exists reports whether there is a file at path.
func Exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// Create makes a vault at path and opens it. The file appears whole or not at
// all, readable by its owner only; directories that are missing are made for the
// owner only. If something is at path already, Create leaves it alone and the
// error is fs.ErrExist. A process killed half-way leaves a file named .vault-*
// beside it, which nobody reads.
func Create(path string, passphrase []byte) (*Vault, error) {
	if len(passphrase) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrPassphrase)
	}
	if Exists(path) {
		return nil, fmt.Errorf("there is a profile already: %w", fs.ErrExist)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the profile's directory: %w", full(err))
	}
	master := random(masterSize)
	defer clear(master)
	keys := deriveKeys(master, version)
	if err := write(dir, path, appendHeader(nil, passphrase, master), keys); err != nil {
		return nil, fmt.Errorf("cannot create the profile: %w", full(err))
	}
	d, err := openDisk(path)
	if err != nil {
		keys.wipe()
		return nil, err
	}
	return &Vault{path: path, store: d, keys: keys}, nil
}

// Open opens the vault at path, which must exist. On any error the file is as it
// was. Besides the errors of this package, the error may be fs.ErrNotExist.
//
// A file of an older version is brought up to date with migrate, which runs once,
// in one transaction, on the values as that version left them; without one, Open
// fails. If migrate fails nothing has changed. The old file is kept as path.vN, N
// being its version, until DropOld.
//
// A file of which more than half is empty, if it is larger than 8 MiB, is written
// anew without that, for which the disk needs room for both.
func Open(path string, passphrase []byte, migrate func(*Tx) error) (*Vault, error) {
	if len(passphrase) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrPassphrase)
	}
	path, err := filepath.EvalSymlinks(path) // what takes the file's place must not take the link's
	if err != nil {
		return nil, fmt.Errorf("cannot open the profile: %w", err)
	}
	return openAt(path, withPassphrase(passphrase), migrate)
}

func openAt(path string, o opener, migrate func(*Tx) error) (*Vault, error) {
	for range openTries {
		f, err := inspect(path, func(header []byte) (*keys, error) {
			if header[0] < version && migrate == nil {
				return nil, errOlder
			}
			return o.unlock(header)
		})
		if err != nil {
			return nil, err
		}
		d, k, err := f.open(path, o, migrate)
		if err == nil {
			return &Vault{path: path, store: d, keys: k}, nil
		}
		f.keys.wipe()
		if !errors.Is(err, errMoved) {
			return nil, err
		}
	}
	return nil, ErrInUse
}

// openTries is how often another process may replace the file while this one opens it.
const openTries = 3

// Memory makes a vault that nothing outlives. It behaves as one on disk does.
func Memory() *Vault {
	master := random(masterSize)
	defer clear(master)
	keys := deriveKeys(master, version)
	return &Vault{store: newMemory(keys.sealCensus(census{})), keys: keys}
}

// View runs fn on the state of this moment, beside other transactions. fn must
// not wait for an Update or a Scrub: one that grows the file, and any Scrub, waits
// for all views.
func (v *Vault) View(fn func(*Tx) error) error {
	return v.run(fn, false)
}

// Update runs fn and makes what it changed durable together, or, if fn or the
// disk fails, changes nothing. Updates run one at a time.
func (v *Vault) Update(fn func(*Tx) error) error {
	return v.run(fn, true)
}

func (v *Vault) run(fn func(*Tx) error, writable bool) error {
	if v.of != nil {
		return v.of.run(func(tx *Tx) error { return fn(tx.Space(v.space)) }, writable)
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.closed {
		return ErrClosed
	}
	transaction := v.store.view
	if writable {
		transaction = v.store.update
	}
	return transaction(func(p pages) error {
		tx := newTx(v.keys, p, writable)
		defer tx.end()
		if err := fn(tx); err != nil {
			return err
		}
		return tx.finish()
	})
}

// Scrub leaves nothing in the file of what was deleted or replaced up to now. Until
// it is called, the file still holds what the last Update deleted or replaced, and
// nothing older, unless a View was open meanwhile. Close does the same. Call it
// when there has been nothing to store for a moment: it costs as much as an Update,
// or next to nothing if there was none since the last Scrub.
func (v *Vault) Scrub() error {
	if v.of != nil {
		return v.of.Scrub()
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.closed {
		return ErrClosed
	}
	return v.store.scrub()
}

// DropOld overwrites and removes the file that Open kept when it brought this
// vault up to date, if there still is one.
func (v *Vault) DropOld() error {
	if v.of != nil {
		return v.of.DropOld()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return ErrClosed
	}
	if v.path == "" {
		return nil
	}
	for old := byte(oldest); old < version; old++ {
		if err := shred(keptName(v.path, old), v.path); err != nil {
			return fmt.Errorf("the old file of the profile cannot be removed: %w", err)
		}
	}
	syncDir(filepath.Dir(v.path))
	return nil
}

// Close waits for running transactions, scrubs the file, forgets the keys and lets
// go of it, whatever the error. Calling it again does nothing.
func (v *Vault) Close() error {
	if v.of != nil {
		return v.of.Close()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return nil
	}
	v.closed = true
	v.keys.wipe()
	return errors.Join(v.store.scrub(), v.store.close())
}
