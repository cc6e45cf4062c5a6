package integration

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestBackupOnAFullDisk has a disk fill up below a backup, and below a restored profile, sooner or later. Each is
// whole or not there, whoever runs the program reads why, and it goes on when there is space.
func TestBackupOnAFullDisk(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	goHome(t)
	d := newDisk(t)
	data := filepath.Join(t.TempDir(), "p")
	run(t, 0, "network", "create", "family", "--listen", loopback, "--data", data)
	id := run(t, 0, "id", "--data", data)
	kept := filepath.Join(t.TempDir(), "backup")
	run(t, 0, "backup", kept, "--data", data)
	file, restored := filepath.Join(d.dir, "backup"), filepath.Join(d.dir, "restored", "p")
	failed := 0
	for i := range count(6, 24) {
		pages := i * count(3, 1)
		d.fill()
		if err := os.Truncate(d.filler(), size(t, d.filler())-int64(pages*4096)); err != nil {
			t.Fatal(err)
		}
		if _, refused := refuses(t, "a backup", data, ofSpace, "backup", file); refused != (pages == 0) {
			t.Errorf("with room for %d pages a backup is refused: %v", pages, refused)
		}
		if err := os.RemoveAll(file); err != nil {
			t.Fatal(err)
		}
		_, refused := refuses(t, "a restored profile", restored, ofSpace, "restore", kept)
		if refused {
			failed++
			if _, err := os.Lstat(filepath.Dir(restored)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("with room for %d pages something is left: %v", pages, err)
			}
		} else if got := run(t, 0, "id", "--data", restored); got != id {
			t.Errorf("with room for %d pages the restored hashid is %s", pages, got)
		}
		if err := os.RemoveAll(filepath.Dir(restored)); err != nil {
			t.Fatal(err)
		}
		if entries, err := os.ReadDir(d.dir); err != nil || len(entries) != 1 {
			t.Errorf("with room for %d pages there are left %v, %v", pages, entries, err)
		}
		d.free()
	}
	if failed < 2 {
		t.Errorf("the disk was too full for %d restored profiles", failed)
	}
	t.Logf("%d restored profiles found no place", failed)
	run(t, 0, "restore", kept, "--data", restored)
	if got := run(t, 0, "id", "--data", restored); got != id {
		t.Errorf("the restored hashid is %s", got)
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
