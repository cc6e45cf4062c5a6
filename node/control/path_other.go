//go:build !linux

package control

import "path/filepath"

// socketPath returns the path to the control socket in dir, and what to call
// when it is no longer needed.
func socketPath(dir string) (path string, release func(), err error) {
	return filepath.Join(dir, SocketName), func() {}, nil
}
