package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// onTerminal starts the program for a person, on a profile of which the passphrase is
// in the environment.
func onTerminal(t *testing.T, dir string, args ...string) (*exec.Cmd, *os.File) {
	t.Helper()
	file, err := exec.LookPath("chatnt")
	if err != nil {
		t.Fatal(err)
	}
	person, program := openTerminal(t)
	cmd := exec.Command(file, append(args, "--data", dir)...)
	cmd.Env = []string{"HOME=" + t.TempDir(), "CHATNT_PASSPHRASE=a passphrase for tests", "TERM=dumb"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
	return cmd, person
}

func createNetwork(t *testing.T, dir string) {
	t.Helper()
	cmd, person := onTerminal(t, dir, "network", "create", "fam", "--listen", "/ip4/127.0.0.1/tcp/0")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	readUntil(t, person, "chatnt:")
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}

// A node that is stopped, or hangs, keeps no profile from being destroyed. It ends when it goes on.
func TestWipeOfAStoppedNode(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "p")
	createNetwork(t, dir)
	node, person := onTerminal(t, dir)
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	readUntil(t, person, "Ready in fam")
	if err := node.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	wipe, at := onTerminal(t, dir, "wipe")
	if err := wipe.Start(); err != nil {
		t.Fatal(err)
	}
	readUntil(t, at, "Do it? [y/N]")
	if _, err := at.WriteString("y\r"); err != nil {
		t.Fatal(err)
	}
	if err := wipe.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is there: %v", err)
	}
	if err := node.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	_ = node.Wait() // however it ends
}

// A person is asked once before anything is destroyed, and only a yes does it: in the
// prompt and by the command.
func TestWipeAsks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "p")
	there := func() bool {
		_, err := os.Lstat(filepath.Join(dir, "vault.db"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		return err == nil
	}
	type step struct{ seen, typed string }
	for _, test := range []struct {
		args  []string
		steps []step
		code  int
		stays bool
	}{
		{nil, []step{
			{"Ready in fam", "/wipe\r"},
			{"Do it?", "n\r"},
			{"nothing was done", "/wipe\r"},
			{"[y/N]", "\r"},
			{"nothing was done", "/quit\r"},
		}, exitDone, true},
		{[]string{"wipe"}, []step{{"cannot be undone. Do it? [y/N]", "no\r"}, {"nothing was destroyed", ""}}, exitError, true},
		{nil, []step{
			{"Ready in fam", "/id new work\r"},
			{"is a new identity", "/id delete work\r"},
			{"Do it?", "yes\r"},
			{"> ", "/id use work\r"},
			{"no identity of this name", "/wipe\r"},
			{"Do it?", "y\r"},
		}, exitDone, false},
		{[]string{"wipe"}, []step{{"cannot be undone. Do it? [y/N]", "y\r"}}, exitDone, false},
	} {
		if !there() {
			createNetwork(t, dir)
		}
		cmd, person := onTerminal(t, dir, test.args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for _, s := range test.steps {
			readUntil(t, person, s.seen)
			if _, err := person.WriteString(s.typed); err != nil {
				t.Fatal(err)
			}
		}
		_ = cmd.Wait() // the exit code tells
		if got := cmd.ProcessState.ExitCode(); got != test.code {
			t.Errorf("%v: exit code %d, want %d", test.args, got, test.code)
		}
		if there() != test.stays {
			t.Errorf("%v: the profile is there: %v", test.args, there())
		}
	}
}
