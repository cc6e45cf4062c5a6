package vault

import (
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

var errOlder = errors.New("the profile was written by an older version of this program, and nothing is known that brings it up to date")

// upgrade replaces d, of an older version, by a file of this one: the same values
// under the same names, sealed anew, after migrate has changed them. The old file
// is kept beside it.
func (d *disk) upgrade(path string, o opener, from *keys, migrate func(*Tx) error) (*disk, *keys, error) {
	var to *keys
	next, err := d.replace(path, keptName(path, from.version), func(old diskPages, b *bolt.Bucket) error {
		header, k, err := o.renew(old.header())
		if err != nil {
			return err
		}
		to = k
		if err := b.Put([]byte(headerKey), header); err != nil {
			return err
		}
		tx := newTx(to, diskPages{b}, true)
		defer tx.end()
		err = old.scan(nil, func(at name, sealed []byte) error {
			key, value, err := from.openValue(at, sealed)
			if err != nil {
				return err
			}
			defer clear(value)
			return tx.pages.put(at, to.sealValue(at, key, value))
		})
		if err != nil {
			return err
		}
		if err := migrate(tx); err != nil {
			return err
		}
		return tx.finish()
	}, func(path string) error {
		f, err := inspect(path, o.unlock)
		if err == nil {
			f.keys.wipe()
		}
		return err
	})
	if err != nil {
		if to != nil {
			to.wipe()
		}
		return nil, nil, fmt.Errorf("the profile could not be brought up to date: %w", full(err))
	}
	return next, to, nil
}

// wasteful reports whether a file is worth being written anew: it is large, and
// more than half of it is empty. bbolt never gives back a page.
func (l layout) wasteful() bool { return l.high > largeFile && l.free > l.high/2 }

// largeFile, in pages, is 8 MiB.
const largeFile = 2048

// compact replaces d by a file that holds the same bytes without free pages.
func (d *disk) compact(path string, k *keys) (*disk, error) {
	next, err := d.replace(path, path+oldSuffix, func(old diskPages, b *bolt.Bucket) error {
		return old.b.ForEach(b.Put)
	}, func(path string) error {
		f, err := inspect(path, func([]byte) (*keys, error) { return k.clone(), nil })
		if err == nil {
			f.keys.wipe()
		}
		return err
	})
	if err == nil {
		_ = clearAway(path) // or the next Open does
	}
	return next, err
}
