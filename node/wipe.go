package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"chatnt/node/backup"
	"chatnt/node/control"
	"chatnt/node/vault"
)

const (
	// vaultName is the file in a profile's directory that holds all but the settings.
	vaultName = "vault.db"
	// restoreTemp is a directory there in which a backup becomes a profile.
	restoreTemp = ".restore-*"
)

// Wipe destroys the profile in dir, for which it needs no passphrase, and removes the
// directory if nothing else is in it: first the keys, so that nothing opens what may
// be left, then the rest. It follows no symbolic link and touches no file but those
// that this program makes. The error is vault.ErrInUse while a process has the profile
// open, fs.ErrNotExist if there is none, or says what is left.
func Wipe(dir string) error { return wipeIn(dir, vault.DestroyKeys) }

// WipeInUse does the same while a process has the profile open that does nothing any more that it is
// told: see vault.DestroyKeysInUse for what is certain then. Should that process go on, it finds its
// file empty, and bbolt ends it by a panic: it has nothing left to run for.
func WipeInUse(dir string) error { return wipeIn(dir, vault.DestroyKeysInUse) }

func wipeIn(dir string, destroyKeys func(path string) error) error {
	path := filepath.Join(dir, vaultName)
	err := destroyKeys(path)
	if errors.Is(err, fs.ErrNotExist) && len(halfRestored(dir)) > 0 {
		err = nil
	}
	if errors.Is(err, vault.ErrInUse) || errors.Is(err, vault.ErrForeign) || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return removeFiles(dir, path, err)
}

// wipe does the same for this profile, which nobody can use any more then.
func (p *Profile) wipe() error {
	path := p.vault.Path()
	err := p.vault.DestroyKeys()
	switch {
	case p.dir == "":
		return err
	case errors.Is(err, fs.ErrExist): // it was destroyed, and another made there
		return nil
	case errors.Is(err, fs.ErrNotExist): // it was destroyed, and the rest may be there
		err = nil
	}
	return removeFiles(p.dir, path, err)
}

// removeFiles removes the files of a profile of which the keys were destroyed, but for
// those that failed names.
func removeFiles(dir, path string, failed error) error {
	var errs []error
	for _, half := range halfRestored(dir) {
		if err := wipeHalf(half, path); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", filepath.Base(half), err))
		}
	}
	errs = append(errs, vault.Remove(path))
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	for _, e := range entries {
		if !ours(e) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("%s is left: %w", e.Name(), errors.Unwrap(err)))
		}
	}
	err = errors.Join(errs...)
	if err == nil {
		_ = os.Remove(dir) // it stays if there is anything else in it
	}
	what := "nothing opens the profile any more, but not all of it is gone"
	if failed != nil {
		what, err = "the profile is not destroyed, and its passphrase may still open it", errors.Join(failed, err)
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s", what, strings.ReplaceAll(err.Error(), "\n", "; "))
}

// wipeHalf does the same for a profile that a killed process was making, beside the one at live.
func wipeHalf(half, live string) error {
	path := filepath.Join(half, vaultName)
	if sameFile(path, live) { // it was being put in place: its keys are gone, and so is the rest soon
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	err := vault.DestroyKeys(path)
	if errors.Is(err, vault.ErrInUse) || errors.Is(err, vault.ErrForeign) {
		return err
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // it had not come so far
	}
	return removeFiles(half, path, err)
}

// sameFile reports whether two names are of one file, links not followed.
func sameFile(a, b string) bool {
	x, errA := os.Lstat(a)
	y, errB := os.Lstat(b)
	return errA == nil && errB == nil && os.SameFile(x, y)
}

// halfRestored returns the directories in dir that hold a profile each, as a killed
// process leaves them that was making a profile of a backup.
func halfRestored(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // nor is there anything to remove, then
	}
	var halves []string
	for _, e := range entries {
		if e.IsDir() && numbered(e.Name(), restoreTemp) {
			halves = append(halves, filepath.Join(dir, e.Name()))
		}
	}
	return halves
}

// numbered reports whether a name is one that os.CreateTemp or os.MkdirTemp made of a
// pattern that ends in *.
func numbered(name, pattern string) bool {
	number, ok := strings.CutPrefix(name, strings.TrimSuffix(pattern, "*"))
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}

// ours reports whether a directory entry is one that this program made, beside the
// vault's own.
func ours(e fs.DirEntry) bool {
	switch name := e.Name(); name {
	case vaultName: // a link to where the vault was
		return e.Type() == fs.ModeSymlink
	case control.SocketName:
		return e.Type() == fs.ModeSocket
	case configName:
		return e.Type().IsRegular()
	default:
		return e.Type().IsRegular() && (numbered(name, configTemp) || numbered(name, backup.Temp))
	}
}
