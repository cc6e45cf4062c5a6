package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// systemTask returns the tasks that need Linux.
func systemTask(task string) func() error {
	return map[string]func() error{"full disk": onFullDisk, "file limit": underFileLimit}[task]
}

// Everything that writes says so when the disk is full, leaves what there was, and
// works again when there is room.
func TestFullDisk(t *testing.T) {
	raw, err := os.ReadFile(fixture)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := child(t.Context(), "full disk", dir)
	// A file system of its own, which only that process sees.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	cmd.Stdin = bytes.NewReader(raw)
	if err := cmd.Run(); err != nil {
		t.Error(err)
	}
	if left := files(t, filepath.Join(dir, "x")); len(left) > 0 {
		t.Errorf("not in a file system of its own: %v", left)
	}
}

// The same where a process may not write files beyond some size: bbolt then hears
// of it when it makes the file longer.
func TestFileLimit(t *testing.T) {
	if err := child(t.Context(), "file limit", t.TempDir()).Run(); err != nil {
		t.Error(err)
	}
}

// errs collects what is not as it should be.
type complaints []error

func (c *complaints) expect(ok bool, what string, args ...any) {
	if !ok {
		*c = append(*c, fmt.Errorf(what, args...))
	}
}

func onFullDisk() error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	// Without this the mount would be seen by everybody.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=2m"); err != nil {
		return err
	}
	if err := os.Chdir(dir); err != nil {
		return err
	}
	var raw bytes.Buffer
	if _, err := raw.ReadFrom(os.Stdin); err != nil {
		return err
	}
	const path, older, ballast, another = childFile, "older.db", "ballast", "another.db"
	v, err := Create(path, passphrase())
	err = errors.Join(err, os.WriteFile(older, raw.Bytes(), 0o600))
	if err != nil {
		return err
	}
	var c complaints
	full, room := func() { fill(ballast) }, func() { _ = os.Remove(ballast) }
	c.useWithoutRoom(v, full, room)

	full()
	_, err = Open(older, fixturePassphrase(), migrateFixture)
	c.expect(errors.Is(err, ErrFull), "an upgrade: %v", err)
	after, _ := os.ReadFile(older)
	c.expect(bytes.Equal(after, raw.Bytes()), "a failed upgrade changed the file")
	_, err = Create(another, passphrase())
	c.expect(errors.Is(err, ErrFull), "Create: %v", err)
	_, err = Create(path, passphrase())
	c.expect(errors.Is(err, fs.ErrExist), "Create over it: %v", err)
	v, err = Open(path, passphrase(), nil)
	c.expect(err == nil, "Open: %v", err)
	if err == nil {
		held, err := contents(v, "b")
		c.expect(err == nil && len(held) == 3 && v.Close() == nil, "then: %d entries, %v", len(held), err)
	}
	entries, _ := os.ReadDir(".")
	c.expect(len(entries) == 3, "left over: %v", entries)

	room()
	v, err = Open(older, fixturePassphrase(), migrateFixture)
	c.expect(err == nil && v.Close() == nil, "an upgrade with room: %v", err)

	before, _ := os.ReadFile(path)
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		return err
	}
	_, err = Open(path, passphrase(), nil)
	c.expect(errors.Is(err, syscall.EROFS) && !errors.Is(err, ErrDamaged), "Open where nothing can be written: %v", err)
	_, err = Create(another, passphrase())
	c.expect(errors.Is(err, syscall.EROFS), "Create where nothing can be written: %v", err)
	after, _ = os.ReadFile(path)
	c.expect(bytes.Equal(before, after), "the file changed where nothing can be written")
	return errors.Join(c...)
}

// fill writes a file until there is no room for a page.
func fill(path string) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	for err == nil {
		_, err = f.Write(make([]byte, pageSize))
	}
	f.Close()
}

func underFileLimit() error {
	signal.Ignore(syscall.SIGXFSZ)
	v, err := Create(childFile, passphrase())
	if err != nil {
		return err
	}
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		return err
	}
	limit := func(size uint64) {
		_ = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: before.Max})
	}
	var c complaints
	c.useWithoutRoom(v, func() { limit(1 << 16) }, func() { limit(before.Cur) })
	limit(1 << 13)
	_, err = Create("another.db", passphrase())
	c.expect(errors.Is(err, ErrFull), "Create: %v", err)
	return errors.Join(c...)
}

// useWithoutRoom uses a vault while there is room, is none, and is again, and
// closes it. It then holds three values in the bucket "b".
func (c *complaints) useWithoutRoom(v *Vault, full, room func()) {
	update := func(bucket, key string, size int) error {
		return v.Update(func(tx *Tx) error {
			return errors.Join(tx.Put(bucket, "other", nil), tx.Put(bucket, key, bytes.Repeat([]byte("v"), size)))
		})
	}
	c.expect(update("b", "one", 1000) == nil, "an update with room")
	want, err := contents(v, "b")
	c.expect(err == nil && len(want) == 2, "%d entries, %v", len(want), err)
	full()
	for i := range 3 {
		err := update("c", fmt.Sprint(i), 300_000)
		c.expect(errors.Is(err, ErrFull) && strings.HasPrefix(err.Error(), "the profile cannot be written: the disk is full"),
			"an update without room: %v", err)
		c.expect(err == nil || !strings.Contains(err.Error(), "\n"), "an error of several lines: %v", err)
		got, err := contents(v, "b", "c")
		c.expect(err == nil && maps.Equal(got, want), "after an update without room: %d entries, %v", len(got), err)
	}
	err = v.Scrub()
	c.expect(err == nil || errors.Is(err, ErrFull), "a scrub without room: %v", err)
	room()
	c.expect(update("b", "two", 300_000) == nil, "an update when there is room again")
	c.expect(v.Update(func(tx *Tx) error { return tx.Put("b", "two", nil) }) == nil, "an update when there is room again")
	got, err := contents(v, "b", "c")
	c.expect(err == nil && len(got) == 3, "in the end: %d entries, %v", len(got), err)
	path := v.path
	c.expect(v.Close() == nil, "closing")
	raw, err := os.ReadFile(path)
	c.expect(err == nil && len(leftIn(raw)) <= 1, "%d free pages are not empty, %v", len(leftIn(raw)), err)
}
