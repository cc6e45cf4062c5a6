package repl

import (
	"bytes"
	"io"
)

const (
	// askPosition is how the line editor asks where the cursor is, before each
	// prompt.
	askPosition = "\x1b[6n"
	// firstColumn is the answer.
	firstColumn = "\x1b[1;1R"
)

// A screen is what the line editor writes to. In raw mode a line end needs its
// carriage return, and the question for the cursor's position is answered here:
// every line we print is whole, so a prompt always begins in the first column. The
// terminal need not be asked, and one that never answers hangs nobody.
type screen struct {
	out      io.Writer
	keyboard *keyboard
}

func (s *screen) Write(p []byte) (int, error) {
	b := p
	if bytes.Contains(b, []byte(askPosition)) {
		b = bytes.ReplaceAll(b, []byte(askPosition), nil)
		s.keyboard.answer(firstColumn)
	}
	b = bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
	if len(b) == 0 {
		return len(p), nil
	}
	if _, err := s.out.Write(b); err != nil {
		return 0, err
	}
	return len(p), nil
}
