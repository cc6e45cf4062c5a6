package control

import (
	"context"
	"errors"
	"io"
	"strings"
)

// Drive connects a node with a program: events and results go to out as JSON,
// commands come from in, which may be nil for none. It waits until the node is
// ready before it carries out commands that were written earlier, and returns
// when in ends, /quit is given or ctx ends.
func Drive(ctx context.Context, n Node, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	w := NewWriter(out)
	ready, told := make(chan struct{}), make(chan error, 1)
	go func() {
		told <- tell(ctx, n, w, ready)
		cancel() // nobody hears what would come next
	}()
	select {
	case <-ready:
	case <-ctx.Done():
	}
	var err error
	if in != nil {
		err = Serve(ctx, n, in, w)
	} else {
		<-ctx.Done()
	}
	cancel()
	return errors.Join(err, <-told)
}

// tell writes events until ctx ends, and closes ready behind the first that
// says so.
func tell(ctx context.Context, n Node, w *Writer, ready chan struct{}) error {
	for {
		e, err := n.Next(ctx)
		if err != nil {
			return nil //nolint:nilerr // the end of everything
		}
		if err := w.Event(e); err != nil {
			return err
		}
		if _, ok := e.(Ready); ok {
			close(ready)
		}
	}
}

// Serve carries out lines from in and writes how each went to out, until in
// ends, /quit is given or ctx ends. Reading goes on in the background when ctx
// ends first: whoever owns in closes it.
func Serve(ctx context.Context, n Node, in io.Reader, out *Writer) error {
	type input struct {
		line string
		err  error
	}
	lines := make(chan input)
	go func() {
		reader := NewLines(in)
		for {
			line, err := reader.Next()
			select {
			case lines <- input{line, err}:
			case <-ctx.Done():
				return
			}
			var long *LineTooLongError
			if err != nil && !errors.As(err, &long) {
				return
			}
		}
	}()
	s := NewSession(n)
	for !s.Over() {
		select {
		case <-ctx.Done():
			return nil
		case next := <-lines:
			done, err := s.serveOne(next.line, next.err, out)
			if done || err != nil {
				return err
			}
		}
	}
	return nil
}

// serveOne handles one line or the error in its place; done means the end of input.
func (s *Session) serveOne(line string, err error, out *Writer) (done bool, _ error) {
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
