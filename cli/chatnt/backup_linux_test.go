package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Who is asked for the profile's passphrase is asked for the backup's too, and for both when it is restored.
func TestBackupPassphrases(t *testing.T) {
	file, err := exec.LookPath("chatnt")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, test := range []struct {
		args    []string
		answers []string // to the questions, in order
		says    string
		code    int
	}{
		{[]string{"id", "--data", "p"}, []string{"New passphrase: ", "one", "Once more: ", "one"}, "", exitDone},
		{[]string{"backup", "b", "--data", "p"}, []string{"Passphrase: ", "one", "New passphrase of the backup: ", "two", "Once more: ", "too"}, "not the same", exitPassphrase},
		{[]string{"backup", "b", "--data", "p"}, []string{"Passphrase: ", "one", "New passphrase of the backup: ", "two", "Once more: ", "two"}, "Backed up to b.", exitDone},
		{[]string{"restore", "b", "--data", "q"}, []string{"Passphrase of the backup: ", "one", "New passphrase: ", "three", "Once more: ", "three"}, "the passphrase of the backup is wrong", exitPassphrase},
		{[]string{"restore", "b", "--data", "q"}, []string{"Passphrase of the backup: ", "two", "New passphrase: ", "three", "Once more: ", "three"}, "Never start the old profile again", exitDone},
		{[]string{"id", "--data", "q"}, []string{"Passphrase: ", "three"}, "", exitDone},
	} {
		person, program := openTerminal(t)
		cmd := exec.Command(file, test.args...)
		cmd.Env, cmd.Dir = []string{"HOME=" + dir}, dir
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
		readUntil(t, person, test.says)
		_ = cmd.Wait() // the exit code tells
		if got := cmd.ProcessState.ExitCode(); got != test.code {
			t.Errorf("%q: exit code %d, want %d", test.args, got, test.code)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
		t.Errorf("in the directory are %v, %v, not the backup and two profiles", entries, err)
	}
}

// Long work shows how far it has come, on one line that goes away, and ends when it is interrupted.
func TestMeter(t *testing.T) {
	var out, file bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	m := &meter{ctx: ctx, out: &out, what: "Restoring", total: 200}
	r := m.reader(strings.NewReader(strings.Repeat("x", 100)))
	if n, err := r.Read(make([]byte, 80)); n != 80 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	m.next = time.Now().Add(time.Hour)
	if n, err := r.Read(make([]byte, 80)); n != 20 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	m.next, m.total = time.Time{}, 0
	if n, err := m.writer(&file).Write(make([]byte, 1e6)); n != 1e6 || file.Len() != n || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	cancel()
	if n, err := r.Read(make([]byte, 80)); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d, %v", n, err)
	}
	m.end()
	if want := "\rRestoring: 40 %\rRestoring: 1.0 MB\r\x1b[K"; out.String() != want {
		t.Errorf("it showed %q, want %q", &out, want)
	}
}

// A backup that is interrupted leaves nothing, nor does a file that another program puts in its place
// meanwhile go.
func TestWriteNew(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "b")
	only := func(want ...string) {
		t.Helper()
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != len(want) {
			t.Errorf("there are %v, %v", entries, err)
		}
	}
	stopped := errors.New("stopped")
	err := writeNew(path, func(w io.Writer) error {
		_, err := w.Write([]byte("half"))
		return errors.Join(err, stopped)
	})
	if !errors.Is(err, stopped) {
		t.Error(err)
	}
	only()
	err = writeNew(path, func(w io.Writer) error {
		_, err := w.Write([]byte("whole"))
		return errors.Join(err, os.WriteFile(path, []byte("faster"), 0o600))
	})
	if err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Error(err)
	}
	only("b")
	if raw, err := os.ReadFile(path); string(raw) != "faster" {
		t.Errorf("it holds %q, %v", raw, err)
	}
}
