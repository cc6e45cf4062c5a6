package control_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"chatnt/node/control"
)

// drive runs Drive in the background and returns its error once it has ended.
func drive(ctx context.Context, n control.Profile, in io.Reader, out io.Writer) <-chan error {
	done := make(chan error, 1)
	go func() { done <- control.Drive(ctx, n, in, out) }()
	return done
}

// Commands written before the node is ready wait for it, and are carried out in
// order; the end of the input ends the dialogue.
func TestDriveWaitsForReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFake(control.RelaysChanged{Known: 1})
		var out bytes.Buffer
		done := drive(t.Context(), n, strings.NewReader("/nick a\n\n  \n/nonsense\n@bob hi"), &out)
		synctest.Wait()
		if did := n.done(); did != nil {
			t.Errorf("done before the node was ready: %q", did)
		}
		n.events <- control.Ready{Network: "fam"}
		if err := <-done; err != nil {
			t.Error(err)
		}
		var got []string
		for line := range strings.Lines(out.String()) {
			got = append(got, line[:min(len(line), 38)])
		}
		want := []string{
			`{"event":"relays","known":1,"usable":0`,
			`{"event":"ready","hashid":"","node":""`,
			`{"event":"done","line":"/nick a","nick`,
			`{"event":"error","line":"/nonsense","e`,
			`{"event":"done","line":"@bob hi","id":`,
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%s", strings.Join(got, "\n"))
		}
	})
}

func TestDriveEnds(t *testing.T) {
	failure := errors.New("failure")
	for name, test := range map[string]struct {
		in    func(open io.Reader) io.Reader
		stop  bool // ctx ends
		wants error
	}{
		"at the end of the input":    {in: func(io.Reader) io.Reader { return strings.NewReader("") }},
		"at /quit":                   {in: func(open io.Reader) io.Reader { return io.MultiReader(strings.NewReader("/quit\n"), open) }},
		"with ctx":                   {in: func(open io.Reader) io.Reader { return open }, stop: true},
		"with ctx, without an input": {in: func(io.Reader) io.Reader { return nil }, stop: true},
		"when the input breaks":      {in: func(io.Reader) io.Reader { return iotest.ErrReader(failure) }, wants: failure},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				open, w := io.Pipe() // nothing comes, nor an end
				defer w.Close()
				n := newFake(control.Ready{})
				done := drive(ctx, n, test.in(open), io.Discard)
				if test.stop {
					synctest.Wait()
					cancel()
				}
				if err := <-done; !errors.Is(err, test.wants) {
					t.Errorf("the error is %v", err)
				}
			})
		})
	}
}

// Before it is ready, ctx ends it all the same.
func TestDriveEndsUnready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		n := newFake()
		done := drive(ctx, n, strings.NewReader("/nick a\n"), io.Discard)
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if did := n.done(); did != nil {
			t.Errorf("done after the end: %q", did)
		}
	})
}

// Who can no longer hear the answers gives no more orders.
func TestDriveEndsWithItsOutput(t *testing.T) {
	failure := errors.New("failure")
	open, w := io.Pipe()
	defer w.Close()
	n := newFake(control.Ready{})
	if err := control.Drive(t.Context(), n, open, failing{failure}); !errors.Is(err, failure) {
		t.Errorf("the error is %v", err)
	}
}

// Events reach a program that says nothing, also beside its commands.
func TestDriveTellsEvents(t *testing.T) {
	n := newFake(control.Ready{})
	in, say := io.Pipe()
	hear, out := io.Pipe()
	done := drive(t.Context(), n, in, out)
	lines := bufio.NewScanner(hear)
	expect := func(want string) {
		t.Helper()
		if !lines.Scan() || !strings.HasPrefix(lines.Text(), want) {
			t.Fatalf("got %s, want %s", lines.Text(), want)
		}
	}
	expect(`{"event":"ready"`)
	n.events <- control.MessageReceived{Text: "hi"}
	expect(`{"event":"message"`)
	if _, err := io.WriteString(say, "/id\n"); err != nil {
		t.Fatal(err)
	}
	expect(`{"event":"done","line":"/id"`)
	say.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// An event that cannot be written as JSON keeps nothing else from the program.
func TestDrivePassesOverWhatIsNoJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		n := newFake(control.Ready{}, control.MessageReceived{Text: "boom", At: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, control.RelaysChanged{Known: 7})
		var out bytes.Buffer
		done := drive(ctx, n, nil, &out)
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := out.String(); strings.Contains(got, "boom") || !strings.HasSuffix(got, "\n{\"event\":\"relays\",\"known\":7,\"usable\":0}\n") {
			t.Errorf("the program was told\n%s", got)
		}
	})
}

// A program that stops reading its output still stops the node with /quit. (In
// real time: a lock that is held is no wait that virtual time passes over.)
func TestDriveQuitsThoughNobodyReads(t *testing.T) {
	in, commands := io.Pipe()
	output, out := io.Pipe()
	n := newFake(control.Ready{})
	done := drive(t.Context(), n, in, out)
	if _, err := bufio.NewReader(output).ReadString('\n'); err != nil { // ready, and no more
		t.Fatal(err)
	}
	n.events <- control.RelaysChanged{} // hangs its writer
	if _, err := io.WriteString(commands, "/quit\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("Drive does not return")
	}
	for _, end := range []io.Closer{output, out, in, commands} {
		if err := end.Close(); err != nil {
			t.Error(err)
		}
	}
}
