//go:build linux

package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// In the prompt an invite stands below its QR code, if the terminal is wide enough for that; the
// longer one, to the network as well, may not be.
func TestInviteInThePrompt(t *testing.T) {
	file, err := exec.LookPath("chatnt")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	env := []string{"HOME=" + dir, "CHATNT_PASSPHRASE=a passphrase for tests"}
	create := exec.Command(file, "network", "create", "fam", "--data", dir+"/p", "--listen", "/ip4/127.0.0.1/tcp/0")
	create.Env = env
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	person, program := openTerminal(t)
	if err := unix.IoctlSetWinsize(int(program.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 45}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(file, "--data", dir+"/p")
	cmd.Env = env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	readUntil(t, person, "Ready in fam")
	enter := func(line string) {
		t.Helper()
		if _, err := person.WriteString(line + "\r"); err != nil {
			t.Fatal(err)
		}
	}
	enter("/invite me")
	shown := readMatch(t, person, `chatnt:[a-z0-9]{60}`)
	if rows := regexp.MustCompile(`(?m)^[ ▄▀█]{30,45}\r$`).FindAllString(shown, -1); len(rows) < 15 {
		t.Errorf("%d rows of a QR code stand above the invite:\n%s", len(rows), shown)
	}
	enter("/invite")
	shown = readMatch(t, person, `chatnt:[a-z0-9]{30}`)
	if !strings.Contains(shown, "(Its QR code takes ") || strings.ContainsAny(shown, "▄▀█") {
		t.Errorf("above an invite that is too long for a QR code here stands\n%s", shown)
	}
	enter("/quit")
	if err := program.Close(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	for err == nil { // until the other end is closed
		_, err = person.Read(b)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// readMatch reads what the program shows until that matches, and returns it.
func readMatch(t *testing.T, person *os.File, pattern string) string {
	t.Helper()
	var (
		seen []byte
		want = regexp.MustCompile(pattern)
		b    = make([]byte, 4096)
	)
	for !want.Match(seen) {
		n, err := person.Read(b)
		if err != nil {
			t.Fatalf("%v after %q", err, seen)
		}
		seen = append(seen, b[:n]...)
	}
	return string(seen)
}
