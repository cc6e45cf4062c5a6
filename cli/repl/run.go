package repl

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"chatnt/node/control"
)

// Run connects a profile's node with a person: at a terminal with a prompt, otherwise
// with lines in and out. in may be nil for none. It returns when the input ends,
// /quit is given or ctx ends; the error is ErrInterrupt after Ctrl-C twice.
func Run(ctx context.Context, p control.Profile, in, out *os.File) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := control.NewDialogue(p)
	term, err := Open(in, out, s.Complete)
	if err != nil {
		return err
	}
	defer func() { _ = term.Close() }()
	if term.Interactive() {
		s.Ask = func(question string) bool { return confirmed(ctx, term, question) }
	}
	told, ready := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(told)
		var once sync.Once
		for {
			e, err := p.Next(ctx)
			if err != nil {
				return
			}
			if text := Event(e); text != "" {
				term.Println(text)
			}
			if _, ok := e.(control.Ready); ok {
				once.Do(func() { close(ready) })
			}
		}
	}()
	select {
	case <-ready: // lines that came earlier wait for it
	case <-ctx.Done():
	}
	err = dialogue(ctx, s, term, in == nil)
	cancel()
	<-told
	return err
}

func dialogue(ctx context.Context, s *control.Dialogue, term *Terminal, headless bool) error {
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
		} else if text := Result(result); text != "" {
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

// confirmed asks a person a question that only a yes answers with yes.
func confirmed(ctx context.Context, term *Terminal, question string) bool {
	term.Println(Clean(question))
	term.SetPrompt("[y/N] ")
	answer, err := term.ReadLine(ctx)
	answer = strings.ToLower(strings.TrimSpace(answer))
	return err == nil && (answer == "y" || answer == "yes")
}

// Ask reads one line from a terminal, for a question asked before the prompt.
func Ask(in io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(in, control.MaxLine)).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("nothing was answered: %w", err)
	}
	return strings.TrimSpace(line), nil
}
