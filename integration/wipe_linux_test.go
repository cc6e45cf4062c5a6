package integration

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestWipeOnDisks destroys profiles where a disk is full, which changes nothing, and
// where it cannot be written, which is said; the latter goes when it can.
func TestWipeOnDisks(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	dir := t.TempDir()
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	ip(t, "link set lo up")
	data := filepath.Join(dir, "p")
	create := func() {
		t.Helper()
		run(t, 0, "network", "create", "family", "--listen", loopback, "--data", data)
	}

	create()
	alice := newProcess(t, "alice", "node", "--json", "--data", data)
	alice.await(0, "ready", nil)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 4<<20), 0o600); err == nil {
		t.Error("the disk is not full")
	}
	alice.do("/wipe -now")
	<-alice.closed
	if err := alice.cmd.Wait(); err != nil || alice.errs.Len() > 0 {
		t.Errorf("on a full disk: %v\n%s", err, &alice.errs)
	}
	if left := snapshot(t, dir); len(left) != 2 { // itself and the ballast
		t.Errorf("on a full disk are left %d files", len(left))
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}

	create()
	before := snapshot(t, data)
	remount := func(flags uintptr) {
		t.Helper()
		if err := syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT|flags, "size=4m"); err != nil {
			t.Fatal(err)
		}
	}
	remount(syscall.MS_RDONLY)
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), build(t), "wipe", "--now", "--data", data)
	cmd.Env, cmd.Stdout, cmd.Stderr = environment(t), &out, &errs
	if _ = cmd.Run(); cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("exit code %d", cmd.ProcessState.ExitCode())
	}
	const want = "chatnt: the profile is not destroyed, and its passphrase may still open it: vault.db cannot be destroyed: read-only file system; vault.db is left: read-only file system; config.toml is left: read-only file system"
	if out.Len() > 0 || strings.TrimSpace(errs.String()) != want {
		t.Errorf("on a disk that cannot be written: %q", &errs)
	}
	if after := snapshot(t, data); len(after) != len(before) {
		t.Errorf("there are %d files, not %d", len(after), len(before))
	}
	remount(0)
	run(t, 0, "id", "--data", data)
	run(t, 0, "wipe", "--now", "--data", data)
	if left := snapshot(t, dir); len(left) != 1 {
		t.Errorf("left are %d files", len(left))
	}
}
