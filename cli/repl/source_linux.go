package repl

import (
	"errors"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A source reads a file until it is told to stop. Go cannot interrupt a read of a
// terminal or of a pipe that it inherited, and a read left behind would eat what
// is typed next; so it waits for input and for stop together, then reads.
type source struct {
	file         *os.File
	hangUp, hung *os.File // two ends of a pipe: stop closes the first

	reading sync.Mutex // held while a Read runs; guards stopped
	stopped bool
	once    sync.Once
}

func newSource(file *os.File) (*source, error) {
	hung, hangUp, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return &source{file: file, hangUp: hangUp, hung: hung}, nil
}

// Read returns io.EOF once the source has been stopped, and where a terminal has
// gone away.
func (s *source) Read(p []byte) (int, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	if s.stopped {
		return 0, io.EOF
	}
	fds := []unix.PollFd{
		{Fd: int32(s.file.Fd()), Events: unix.POLLIN},
		{Fd: int32(s.hung.Fd()), Events: unix.POLLIN},
	}
	for {
		_, err := unix.Poll(fds, -1)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, err
		case fds[1].Revents != 0:
			return 0, io.EOF
		}
		n, err := s.file.Read(p)
		if errors.Is(err, unix.EIO) {
			err = io.EOF
		}
		return n, err
	}
}

// stop makes a Read that waits return, and waits for that.
func (s *source) stop() {
	s.once.Do(func() {
		_ = s.hangUp.Close()
		s.reading.Lock()
		defer s.reading.Unlock()
		s.stopped = true
		_ = s.hung.Close()
	})
}
