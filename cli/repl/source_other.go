//go:build !linux

package repl

import (
	"io"
	"os"
	"sync"
)

// A source reads a file until it is told to stop. A read of a terminal cannot be
// interrupted here: a goroutine is left to it, which may take one more piece of
// input before it notices, or end with the process.
type source struct {
	chunks  chan []byte
	stopped chan struct{}
	once    sync.Once

	rest []byte // owned by Read
}

func newSource(file *os.File) (*source, error) {
	s := &source{chunks: make(chan []byte), stopped: make(chan struct{})}
	go s.pump(file)
	return s, nil
}

func (s *source) pump(file *os.File) {
	defer close(s.chunks)
	for {
		b := make([]byte, 4096)
		n, err := file.Read(b)
		if n > 0 {
			select {
			case s.chunks <- b[:n]:
			case <-s.stopped:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// Read returns io.EOF at the end and once the source has been stopped.
func (s *source) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		select {
		case <-s.stopped:
			return 0, io.EOF
		case b, ok := <-s.chunks:
			if !ok {
				return 0, io.EOF
			}
			s.rest = b
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// stop makes a Read that waits return.
func (s *source) stop() { s.once.Do(func() { close(s.stopped) }) }
