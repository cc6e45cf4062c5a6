//go:build unix

package repl

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// notifyResize delivers to c whenever the terminal's size may have changed.
func notifyResize(c chan<- os.Signal) { signal.Notify(c, unix.SIGWINCH) }
