package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
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

// build fills the empty file at path and makes it durable. fill puts everything,
// the header too, into the one bucket.
func build(path string, fill func(*bolt.Bucket) error) error {
	db, err := bolt.Open(path, 0o600, options(false))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // should fill panic
	err = db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket(rootBucket())
		if err != nil {
			return err
		}
		return fill(b)
	})
	return errors.Join(err, db.Close())
}

// write puts a new file with a header and no values at path, by way of a
// temporary file in dir.
func write(dir, path string, header []byte, k *keys) error {
	f, err := os.CreateTemp(dir, ".vault-*") // mode 0600
	if err != nil {
		return err
	}
	temp := f.Name()
	defer func() { _ = os.Remove(temp) }() // after a rename there is none
	if err := f.Close(); err != nil {
		return err
	}
	err = build(temp, func(b *bolt.Bucket) error {
		at, sealed := k.sealCensus(census{})
		return errors.Join(b.Put([]byte(headerKey), header), b.Put(at[:], sealed))
	})
	if err != nil {
		return err
	}
	return Place(temp, path)
}

// Place gives the file at temp, which is on the disk already, the name path in the same file
// system. If something is there already, Place leaves it alone and the error is
// fs.ErrExist. After success nothing is at temp.
func Place(temp, path string) error {
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
	_ = os.Remove(temp) // after a rename there is none
	syncDir(filepath.Dir(path))
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

// found is a file that inspect has proven sound.
type found struct {
	keys   *keys
	info   os.FileInfo // which file it was, should another take its place
	layout layout
}

// inspect proves the file at path sound and the passphrase right, without
// writing. unlock takes the keys from a sound header.
func inspect(path string, unlock func(header []byte) (*keys, error)) (f *found, err error) {
	f = new(found)
	defer func() {
		if err != nil && f.keys != nil {
			f.keys.wipe()
		}
	}()
	// The structure is proven before bbolt follows it. These two catch what may
	// change under us: a mapped page that went away, an assertion in bbolt.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = errTorn()
		}
	}()

	info, err := os.Stat(path)
	switch {
	case err != nil:
		return f, fmt.Errorf("cannot open the profile: %w", err)
	case !info.Mode().IsRegular():
		return f, damaged("it is not a file")
	case info.Size() < 4*pageSize:
		return f, damaged("it is cut short")
	}
	db, file, err := openBolt(path, true)
	if err != nil {
		return f, err
	}
	defer func() { _ = db.Close() }()

	if f.info, err = file.Stat(); err != nil {
		return f, fmt.Errorf("cannot open the profile: %w", err)
	}
	if f.layout, err = checkPages(file, f.info.Size()); err != nil {
		return f, err
	}
	err = db.View(func(tx *bolt.Tx) error {
		p := diskPages{tx.Bucket(rootBucket())}
		header := p.header()
		if err := checkHeader(header); err != nil {
			return err
		}
		if f.keys, err = unlock(header); err != nil {
			return err
		}
		return f.keys.checkSeals(p)
	})
	return f, err
}

// errMoved says that another process has put another file in the place of the
// inspected one.
var errMoved = errors.New("the profile was replaced meanwhile")

// open opens an inspected file for good, and first brings it up to date or writes
// it anew where that is due. The keys are those of the result.
func (f *found) open(path string, o opener, migrate func(*Tx) error) (*disk, *keys, error) {
	d, err := openDisk(path)
	if err != nil {
		return nil, nil, err
	}
	if !f.is(path) || !f.isOpen(d.file) {
		return nil, nil, errors.Join(errMoved, d.close())
	}
	_ = clearAway(path) // or the next Open does
	switch {
	case f.keys.version < version:
		defer f.keys.wipe()
		defer func() { _ = d.close() }() // if migrate panics too
		return d.upgrade(path, o, f.keys, migrate)
	case f.layout.wasteful():
		if next, err := d.compact(path, f.keys); err == nil {
			return next, f.keys, nil
		}
		// It has no room now, which is no reason to keep anybody out.
		_ = d.close()
		if d, err = openDisk(path); err != nil {
			return nil, nil, err
		}
	}
	return d, f.keys, nil
}

func (f *found) is(path string) bool { return isAt(f.info, path) }

// isAt reports whether a file has the name path.
func isAt(file os.FileInfo, path string) bool {
	info, err := os.Lstat(path)
	return err == nil && os.SameFile(info, file)
}

func (f *found) isOpen(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && os.SameFile(info, f.info)
}

// openBolt opens an existing bbolt file and takes its lock: shared if readOnly,
// exclusive otherwise. The handle is bbolt's own, for as long as db is open.
func openBolt(path string, readOnly bool) (db *bolt.DB, file *os.File, err error) {
	o := options(readOnly)
	o.OpenFile = func(path string, flag int, mode os.FileMode) (*os.File, error) {
		file, err = os.OpenFile(path, flag&^os.O_CREATE, mode)
		return file, err
	}
	db, err = bolt.Open(path, 0o600, o)
	var (
		pathError *fs.PathError
		errno     syscall.Errno
	)
	switch {
	case err == nil:
		return db, file, nil
	case errors.Is(err, berrors.ErrTimeout):
		return nil, nil, ErrInUse
	case errors.As(err, &pathError), errors.As(err, &errno):
		return nil, nil, fmt.Errorf("cannot open the profile: %w", err)
	default:
		return nil, nil, damaged(err.Error())
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

// errTorn is for what no check has foreseen.
func errTorn() error { return damaged("its pages do not hold together") }

// same reports whether two names are of one file.
func same(a, b string) bool {
	x, errA := os.Lstat(a)
	y, errB := os.Lstat(b)
	return errA == nil && errB == nil && os.SameFile(x, y)
}
