package control_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chatnt/node/control"
)

// listen serves the socket in dir until the test or stop ends it. It returns
// once the node answers.
func listen(t *testing.T, n control.Profile, dir string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- control.Listen(ctx, n, dir) }()
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Listen: %v", err)
		}
		done <- nil
	}
	t.Cleanup(stop)
	for {
		err := control.Ask(dir, "/id", new(control.ID))
		if err == nil {
			return stop
		}
		if !errors.Is(err, control.ErrNotRunning) {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			t.Fatalf("Listen: %v", err)
		default:
		}
	}
}

func TestAsk(t *testing.T) {
	dir := t.TempDir()
	n := newFake()
	if err := control.Ask(dir, "/id", new(control.ID)); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("without a node: %v", err)
	}
	stop := listen(t, n, dir)
	var id control.ID
	if err := control.Ask(dir, "/id", &id); err != nil || id != n.ID() {
		t.Errorf("/id: %v, %v", id, err)
	}
	if err := control.Ask(dir, "/nonsense", &id); err == nil || !strings.Contains(err.Error(), "there is no command /nonsense") {
		t.Errorf("/nonsense: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, "control.sock"))
	if err != nil || info.Mode().Perm() != 0o600 || info.Mode().Type() != os.ModeSocket {
		t.Errorf("the socket: %v, %v", info, err)
	}
	stop()
	if _, err := os.Lstat(filepath.Join(dir, "control.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket stays behind: %v", err)
	}
	if err := control.Ask(dir, "/id", &id); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("after the node: %v", err)
	}
}

// A profile may lie deeper than a socket's address is long.
func TestAskInDeepDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 100), strings.Repeat("e", 100))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := control.Ask(dir, "/id", new(control.ID)); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("without a node: %v", err)
	}
	stop := listen(t, newFake(), dir)
	stop()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// What a crash left behind is in nobody's way, whatever it is.
func TestListenReplacesWhatACrashLeft(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "control.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if err := control.Ask(dir, "/id", new(control.ID)); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("with a stale socket: %v", err)
	}
	listen(t, newFake(), dir)()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	listen(t, newFake(), dir)()
}

func TestListenNeedsADirectory(t *testing.T) {
	if err := control.Listen(t.Context(), newFake(), filepath.Join(t.TempDir(), "nowhere")); err == nil {
		t.Error("Listen in a directory that is not there did not fail")
	}
}

func dial(t *testing.T, dir string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", filepath.Join(dir, "control.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Clients that send garbage get errors; one that sends without ever reading, and
// one that does nothing, are in nobody's way, nor in that of the end.
func TestHostileClients(t *testing.T) {
	dir := t.TempDir()
	stop := listen(t, newFake(), dir)

	garbage := dial(t, dir)
	if _, err := garbage.Write([]byte("\x00\xff\n" + strings.Repeat("x", 200_000) + "\n/nick a\n")); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(garbage)
	for _, want := range []string{`{"event":"error","line":"\u0000`, `{"event":"error","line":"xxx`, `{"event":"done","line":"/nick a"`} {
		if !lines.Scan() || !strings.HasPrefix(lines.Text(), want) {
			t.Errorf("got %.80s, want %s", lines.Text(), want)
		}
	}

	mute := dial(t, dir)
	stuck := make(chan struct{})
	go func() {
		defer close(stuck)
		for {
			if _, err := mute.Write([]byte("/status\n")); err != nil {
				return // cut off at the end
			}
		}
	}()
	dial(t, dir)

	if err := control.Ask(dir, "/id", new(control.ID)); err != nil {
		t.Errorf("others are not answered: %v", err)
	}
	stop()
	<-stuck
}

// A client that has said /quit, or has closed its side, is let go of.
func TestClientEnds(t *testing.T) {
	dir := t.TempDir()
	listen(t, newFake(), dir)
	for _, end := range []func(net.Conn) error{
		func(c net.Conn) error { _, err := io.WriteString(c, "/quit\n"); return err },
		func(c net.Conn) error { return c.(*net.UnixConn).CloseWrite() },
	} {
		conn := dial(t, dir)
		if err := end(conn); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(conn); err != nil {
			t.Errorf("the connection does not end: %v", err)
		}
	}
	if err := control.Ask(dir, "/id", new(control.ID)); err != nil {
		t.Errorf("the node is gone: %v", err)
	}
}

// Sixteen at once are served; one more is turned away until one goes.
func TestTooManyClients(t *testing.T) {
	dir := t.TempDir()
	listen(t, newFake(), dir)
	var served []net.Conn
	answered := func(conn net.Conn) bool {
		_, _ = io.WriteString(conn, "/id\n") // it may be closed already
		return bufio.NewScanner(conn).Scan()
	}
	for len(served) < 16 {
		conn := dial(t, dir)
		if !answered(conn) {
			continue // the one of listen is being let go of
		}
		served = append(served, conn)
	}
	if answered(dial(t, dir)) {
		t.Error("a seventeenth client is served")
	}
	if err := control.Ask(dir, "/id", new(control.ID)); err == nil {
		t.Error("a seventeenth client is answered")
	}
	served[0].Close()
	for control.Ask(dir, "/id", new(control.ID)) != nil {
		if t.Context().Err() != nil {
			t.Fatal("no room is made when a client goes")
		}
	}
}
