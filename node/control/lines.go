package control

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

const (
	// MaxLine bounds a line, in bytes, its end not counted.
	MaxLine = 64 << 10

	// longPrefix is how much of an overlong line is kept to name it by.
	longPrefix = 256
)

// A LineTooLongError stands for a line of more than MaxLine bytes.
type LineTooLongError struct {
	Prefix string // the first 256 bytes, as they are
}

func (e *LineTooLongError) Error() string {
	return fmt.Sprintf("a line is longer than %d bytes", MaxLine)
}

// Lines reads lines of bounded length from someone who may send anything. It is
// not safe for concurrent use.
type Lines struct {
	r        *bufio.Reader
	skipping bool // the rest of an overlong line comes first
}

// NewLines reads from r, no more than 64 KiB ahead.
func NewLines(r io.Reader) *Lines {
	return &Lines{r: bufio.NewReaderSize(r, MaxLine+len("\r\n"))}
}

// Next returns the next line without its end, "\n" or "\r\n", and otherwise as it
// is: it may hold NUL and invalid UTF-8. The last line needs no end. In place of a
// line over MaxLine the error is a *LineTooLongError, as soon as that much has
// come, and the call after it goes on with the next line. Other errors are the
// reader's, io.EOF at its end, and final.
func (l *Lines) Next() (string, error) {
	for l.skipping {
		_, err := l.r.ReadSlice('\n')
		switch {
		case err == nil:
			l.skipping = false
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", err
		}
	}
	line, err := l.r.ReadSlice('\n')
	ended := err == nil
	if ended {
		line = bytes.TrimSuffix(line[:len(line)-1], []byte{'\r'})
	}
	if len(line) > MaxLine {
		l.skipping = !ended
		return "", &LineTooLongError{Prefix: string(line[:longPrefix])}
	}
	if ended || len(line) > 0 {
		// An error behind an unfinished line comes back with the next call.
		return string(line), nil
	}
	return "", err
}
