package vault

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A vault is destroyed in two steps, so that the one that counts comes first:
//
//	1  in every file, the header's salt, nonce and master key become zeros:
//	   from then on no passphrase opens any of it
//	2  every file gets a name that only this program gives, is overwritten, removed
//
// Whoever ends the process in between finds files that nothing opens, or .vault-*
// files, which the next call removes.

// ErrForeign says that a file is not one that this program wrote.
var ErrForeign = errors.New("this is not a profile's file")

// tempPrefix begins the names of files that nobody reads; digits follow.
const tempPrefix = ".vault-"

// DestroyKeys makes the vault at path, and every copy of it that this package keeps
// beside it, unreadable for ever. It needs no passphrase. While a process has the vault open
// the error is ErrInUse, and nothing is done. It follows no symbolic link, and touches no file that is not a vault's: the
// error is then ErrForeign, or fs.ErrNotExist if there is no vault at all. On other
// errors it has gone on with the other files.
func DestroyKeys(path string) error {
	db, _, err := openBolt(path, true) // waits for a process that is about to end
	if errors.Is(err, ErrInUse) {
		return err
	}
	if err == nil {
		_ = db.Close()
	}
	_, err = destroyKeys(path)
	return err
}

// DestroyKeysInUse does the same while another process has the vault open, whose lock keeps out
// only those who ask for it: for when that process does nothing any more that it is told.
//
// That process sees what is overwritten here, and copies no more from there. What it had read
// already, within a transaction, it may yet write, to another place in the file; so the files
// are looked through again, a moment after, until there was nothing. A process that was
// stopped between the two can still write it when it goes on: to a file that then has no
// name, after Remove, and is gone when the process ends. Its memory holds the keys until then.
func DestroyKeysInUse(path string) error {
	_, err := destroyKeys(path)
	for range inUseLooks {
		if err != nil {
			return err
		}
		time.Sleep(inUsePause)
		again, failed := destroyKeys(path)
		if errors.Is(failed, fs.ErrNotExist) { // that process has come to it and done the same
			break
		}
		if err = failed; !again {
			break
		}
	}
	return err
}

const (
	inUsePause = 200 * time.Millisecond // many times what a transaction takes from reading a page to writing it
	inUseLooks = 5                      // whoever writes the key that often has it otherwise
)

// DestroyKeys does the same for this vault, and closes it. If another process
// has destroyed it already the error is fs.ErrNotExist, or fs.ErrExist if there is another vault in
// its place since, which is left alone.
func (v *Vault) DestroyKeys() error {
	if v.of != nil {
		return v.of.DestroyKeys()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return ErrClosed
	}
	v.closed = true
	v.keys.wipe()
	var err error
	if d, ok := v.store.(*disk); ok {
		err = d.destroyKeys(v.path) // before the lock goes
	}
	return errors.Join(err, v.store.close())
}

// Path is where the vault's file is, with symbolic links followed; "" for one in memory.
func (v *Vault) Path() string { return v.Whole().path }

func (d *disk) destroyKeys(path string) error {
	own, err := d.file.Stat()
	if err != nil {
		return err
	}
	if Exists(path) && !isAt(own, path) {
		return fs.ErrExist
	}
	_, err = destroyKeys(path)
	return err
}

// destroyKeys reports whether there was any key left to destroy.
func destroyKeys(path string) (fresh bool, err error) {
	var (
		errs    []error
		known   bool
		foreign bool // the file has no header: another's, or, as a copy beside it has one, damaged
	)
	for _, name := range append(allNames(path), temps(path)...) {
		found, keys, err := blot(name)
		fresh = fresh || keys
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, ErrForeign) && name == path:
			return fresh, fmt.Errorf("%s is left as it is: %w", path, err)
		case errors.Is(err, ErrForeign): // which only has the name of a copy
		case err != nil:
			errs = append(errs, fmt.Errorf("%s cannot be destroyed: %w", filepath.Base(name), plain(err)))
		case found:
			known = true
		case name == path:
			foreign = true
		}
	}
	if foreign && !known {
		return fresh, errors.Join(append(errs, fmt.Errorf("%s is left as it is: %w", path, ErrForeign))...)
	}
	if len(errs) == 0 && !known {
		return fresh, fs.ErrNotExist
	}
	return fresh, errors.Join(errs...)
}

