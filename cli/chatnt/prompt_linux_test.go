//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal returns the two ends of a new terminal: a person's, and a program's.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	person = os.NewFile(uintptr(fd), "/dev/ptmx")
	t.Cleanup(func() { person.Close() })
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

func echoes(t *testing.T, terminal *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// readUntil reads what the program shows until it has shown want.
func readUntil(t *testing.T, person *os.File, want string) {
	t.Helper()
	var seen bytes.Buffer
	b := make([]byte, 256)
	for !strings.Contains(seen.String(), want) {
		poll := []unix.PollFd{{Fd: int32(person.Fd()), Events: unix.POLLIN}}
		if n, err := unix.Poll(poll, int(time.Minute.Milliseconds())); n == 0 && err == nil {
			t.Fatalf("a minute after %q there is no %q", seen.String(), want)
		}
		n, err := person.Read(b)
		if err != nil {
			t.Fatalf("%v after %q", err, seen.String())
		}
		seen.Write(b[:n])
	}
}

// Who is asked for a passphrase may interrupt the program; the terminal then
// shows again what is typed, and nothing was made.
func TestInterruptAtThePassphrase(t *testing.T) {
	file, err := exec.LookPath("chatnt")
	if err != nil {
		t.Fatal(err)
	}
	for signal, code := range map[syscall.Signal]int{syscall.SIGINT: exitInterrupted, syscall.SIGTERM: exitError} {
		person, program := openTerminal(t)
		dir := t.TempDir()
		cmd := exec.Command(file, "id", "--data", dir+"/p")
		cmd.Env = []string{"HOME=" + dir}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		readUntil(t, person, "New passphrase: ")
		for deadline := time.Now().Add(5 * time.Second); echoes(t, program); {
			if time.Now().After(deadline) {
				t.Fatal("the passphrase can be seen")
			}
		}
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if signal == syscall.SIGTERM {
			readUntil(t, person, "chatnt: stopped before it was done")
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != code {
			t.Errorf("%v: %v, want exit code %d", signal, err, code)
		}
		if !echoes(t, program) {
			t.Errorf("%v: the terminal does not show what is typed", signal)
		}
		if _, err := os.Lstat(dir + "/p"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v: a profile was made", signal)
		}
	}
}

// A new passphrase is asked for twice, and is the profile's then.
func TestNewPassphrase(t *testing.T) {
	file, err := exec.LookPath("chatnt")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, test := range []struct {
		answers []string // to the questions, in order
		code    int
	}{
		{[]string{"New passphrase: ", "one", "Once more: ", "two"}, exitPassphrase},
		{[]string{"New passphrase: ", ""}, exitPassphrase},
		{[]string{"New passphrase: ", "one", "Once more: ", "one"}, exitDone},
		{[]string{"Passphrase: ", "two"}, exitPassphrase},
		{[]string{"Passphrase: ", "one"}, exitDone},
	} {
		person, program := openTerminal(t)
		cmd := exec.Command(file, "id", "--data", dir+"/p")
		cmd.Env = []string{"HOME=" + dir}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(test.answers); i += 2 {
			readUntil(t, person, test.answers[i])
			if _, err := person.WriteString(test.answers[i+1] + "\n"); err != nil {
				t.Fatal(err)
			}
		}
		_ = cmd.Wait() // the exit code tells
		if got := cmd.ProcessState.ExitCode(); got != test.code {
			t.Errorf("%q: exit code %d, want %d", test.answers, got, test.code)
		}
	}
}
