//go:build !windows

package vault

import "syscall"

// diskFull is what the system calls a full disk besides ENOSPC: here, nothing.
const diskFull = syscall.ENOSPC
