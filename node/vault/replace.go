package vault

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	bolt "go.etcd.io/bbolt"
)

// A file is replaced, when its version is old or much of it is empty, in steps of
// which each leaves one whole vault at path, whenever the process is killed:
//
//	1  lock path, look whether it is still the file that was inspected
//	2  write everything to path.new, sync, open it as any vault is opened
//	3  make the old file known as keep too, by a link, or a copy where there are none
//	4  rename path.new to path
//
// Until 4 path is the old file, byte for byte. The lock of the old file is held to
// the end, so that of two processes one waits: it then finds that it has locked
// what path no longer is, and starts over. The next Open clears away what a killed
// process has left.
const (
	newSuffix  = ".new"
	oldSuffix  = ".old"  // the old file, if nobody needs it any more
	copySuffix = ".copy" // half of such a file, where there are no links
)

// replace puts a file that fill has filled from d, and that check has found good,
// in the place of d at path, and returns it open. d is closed if that succeeds.
// The old file is then at keep.
func (d *disk) replace(path, keep string, fill func(from diskPages, to *bolt.Bucket) error, check func(path string) error) (*disk, error) {
	temp := path + newSuffix
	err := d.db.View(func(tx *bolt.Tx) error {
		return build(temp, func(to *bolt.Bucket) error {
			to.FillPercent = fillPercent
			return fill(diskPages{tx.Bucket(rootBucket())}, to)
		})
	})
	if err == nil {
		err = check(temp)
	}
	if err == nil && runtime.GOOS == "windows" { // which renames no file that is open
		err = d.close()
	}
	if err == nil {
		err = swap(temp, path, keep)
	}
	if err != nil {
		return nil, errors.Join(err, shred(temp, path))
	}
	next, err := openDisk(path)
	_ = d.close() // nobody's any more
	return next, err
}

// fillPercent is how full the pages of a new file are: values that change length
// should not split each of them at once.
const fillPercent = 0.9

// swap puts temp in the place of path, and path in that of keep.
func swap(temp, path, keep string) error {
	if !same(path, keep) { // else a process was killed between the two steps
		if err := shred(keep, path); err != nil {
			return err
		}
		if err := os.Link(path, keep); err != nil {
			if err := duplicate(path, keep); err != nil {
				return err
			}
		}
	}
	syncDir(filepath.Dir(path))
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(err, shred(keep, path))
	}
	syncDir(filepath.Dir(path))
	return nil
}

// duplicate copies a file to a name at which it appears whole or not at all.
func duplicate(path, to string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	temp := to + copySuffix
	out, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = os.Rename(temp, to)
	}
	if err != nil {
		return errors.Join(err, shred(temp, path))
	}
	return nil
}

// shred overwrites a file with zeros and removes it, if there is one. If it is
// another name of the file at live, only that name goes.
func shred(path, live string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().IsRegular() && !same(path, live) {
		if err := blank(path, info.Size()); err != nil {
			return err
		}
	}
	return os.Remove(path)
}

// blank overwrites a file with zeros where it holds anything else: a page that was
// never written has no room on the disk, and a full one has none to give.
func blank(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	var page, zeros [pageSize]byte
	for at := int64(0); at < size && err == nil; at += pageSize {
		n := min(size-at, pageSize)
		if _, err = f.ReadAt(page[:n], at); err == nil && page != zeros {
			_, err = f.WriteAt(zeros[:n], at)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// clearAway removes what a killed process has left beside the file at path, whose
// lock is held.
func clearAway(path string) error {
	var errs []error
	for _, suffix := range []string{newSuffix, oldSuffix, oldSuffix + copySuffix} {
		errs = append(errs, shred(path+suffix, path))
	}
	for v := byte(oldest); v < version; v++ {
		errs = append(errs, shred(keptName(path, v)+copySuffix, path))
	}
	return errors.Join(errs...)
}

// keptName is where a file of an old version is kept.
func keptName(path string, version byte) string { return fmt.Sprintf("%s.v%d", path, version) }
