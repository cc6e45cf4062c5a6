package repl

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"chatnt/node/control"
)

// Run connects a node with a person: at a terminal with a prompt, otherwise
// with lines in and out. in may be nil for none. It returns when the input ends,
// /quit is given or ctx ends; the error is ErrInterrupt after Ctrl-C twice.
func Run(ctx context.Context, n control.Node, in, out *os.File) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := control.NewDialogue(n)
	term, err := Open(in, out, s.Complete)
	if err != nil {
		return err
	}
	defer func() { _ = term.Close() }()
	told, ready := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(told)
		for {
			e, err := n.Next(ctx)
			if err != nil {
				return
			}
			if text := Event(e); text != "" {
				term.Println(text)
			}
			if _, ok := e.(control.Ready); ok {
				close(ready)
			}
		}
	}()
	select {
	case <-ready: // lines that came earlier wait for it
	case <-ctx.Done():
	}
	width := func() int { columns, _ := size(out); return columns }
	err = dialogue(ctx, s, term, width, in == nil)
	cancel()
	<-told
	return err
}

func dialogue(ctx context.Context, s *control.Dialogue, term *Terminal, width func() int, headless bool) error {
	if headless {
		<-ctx.Done()
		return nil
	}
	interrupted := false // by the key before this one
	for !s.Over() {
		term.SetPrompt(prompt(s))
		line, err := term.ReadLine(ctx)
		var long *control.LineTooLongError
		switch {
		case errors.Is(err, ErrInterrupt):
			if interrupted {
				return err
			}
			interrupted = true
			term.Println("Ctrl-C once more, or /quit, stops the node.")
			continue
		case errors.As(err, &long):
			term.Println("error: " + err.Error())
			continue
		case errors.Is(err, io.EOF), ctx.Err() != nil:
			return nil //nolint:nilerr // the end of the input, or of everything
		case err != nil:
			return err
		}
		interrupted = false
		if strings.TrimSpace(line) == "" {
			continue
		}
		result, err := s.Execute(line)
		if err != nil {
			term.Println("error: " + Clean(err.Error()))
			continue
		}
		if invite, ok := result.(control.Invite); ok && term.Interactive() {
			term.Println(inviteQR(invite.Invite, width()))
		}
		if text := Result(result); text != "" {
			term.Println(text)
		}
	}
	return nil
}

func prompt(s *control.Dialogue) string {
	if name := s.Current(); name != "" {
		return Clean(name) + "> "
	}
	return "> "
}

// Ask reads one line from a terminal, for a question asked before the prompt.
func Ask(in io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(in, control.MaxLine)).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("nothing was answered: %w", err)
	}
	return strings.TrimSpace(line), nil
}
