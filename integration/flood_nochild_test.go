//go:build !linux

package integration

// wasChild reports whether this process was a child: here there are none.
func wasChild() bool { return false }
