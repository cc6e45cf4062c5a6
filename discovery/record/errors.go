package record

import (
	"errors"
	"fmt"
)

// ErrNone says that those who were asked for a record have none.
var ErrNone = errors.New("no record is to be found now")

// What can be wrong with a record although whoever served it is honest.
var (
	ErrExpired = errors.New("this record has expired")
	ErrFuture  = errors.New("this record is dated too far ahead: its maker's clock or this one is wrong")
	ErrVersion = errors.New("this record was made by another version of the program")
)

var errForged = errors.New("forged or damaged record")

// IsForged reports whether err, from this package, means that no honest node
// of this version would have served the bytes: they are oversize, malformed,
// signed wrongly, or filed under another's key. A record that has expired, is
// dated ahead or has another version may come from an honest node.
func IsForged(err error) bool { return errors.Is(err, errForged) }

func forged(why string) error { return fmt.Errorf("%w: %s", errForged, why) }
