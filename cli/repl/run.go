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
func Run(ctx context.Context, profile control.Profile, in, out *os.File) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := control.NewDialogue(profile)
	term, err := Open(in, out, s.Complete)
	if err != nil {
		return err
	}
	defer func() { _ = term.Close() }()
	p := &prompter{dialogue: s, term: term}
	if term.Interactive() {
		s.Confirm = func(question string) bool { return p.confirmed(ctx, question) }
	}
	told, ready := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(told)
		var once sync.Once
		for {
			e, err := profile.Next(ctx)
			if err != nil {
				return
			}
			if text := Event(e); text != "" {
				term.Println(text)
			}
			switch e := e.(type) {
			case control.Ready:
				once.Do(func() { close(ready) })
				if e.First && in != nil { // somebody types here, and reads
					_ = profile.Told() // or it is told again
				}
			case control.ContactChanged, control.Warning: // of the open conversation, it may be
				p.set()
			}
		}
	}()
	select {
	case <-ready: // lines that came earlier wait for it
	case <-ctx.Done():
	}
	width := func() int { columns, _ := size(out); return columns }
	err = dialogue(ctx, s, term, p, width, in == nil)
	cancel()
	<-told
	return err
}

func dialogue(ctx context.Context, s *control.Dialogue, term *Terminal, p *prompter, width func() int, headless bool) error {
	if headless {
		<-ctx.Done()
		return nil
	}
	interrupted := false // by the key before this one
	for !s.Over() {
		p.set()
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
			term.Println("error: " + Inline(err.Error()))
		} else {
			show(term, width, result)
		}
	}
	return nil
}

// show prints the result of a command, on a terminal of so many columns if it is one.
func show(term *Terminal, width func() int, result any) {
	text := Result(result)
	switch r := result.(type) {
	case control.Invite: // for others to scan, or to copy
		if term.Interactive() {
			term.PrintRaw(inviteQR(r.Invite, width()))
		}
		term.PrintRaw(text)
		return
	case control.Safety:
		var code strings.Builder
		if term.Interactive() && PrintQR(&code, r.QR) == nil {
			term.PrintRaw(strings.TrimSuffix(code.String(), "\n"))
		}
	}
	if text != "" {
		term.Println(text)
	}
}

// prompter keeps the prompt as the open conversation is.
type prompter struct {
	dialogue *control.Dialogue
	term     *Terminal

	mu     sync.Mutex // one at a time, so that the last one set is the newest
	asking bool       // guarded by mu: the prompt is that of a question
}

func (p *prompter) set() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asking {
		return
	}
	with, open := p.dialogue.Open()
	if !open {
		p.term.SetPrompt("> ")
		return
	}
	mark := ""
	switch {
	case with.Changed:
		mark = " [key changed]"
	case with.Verified:
		mark = " [verified]"
	}
	p.term.SetPrompt(called(with.Name, with.Tag) + mark + "> ")
}

// confirmed asks a person a question that only a yes answers with yes.
func (p *prompter) confirmed(ctx context.Context, question string) bool {
	p.ask(true)
	defer p.ask(false)
	p.term.Println(Clean(question))
	answer, err := p.term.ReadLine(ctx)
	answer = strings.ToLower(strings.TrimSpace(answer))
	return err == nil && (answer == "y" || answer == "yes")
}

// ask begins or ends a question. What happens meanwhile does not change its prompt.
func (p *prompter) ask(asking bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asking = asking; asking {
		p.term.SetPrompt("[y/N] ")
	}
}

// Ask reads one line from a terminal, for a question asked before the prompt.
func Ask(in io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(in, control.MaxLine)).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("nothing was answered: %w", err)
	}
	return strings.TrimSpace(line), nil
}
