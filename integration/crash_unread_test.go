package integration

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestKilledBeforeItShows kills the real program while texts that it has confirmed to
// their sender wait for a reader of its output. They come out when it runs again,
// marked as perhaps told before.
func TestKilledBeforeItShows(t *testing.T) {
	t.Parallel()
	alice, bob := newContacts(t, newRelays(t, 5))
	quitAll(bob)
	bob.runs = nil
	killed := bob.beginUnread()
	var want []heard
	for i := range 10 {
		text := numbered("text", i, strings.Repeat("more than a pipe holds, ", 1200*(i%2)))
		want = append(want, heard{alice.say(bob, text), text})
	}
	for _, one := range want {
		alice.awaitState(one.id, "delivered")
	}
	killed()
	bob.start()
	last := want[len(want)-1]
	bob.await(0, "message", has{"id": last.id, "again": true})
	if got := bob.heard(t, alice.hashid); !slices.Equal(got, want) {
		t.Errorf("%d texts came out, or others than the %d that were said: %.40q", len(got), len(want), got)
	}
	shown := len(bob.runs[0].texts(alice.hashid))
	t.Logf("%d of %d texts were read before the kill", shown, len(want))
	if shown == 0 || shown == len(want) {
		t.Error("so this shows nothing")
	}

	// Once shown they are done with.
	quitAll(bob)
	bob.start()
	alice.say(bob, "news")
	bob.hears(alice, "news")
	if texts := bob.texts(alice.hashid); len(texts) != 1 {
		t.Errorf("texts that were shown come out again: %.40q", texts)
	}
	quitAll(alice, bob)
}

// beginUnread starts the program and leaves its output unread, but for what a pipe
// holds. The function it returns kills the program, and reads that.
func (p *party) beginUnread() (kill func()) {
	p.t.Helper()
	cmd := exec.Command(build(p.t), "node", "--json", "--data", p.dir, "--listen", loopback)
	cmd.Env = append(environment(p.t), "CHATNT_PASSPHRASE="+passphrase)
	run := &process{t: p.t, name: p.name, cmd: cmd, closed: make(chan struct{}), more: make(chan struct{})}
	cmd.Stderr = &run.errs
	in, err := cmd.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	out, itsOut, err := os.Pipe()
	if err != nil {
		p.t.Fatal(err)
	}
	run.in, cmd.Stdout = in, itsOut
	started := time.Now()
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		_ = cmd.Process.Kill() // if the test has failed before it did
		_ = out.Close()
		_ = cmd.Wait()
	})
	_ = itsOut.Close()
	p.process, p.runs = run, append(p.runs, run)
	return func() {
		p.t.Helper()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		raw, err := io.ReadAll(out)
		if err != nil {
			p.t.Fatal(err)
		}
		run.read(bytes.NewReader(raw[:bytes.LastIndexByte(raw, '\n')+1]), started) // the rest is half a line
	}
}
