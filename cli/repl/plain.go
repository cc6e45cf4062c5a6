package repl

import (
	"io"
	"sync"

	"chatnt/node/control"

	"github.com/charmbracelet/x/ansi"
)

// plain is the console of pipes and files.
type plain struct {
	in    *source // nil if there is nothing to read
	lines *control.Lines

	mu  sync.Mutex // one line at a time
	out io.Writer
}

func newPlain(in *source, out io.Writer) *plain {
	p := &plain{in: in, out: out}
	if in != nil {
		p.lines = control.NewLines(in)
	}
	return p
}

func (p *plain) readLine() (string, error) {
	if p.in == nil {
		return "", io.EOF
	}
	return p.lines.Next()
}

func (p *plain) readPassword(string) (string, error) { return "", ErrNoTerminal }
func (p *plain) setPrompt(string)                    {}
func (p *plain) interactive() bool                   { return false }

func (p *plain) printRaw(line string) { p.println(line) }

func (p *plain) println(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// Who reads the other end is gone, if this fails, and reading will show it.
	_, _ = io.WriteString(p.out, ansi.Strip(coloursOnly(line))+"\n")
}

func (p *plain) close() error {
	if p.in != nil {
		p.in.stop()
	}
	return nil
}