// Remove overwrites and removes the files of a vault at path whose keys were
// destroyed, and what killed processes have left beside it. The error names those
// that are left.
func Remove(path string) error {
	var errs []error
	for _, name := range allNames(path) {
		if info, err := os.Lstat(name); err != nil || !info.Mode().IsRegular() {
			continue // DestroyKeys has told
		}
		temp := filepath.Join(filepath.Dir(path), tempPrefix+digits())
		if err := os.Rename(name, temp); err != nil && !errors.Is(err, fs.ErrNotExist) { // another process may be at it, too
			errs = append(errs, fmt.Errorf("%s is left: %w", filepath.Base(name), plain(err)))
		}
	}
	for _, name := range temps(path) {
		if info, err := os.Lstat(name); err == nil {
			_ = blank(name, info.Size()) // it does not open, and to leave it is no better
		}
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("%s is left: %w", filepath.Base(name), plain(err)))
		}
	}
	syncDir(filepath.Dir(path))
	return errors.Join(errs...)
}

// allNames returns the names of all files that this package makes for a vault at
// path, but for temps: the vault's own first.
func allNames(path string) []string {
	names := []string{path, path + newSuffix, path + oldSuffix, path + oldSuffix + copySuffix}
	for v := byte(oldest); v < version; v++ {
		names = append(names, keptName(path, v), keptName(path, v)+copySuffix)
	}
	return names
}

// temps returns the files beside a vault at path that have names of the kind that
// Create and Remove give.
func temps(path string) []string {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil // nor is there anything to remove, then
	}
	var names []string
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), tempPrefix)
		if ok && number != "" && strings.Trim(number, "0123456789") == "" && e.Type().IsRegular() {
			names = append(names, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	return names
}

func digits() string {
	var b [8]byte
	rand.Read(b[:])
	return fmt.Sprintf("%03d%03d%03d%03d%03d%03d%03d%03d", b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7])
}

// blot overwrites every header in a file, so that it is still known for one but holds
// no key, and reports whether there was one, and one that held a key. It looks for it byte by byte: the file
// may be damaged, or half written.
func blot(path string) (found, fresh bool, err error) {
	f, err := openOwn(path)
	if err != nil {
		return false, false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	const overlap = len(headerKey) + headerSize - 1
	piece := make([]byte, overlap+pieceSize)
	defer clear(piece)
	for at := int64(0); ; at += pieceSize {
		n, err := f.ReadAt(piece, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return found, fresh, err
		}
		for from := 0; ; {
			i := bytes.Index(piece[from:n], []byte(headerKey))
			if i < 0 {
				break
			}
			from += i + len(headerKey)
			if from+headerSize > n || checkHeader(piece[from:from+headerSize]) != nil {
				continue
			}
			found = true
			empty := blotted(piece[from])
			if bytes.Equal(piece[from:from+headerSize], empty) {
				continue
			}
			if _, err := f.WriteAt(empty, at+int64(from)); err != nil {
				return found, fresh, err
			}
			fresh = true
		}
		if err != nil {
			break
		}
	}
	if found {
		err = f.Sync()
	}
	return found, fresh, err
}

// blotted is a header of a version that no passphrase opens.
func blotted(version byte) []byte {
	h := make([]byte, sumAt, headerSize)
	h[0] = version
	sum := sha256.Sum256(h)
	return append(h, sum[:]...)
}

// openOwn opens a file to be overwritten, if it is one and not a link to one.
func openOwn(path string) (*os.File, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, fmt.Errorf("%w, but a symbolic link", ErrForeign)
	case !info.Mode().IsRegular():
		return nil, ErrForeign
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if opened, err := f.Stat(); err != nil || !os.SameFile(info, opened) {
		return nil, errors.Join(errMoved, err, f.Close())
	}
	return f, nil
}

// plain takes the paths, which are named already, from a system's error.
func plain(err error) error {
	var (
		path *fs.PathError
		link *os.LinkError
	)
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
