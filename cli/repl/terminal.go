package repl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"chatnt/node/control"

	"golang.org/x/term"
)

var (
	// ErrInterrupt says that Ctrl-C was pressed.
	ErrInterrupt = errors.New("interrupted")
	// ErrNoTerminal says that a passphrase cannot be asked for.
	ErrNoTerminal = errors.New("there is no terminal to ask for a passphrase")

	errReading = errors.New("another line is being read")
)

// A Terminal reads lines from a person, with editing, history (in memory only)
// and completion, while others print lines above the one that is being typed.
// Where either end is no terminal it reads and writes plain lines: no prompt, no
// colour.
//
// One goroutine at a time may read; everything else is safe for concurrent use.
type Terminal struct {
	console console

	mu     sync.Mutex // guards the fields below
	closed bool
	under  chan line // the read under way, nil if there is none

	done chan struct{} // closed by Close
	wg   sync.WaitGroup
}

// A console is one of the two ways to read and write lines. Its read methods are
// called one at a time. close makes a read return, and waits for goroutines.
type console interface {
	readLine() (string, error)
	readPassword(prompt string) (string, error)
	println(line string) // broken into rows that fit
	printRaw(line string)
	setPrompt(prompt string)
	interactive() bool
	close() error
}

type line struct {
	text string
	err  error
}

// Open takes over both ends until Close. in may be nil: then there is nothing to
// read. complete, which may be nil, is asked by the tab key; it returns the lines,
// or beginnings of lines, that head, the text left of the cursor, may grow into.
func Open(in, out *os.File, complete func(head string) []string) (*Terminal, error) {
	t := &Terminal{done: make(chan struct{})}
	if in == nil {
		t.console = newPlain(nil, out)
		return t, nil
	}
	s, err := newSource(in)
	if err != nil {
		return nil, fmt.Errorf("cannot read from the terminal: %w", err)
	}
	if !term.IsTerminal(int(in.Fd())) || !term.IsTerminal(int(out.Fd())) {
		t.console = newPlain(s, out)
		return t, nil
	}
	e, err := newEditor(in, out, s, complete)
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("cannot use the terminal: %w", err)
	}
	t.console = e
	return t, nil
}

// Interactive reports whether a person sits at both ends.
func (t *Terminal) Interactive() bool { return t.console.interactive() }

// ReadLine returns the next line without its end. A paste is one line, however
// many it had: they are joined by "\n". The error is io.EOF after Ctrl-D on an
// empty line, the end of the input, or Close; ErrInterrupt after Ctrl-C; and a
// *control.LineTooLongError in place of a line of more than control.MaxLine
// bytes. When ctx ends first, what has been typed stays, for the next ReadLine.
func (t *Terminal) ReadLine(ctx context.Context) (string, error) {
	return t.read(ctx, t.console.readLine, true)
}

// ReadPassword asks for a line that is neither shown nor remembered. Its errors
// are those of ReadLine, and ErrNoTerminal: a line of a script is not taken for a
// passphrase. The caller clears the result; copies that the editor made on the way
// are out of reach.
func (t *Terminal) ReadPassword(prompt string) ([]byte, error) {
	if !t.Interactive() {
		return nil, ErrNoTerminal
	}
	text, err := t.read(context.Background(), func() (string, error) {
		return t.console.readPassword(prompt)
	}, false)
	return []byte(text), err
}

// read runs one read in a goroutine, or, if resume, takes up the one that an
// earlier call left under way.
func (t *Terminal) read(ctx context.Context, read func() (string, error), resume bool) (string, error) {
	t.mu.Lock()
	switch {
	case t.closed:
		t.mu.Unlock()
		return "", io.EOF
	case t.under == nil:
		result := make(chan line, 1)
		t.under = result
		t.wg.Go(func() {
			text, err := read()
			result <- line{text, err}
		})
	case !resume:
		t.mu.Unlock()
		return "", errReading
	}
	result := t.under
	t.mu.Unlock()

	select {
	case <-t.done:
		return "", io.EOF
	case <-ctx.Done():
		return "", ctx.Err()
	case l := <-result:
		t.mu.Lock()
		defer t.mu.Unlock()
		t.under = nil
		if t.closed {
			return "", io.EOF // half a line, flushed by Close, is nobody's command
		}
		if len(l.text) > control.MaxLine {
			return "", &control.LineTooLongError{Prefix: l.text[:256]}
		}
		return l.text, l.err
	}
}

// Println prints a line, or several, above what is being typed. It lets colours
// (SGR sequences) through and no other control: even so, clean what others wrote. On a
// terminal a line that is too long for a row goes on in rows with an indent.
func (t *Terminal) Println(line string) { t.console.println(line) }

// PrintRaw prints a line, or several, of our own that must stay as they are: what is
// copied or scanned from the screen.
func (t *Terminal) PrintRaw(line string) { t.console.printRaw(line) }

// SetPrompt sets what stands before the line being typed.
func (t *Terminal) SetPrompt(prompt string) { t.console.setPrompt(prompt) }

// Close makes ReadLine return, discards what was half typed, and leaves the
// terminal as it was found. Calling it again does nothing.
func (t *Terminal) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	close(t.done)
	t.mu.Unlock()

	err := t.console.close()
	t.wg.Wait()
	return err
}
