package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
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

const (
	headerKey = "header"
	pageSize  = 4096

	// lockWait bounds the wait for another process that is just leaving.
	lockWait = 100 * time.Millisecond

	// openWait bounds the wait for others who open the file at the same time:
	// each inspects it under a shared lock, for as long as the passphrase takes
	// to stretch, and then needs it alone.
	openWait = 2 * time.Second
)

// A Vault holds named values in named buckets. It is safe for concurrent use;
// transactions must not be nested, nor Close called within one.
type Vault struct {
	mu     sync.RWMutex // held for reading by transactions, for writing by Close
	store  store
	keys   *keys
	closed bool
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
		return nil, fmt.Errorf("cannot make the profile's directory: %w", err)
	}
	master := random(masterSize)
	defer clear(master)
	keys := deriveKeys(master)
	if err := write(dir, path, appendHeader(nil, passphrase, master), keys); err != nil {
		return nil, fmt.Errorf("cannot create the profile: %w", err)
	}
	return open(path, keys)
}

// Open opens the vault at path, which must exist. On any error the file is as it
// was. Besides the errors of this package, the error may be fs.ErrNotExist.
func Open(path string, passphrase []byte) (*Vault, error) {
	if len(passphrase) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrPassphrase)
	}
	keys, err := inspect(path, func(header []byte) ([]byte, error) {
		return openHeader(header, passphrase)
	})
	if err != nil {
		return nil, err
	}
	return open(path, keys)
}

// Memory makes a vault that nothing outlives. It behaves as one on disk does.
func Memory() *Vault {
	master := random(masterSize)
	defer clear(master)
	keys := deriveKeys(master)
	return &Vault{store: newMemory(keys.sealCensus(census{})), keys: keys}
}

// View runs fn on the state of this moment, beside other transactions. fn must
// not wait for an Update: one that grows the file waits for all views.
func (v *Vault) View(fn func(*Tx) error) error {
	return v.run(fn, false)
}

// Update runs fn and makes what it changed durable together, or, if fn or the
// disk fails, changes nothing. Updates run one at a time.
func (v *Vault) Update(fn func(*Tx) error) error {
	return v.run(fn, true)
}

func (v *Vault) run(fn func(*Tx) error, writable bool) error {
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
		tx := &Tx{keys: v.keys, pages: p, writable: writable}
		defer func() { tx.done = true }()
		if err := fn(tx); err != nil {
			return err
		}
		return tx.finish()
	})
}

// Close waits for running transactions, forgets the keys and lets go of the file.
// Calling it again does nothing.
func (v *Vault) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return nil
	}
	v.closed = true
	v.keys.wipe()
	return v.store.close()
}

// write puts a new file with a header and no values at path, by way of a
// temporary file in dir.
func write(dir, path string, header []byte, k *keys) error {
	f, err := os.CreateTemp(dir, ".vault-*") // mode 0600
	if err != nil {
		return err
	}
	temp := f.Name()
	defer os.Remove(temp)
	if err := f.Close(); err != nil {
		return err
	}
	db, err := bolt.Open(temp, 0o600, options(false))
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket(rootBucket())
		if err != nil {
			return err
		}
		at, sealed := k.sealCensus(census{})
		return errors.Join(b.Put([]byte(headerKey), header), b.Put(at[:], sealed))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	// A link, unlike a rename, does not replace what another process has put
	// there in the meantime. Some file systems have none.
	if err := os.Link(temp, path); err != nil {
		if Exists(path) {
			return fs.ErrExist
		}
		if err := os.Rename(temp, path); err != nil {
			return err
		}
	}
	syncDir(dir)
	return nil
}

// syncDir makes a new name in dir durable. Not every system can; the file's own
// bytes are on disk already.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}

// inspect proves the file at path sound and the passphrase right, without
// writing, and returns the keys. unlock takes the master key from a sound header.
func inspect(path string, unlock func(header []byte) ([]byte, error)) (k *keys, err error) {
	// The structure is proven before bbolt follows it. These two catch what may
	// change under us: a mapped page that went away, an assertion in bbolt.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			k, err = nil, damaged("its pages do not hold together")
		}
	}()

	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot open the profile: %w", err)
	case !info.Mode().IsRegular():
		return nil, damaged("it is not a file")
	case info.Size() < 4*pageSize:
		return nil, damaged("it is cut short")
	}
	db, err := openBolt(path, true)
	if err != nil {
		return nil, err
	}
	defer db.Close()

	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the profile: %w", err)
	}
	defer file.Close()
	if err := checkPages(file, info.Size()); err != nil {
		return nil, err
	}

	err = disk{db}.view(func(p pages) error {
		header := p.(diskPages).b.Get([]byte(headerKey))
		if err := checkHeader(header); err != nil {
			return err
		}
		master, err := unlock(header)
		if err != nil {
			return err
		}
		defer clear(master)
		k = deriveKeys(master)
		return k.checkSeals(p)
	})
	if err != nil {
		return nil, err
	}
	return k, nil
}

// open opens a file that has been inspected, or just written, for good.
func open(path string, k *keys) (*Vault, error) {
	db, err := openBolt(path, false)
	if err != nil {
		k.wipe()
		return nil, err
	}
	return &Vault{store: disk{db}, keys: k}, nil
}

// openBolt opens an existing bbolt file and takes its lock: shared if readOnly,
// exclusive otherwise.
func openBolt(path string, readOnly bool) (*bolt.DB, error) {
	o := options(readOnly)
	o.OpenFile = func(path string, flag int, mode os.FileMode) (*os.File, error) {
		return os.OpenFile(path, flag&^os.O_CREATE, mode)
	}
	db, err := bolt.Open(path, 0o600, o)
	var pathError *fs.PathError
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, berrors.ErrTimeout):
		return nil, ErrInUse
	case errors.As(err, &pathError):
		return nil, fmt.Errorf("cannot open the profile: %w", err)
	default:
		return nil, damaged(err.Error())
	}
}

// options fixes the page size, so that a profile may move to a machine with
// another one.
func options(readOnly bool) *bolt.Options {
	wait := openWait
	if readOnly {
		wait = lockWait
	}
	return &bolt.Options{
		Timeout:      wait,
		ReadOnly:     readOnly,
		PageSize:     pageSize,
		NoStatistics: true,
	}
}

func rootBucket() []byte { return []byte("vault") }

func damaged(how string) error {
	return fmt.Errorf("%w: %s", ErrDamaged, how)
}
