package vault

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"
)

// disk is the store in a bbolt file.
type disk struct {
	db    *bolt.DB
	file  *os.File     // bbolt's own handle
	views sync.RWMutex // held for reading by views, for writing while free pages are wiped

	torn    atomic.Bool // which state the file holds is not known
	mu      sync.Mutex  // held by updates
	cleared cleared     // guarded by mu
}

var errUnsure = errors.New("the disk failed while the profile was written: start again to see what it kept")

// openDisk opens a file that has been inspected, or just written, for good.
func openDisk(path string) (*disk, error) {
	db, file, err := openBolt(path, false)
	if err != nil {
		return nil, err
	}
	return &disk{db: db, file: file}, nil
}

func (d *disk) view(fn func(pages) error) error {
	if d.torn.Load() {
		return errUnsure
	}
	d.views.RLock()
	defer d.views.RUnlock()
	return d.db.View(func(tx *bolt.Tx) error { return fn(diskPages{tx.Bucket(rootBucket())}) })
}

func (d *disk) update(fn func(pages) error) error {
	return d.commit(func(tx *bolt.Tx) error {
		if err := fn(diskPages{tx.Bucket(rootBucket())}); err != nil {
			return err
		}
		// What cannot be wiped now is tried again by the next update; whether the
		// transaction itself can be written is for bbolt to say.
		_ = d.wipe(false)
		return nil
	})
}

// commit is bbolt's Update, with errors of its commit told apart from fn's own.
func (d *disk) commit(fn func(*bolt.Tx) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.torn.Load() {
		return errUnsure
	}
	id, ready := 0, false
	err := d.db.Update(func(tx *bolt.Tx) error {
		id = tx.ID()
		if err := fn(tx); err != nil {
			return err
		}
		ready = true
		return nil
	})
	if err == nil || !ready {
		return err
	}
	return d.failed(id, err)
}

// failed judges an error of the commit of a transaction. Nearly all leave the
// state before it. If only the last sync failed, though, the new meta page is
// there to be read and perhaps not on the disk: then nobody can say which state
// stands until the file is opened anew. Called with mu held.
func (d *disk) failed(transaction int, err error) error {
	d.cleared = cleared{}
	newest, _, e := metas(d.file)
	if e != nil || newest.transaction >= uint64(transaction) {
		d.torn.Store(true)
		return fmt.Errorf("%w: %w", errUnsure, writeError(err))
	}
	return writeError(err)
}

func (d *disk) close() error { return d.db.Close() }

type diskPages struct{ b *bolt.Bucket }

func (p diskPages) header() []byte                  { return p.b.Get([]byte(headerKey)) }
func (p diskPages) get(n name) []byte               { return p.b.Get(n[:]) }
func (p diskPages) put(n name, sealed []byte) error { return p.b.Put(n[:], sealed) }
func (p diskPages) delete(n name) error             { return p.b.Delete(n[:]) }

func (p diskPages) scan(prefix []byte, fn func(name, []byte) error) error {
	c := p.b.Cursor()
	for k, sealed := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, sealed = c.Next() {
		if string(k) == headerKey {
			continue
		}
		if len(k) != nameSize {
			return damaged("it holds what no profile holds")
		}
		if err := fn(name(k), sealed); err != nil {
			return err
		}
	}
	return nil
}
