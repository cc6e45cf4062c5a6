package control

import (
	"fmt"
	"os"
	"path/filepath"
)

// maxSocketPath is the longest path that a socket's address holds, without the
// zero at its end (unix(7)).
const maxSocketPath = 107

// socketPath returns a path to the control socket in dir that is short enough
// for a socket's address, and what to call when it is no longer needed.
func socketPath(dir string) (path string, release func(), err error) {
	path = filepath.Join(dir, SocketName)
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), SocketName), func() { _ = d.Close() }, nil
}
