package control

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"
)

// quitWait is how long what drives a node may take to end once it is to: an
// output that nobody reads any more must not keep the node from stopping.
const quitWait = time.Second

// Drive connects a profile's node with a program: events and results go to out as JSON,
// commands come from in, which may be nil for none. It waits until the node is
// ready before it carries out commands that were written earlier, and returns
// when in ends, /quit is given or ctx ends.
//
// Where out is not read any more it returns all the same, and leaves what hangs
// there to the end of the process.
func Drive(ctx context.Context, p Profile, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, s := NewWriter(out), NewDialogue(p)
	ready, told := make(chan struct{}), make(chan error, 1)
	go func() { told <- tell(ctx, p, w, ready) }()
	var served chan error
	if in != nil {
		served = make(chan error, 1)
		go func() {
			select {
			case <-ready:
				served <- serve(ctx, s, readLines(ctx, in), w)
			case <-ctx.Done():
				served <- nil
			}
		}()
	}
	var (
		errs     []error
		late     <-chan time.Time
		ended    = ctx.Done()
		quitting = s.quitting
	)
	for served != nil || told != nil {
		select {
		case err := <-served:
			errs, served = append(errs, err), nil
		case err := <-told:
			errs, told = append(errs, err), nil
		case <-quitting:
		case <-ended:
		case <-late:
			return errors.Join(errs...)
		}
		if late == nil { // one has ended: so does the other
			cancel()
			late, ended, quitting = time.After(quitWait), nil, nil
		}
	}
	return errors.Join(errs...)
}

// tell writes events until ctx ends, and closes ready behind the first that
// says so.
func tell(ctx context.Context, p Profile, w *Writer, ready chan struct{}) error {
	var once sync.Once
	for {
		e, err := p.Next(ctx)
		if err != nil {
			return nil //nolint:nilerr // the end of everything
		}
		// One that cannot be written must not keep from the program what follows.
		if err := w.Event(e); err != nil && !errors.Is(err, errEncoding) {
			return err
		}
		if _, ok := e.(Ready); ok {
			once.Do(func() { close(ready) })
		}
	}
}

// input is the lines that somebody writes, or the error in place of one.
type input struct {
	lines chan line
	done  chan struct{} // closed when nothing reads any more
}

type line struct {
	text string
	err  error
}

// readLines reads lines in the background until they end or ctx does. While a
// read is under way it ends with that: whoever owns in closes it.
func readLines(ctx context.Context, in io.Reader) *input {
	i := &input{lines: make(chan line), done: make(chan struct{})}
	go func() {
		defer close(i.done)
		reader := NewLines(in)
		for {
			text, err := reader.Next()
			select {
			case i.lines <- line{text, err}:
			case <-ctx.Done():
				return
			}
			var long *LineTooLongError
			if err != nil && !errors.As(err, &long) {
				return
			}
		}
	}()
	return i
}

// serve carries out lines and writes how each went to out, until they end, /quit
// is given or ctx ends.
func serve(ctx context.Context, s *Dialogue, in *input, out *Writer) error {
	for !s.Over() {
		select {
		case <-ctx.Done():
			return nil
		case next := <-in.lines:
			done, err := s.serveOne(next.text, next.err, out)
			if done || err != nil {
				return err
			}
		}
	}
	return nil
}

// serveOne handles one line or the error in its place; done means the end of input.
func (s *Dialogue) serveOne(line string, err error, out *Writer) (done bool, _ error) {
	var long *LineTooLongError
	switch {
	case errors.As(err, &long):
		return false, out.Error(long.Prefix, err)
	case errors.Is(err, io.EOF):
		return true, nil
	case err != nil:
		return true, err
	case strings.TrimSpace(line) == "":
		return false, nil
	}
	result, err := s.Execute(line)
	if err != nil {
		return false, out.Error(line, err)
	}
	return false, out.Done(line, result)
}
