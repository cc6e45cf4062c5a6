//go:build !linux

package integration

// wasSpaceNode reports false: network namespaces are of Linux.
func wasSpaceNode() bool { return false }
