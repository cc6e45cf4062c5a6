package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	// SocketName is the file in a profile's directory by which a running node is reached.
	SocketName = "control.sock"

	// maxClients bounds how many processes talk to the node at once.
	maxClients = 16

	// maxAnswer bounds one line that a client reads.
	maxAnswer = 16 << 20

	clientWait  = 10 * time.Second
	acceptAgain = 100 * time.Millisecond // after a client could not be accepted
)

var (
	// ErrNotRunning says that no node runs on a profile.
	ErrNotRunning = errors.New("no node is running on this profile")
	// ErrNoAnswer says that one does not answer in time, or ended before it could.
	ErrNoAnswer = errors.New("the running node does not answer")
)

// Listen serves the control socket in a profile's directory until ctx ends. The
// directory is its owner's alone, and so is the socket: who can reach it could
// read the memory of the node as well, so it asks for no passphrase. The caller
// holds the profile's lock, so a socket that is there was left by a crash.
func Listen(ctx context.Context, p Profile, dir string) error {
	path, release, err := socketPath(dir)
	if err != nil {
		return err
	}
	defer release()
	if err := os.Remove(filepath.Join(dir, SocketName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("opening the control socket: %w", err)
	}
	defer func() { _ = os.Remove(filepath.Join(dir, SocketName)) }()
	if err := os.Chmod(filepath.Join(dir, SocketName), 0o600); err != nil {
		return errors.Join(err, listener.Close())
	}
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, maxClients)
	for {
		conn, err := listener.Accept()
		if err != nil {
			// Too many open files, say: that passes.
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(acceptAgain):
				continue
			}
		}
		select {
		case slots <- struct{}{}:
			wg.Go(func() {
				defer func() { <-slots }()
				serveClient(ctx, p, conn)
			})
		default:
			_ = conn.Close()
		}
	}
}

func serveClient(ctx context.Context, p Profile, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(ended)
		// What is being carried out may be what ends the node: it is still answered.
		_ = conn.SetWriteDeadline(time.Now().Add(quitWait))
		_ = conn.SetReadDeadline(time.Unix(1, 0))
	})
	lines := readLines(ctx, conn)
	_ = serve(ctx, newDialogue(p), lines, NewWriter(conn)) // a client that goes away is no event
	cancel()
	<-ended
	_ = conn.Close()
	<-lines.done
}

// Ask has the node that runs on the profile in dir carry out one line, and
// decodes the fields of its result into result. The error is ErrNotRunning if
// there is no such node, and ErrNoAnswer after ten seconds.
func Ask(dir, line string, result any) error { return AskWithin(dir, line, clientWait, result) }

// AskWithin does the same, and waits as long as it is told to.
func AskWithin(dir, line string, wait time.Duration, result any) error {
	path, release, err := socketPath(dir)
	if err != nil {
		return ErrNotRunning
	}
	defer release()
	late := time.Now().Add(wait)
	conn, err := net.DialTimeout("unix", path, wait)
	if err != nil {
		return ErrNotRunning
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(late); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(conn, line); err != nil {
		return fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	return readAnswer(conn, line, result)
}

// readAnswer reads what a node answers to one line. It believes no more than a
// node's own Writer would have written.
func readAnswer(r io.Reader, line string, result any) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxAnswer)
	if !lines.Scan() {
		return ErrNoAnswer
	}
	var answer struct {
		Event string `json:"event"`
		Line  string `json:"line"`
		Error string `json:"error"`
		Cause string `json:"cause"`
	}
	if err := json.Unmarshal(lines.Bytes(), &answer); err != nil {
		return fmt.Errorf("the running node's answer makes no sense: %w", err)
	}
	switch {
	case answer.Line != line:
	case answer.Event == "error" && answer.Error != "":
		return errorOf(answer.Error, answer.Cause)
	case answer.Event == "done":
		if err := json.Unmarshal(lines.Bytes(), result); err != nil {
			return fmt.Errorf("the running node's answer makes no sense: %w", err)
		}
		return nil
	}
	return errors.New("the running node's answer makes no sense: it is to something else")
}
