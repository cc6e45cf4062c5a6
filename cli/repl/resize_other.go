//go:build !unix

package repl

import "os"

// notifyResize does nothing: there is no such signal here, and the size at the
// start stands.
func notifyResize(chan<- os.Signal) {}
