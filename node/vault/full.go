package vault

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// ErrFull says that the disk, or what this person may use of it, is full. What was
// to be written was not, and the vault stays as it was and usable.
var ErrFull = errors.New("the disk is full")

// full makes ErrFull of an error that says so in the system's words.
func full(err error) error {
	for _, errno := range [...]syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, diskFull} {
		// bbolt passes the error of growing the file on as text only.
		if errors.Is(err, errno) || strings.HasSuffix(err.Error(), ": "+errno.Error()) {
			return fmt.Errorf("%w (%w)", ErrFull, err)
		}
	}
	return err
}

// writeError says in a sentence why the file could not be written.
func writeError(err error) error {
	return fmt.Errorf("the profile cannot be written: %w", full(err))
}
