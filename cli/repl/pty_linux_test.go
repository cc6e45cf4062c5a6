//go:build linux

package repl

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

const (
	testWidth, testHeight = 40, 24
	patience              = 10 * time.Second
)

// A pty is a pseudo terminal with a person at one end: what they type, and what
// they see. It answers no questions, as the plainest terminals do not.
type pty struct {
	t             *testing.T
	master, slave *os.File

	mu      sync.Mutex // guards the fields below
	changed *sync.Cond
	all     []byte // everything written to it
	rows    [][]rune
	x, y    int
}

func openPTY(t *testing.T) *pty {
	t.Helper()
	// Non-blocking, so that closing it interrupts watch.
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	master := os.NewFile(uintptr(fd), "/dev/ptmx")
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: testWidth, Row: testHeight})
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &pty{t: t, master: master, slave: slave, rows: [][]rune{nil}}
	p.changed = sync.NewCond(&p.mu)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		p.watch()
	}()
	t.Cleanup(func() {
		slave.Close() // the last of it: the other end reads an error
		<-watched
		master.Close()
	})
	return p
}

// terminal opens a Terminal on the pty and closes it at the end of the test.
func (p *pty) terminal(complete func(string) []string) *Terminal {
	p.t.Helper()
	terminal, err := Open(p.slave, p.slave, complete)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { terminal.Close() })
	terminal.SetPrompt("> ")
	return terminal
}

// press types keys.
func (p *pty) press(keys string) {
	p.t.Helper()
	if _, err := p.master.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// wait waits until the rows on the screen, blank ones aside, end with those given.
func (p *pty) wait(want ...string) {
	p.t.Helper()
	p.waitUntil(fmt.Sprintf("%q at the end", want), func(rows []string) bool {
		return len(rows) >= len(want) && slices.Equal(rows[len(rows)-len(want):], want)
	})
}

func (p *pty) waitUntil(what string, ok func(rows []string) bool) {
	p.t.Helper()
	late := false
	timer := time.AfterFunc(patience, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		late = true
		p.changed.Broadcast()
	})
	defer timer.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for !ok(p.screen()) {
		if late {
			p.t.Fatalf("waited for %s, the screen shows %q", what, p.screen())
		}
		p.changed.Wait()
	}
}

// screen returns the rows that are not blank. p.mu is held.
func (p *pty) screen() []string {
	var rows []string
	for _, row := range p.rows {
		if s := strings.TrimRight(string(row), " "); s != "" {
			rows = append(rows, s)
		}
	}
	return rows
}

// written returns all bytes so far.
func (p *pty) written() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.all)
}

func (p *pty) watch() {
	b := make([]byte, 4096)
	var rest []byte
	for {
		n, err := p.master.Read(b)
		p.mu.Lock()
		p.all = append(p.all, b[:n]...)
		rest = p.draw(append(rest, b[:n]...))
		p.changed.Broadcast()
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// draw does what a VT100 does and returns what is still incomplete. An escape
// sequence that it does not know shows up on the screen, where tests see it.
func (p *pty) draw(b []byte) []byte {
	for len(b) > 0 {
		if b[0] == 0x1b {
			end := slices.IndexFunc(b[1:], func(c byte) bool { return c != '[' && (c >= '@' && c <= '~') })
			if end < 0 {
				return b
			}
			p.sequence(string(b[1 : end+2]))
			b = b[end+2:]
			continue
		}
		if !utf8.FullRune(b) {
			return b
		}
		r, n := utf8.DecodeRune(b)
		b = b[n:]
		switch r {
		case '\r':
			p.x = 0
		case '\n':
			p.down()
		case '\b':
			p.x = max(0, p.x-1)
		case '\a':
		default:
			if p.x == testWidth {
				p.x = 0
				p.down()
			}
			p.put(r)
			p.x++
		}
	}
	return nil
}

func (p *pty) down() {
	if p.y++; p.y == len(p.rows) {
		p.rows = append(p.rows, nil)
	}
}

func (p *pty) put(r rune) {
	for len(p.rows[p.y]) <= p.x {
		p.rows[p.y] = append(p.rows[p.y], ' ')
	}
	p.rows[p.y][p.x] = r
}

func (p *pty) sequence(s string) {
	n := 1
	_, _ = fmt.Sscanf(s, "[%d", &n) // without a number it is 1
	switch {
	case s == "[?2004h", s == "[?2004l", strings.HasSuffix(s, "m"):
	case s == "[0K":
		p.rows[p.y] = p.rows[p.y][:min(p.x, len(p.rows[p.y]))]
	case s == "[J":
		p.rows[p.y] = p.rows[p.y][:min(p.x, len(p.rows[p.y]))]
		p.rows = p.rows[:p.y+1]
	case strings.HasSuffix(s, "A"):
		p.y = max(0, p.y-n)
	case strings.HasSuffix(s, "G"):
		p.x = n - 1
	case strings.HasSuffix(s, "C"):
		p.x += n
	default:
		for _, r := range "<ESC" + s + ">" {
			p.put(r)
			p.x++
		}
	}
}
