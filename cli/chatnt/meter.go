package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"golang.org/x/term"
)

const meterEvery = 200 * time.Millisecond

// meter shows a person at a terminal how far long work has come, and ends it when the
// program is to stop.
type meter struct {
	ctx   context.Context // of one piece of work
	out   io.Writer       // nil: nobody looks
	what  string
	total int64 // bytes; 0: not known
	done  int64
	next  time.Time // to show it
	shown bool
}

func (c *common) meter(ctx context.Context, what string, total int64) *meter {
	m := &meter{ctx: ctx, what: what, total: total, next: time.Now().Add(meterEvery)}
	if term.IsTerminal(int(c.std.err.Fd())) {
		m.out = c.std.err
	}
	return m
}

// reader counts what is read through it.
func (m *meter) reader(r io.Reader) io.Reader { return metered{m, r.Read} }

// writer counts what is written through it.
func (m *meter) writer(w io.Writer) io.Writer { return metered{m, w.Write} }

type metered struct {
	m  *meter
	do func([]byte) (int, error)
}

func (c metered) Read(b []byte) (int, error)  { return c.m.count(c.do, b) }
func (c metered) Write(b []byte) (int, error) { return c.m.count(c.do, b) }

func (m *meter) count(do func([]byte) (int, error), b []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := do(b)
	m.done += int64(n)
	if now := time.Now(); m.out != nil && !now.Before(m.next) {
		m.next, m.shown = now.Add(meterEvery), true
		m.show()
	}
	return n, err
}

func (m *meter) show() {
	if m.total > 0 {
		fmt.Fprintf(m.out, "\r%s: %d %%", m.what, min(100, 100*m.done/m.total))
		return
	}
	fmt.Fprintf(m.out, "\r%s: %.1f MB", m.what, float64(m.done)/1e6)
}

// end takes the line away again.
func (m *meter) end() {
	if m.shown {
		fmt.Fprint(m.out, "\r\x1b[K")
	}
}
