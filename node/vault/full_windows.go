package vault

import "syscall"

// diskFull is ERROR_DISK_FULL, which package syscall has no name for.
const diskFull = syscall.Errno(112)
