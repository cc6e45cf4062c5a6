package record

import (
	"encoding/hex"
	"errors"
)

var errLinkText = errors.New("the stored link key is damaged")

// MarshalText returns the text form of a link key as it is stored, 64 hexadecimal
// digits. People read and type invites instead.
func (k LinkKey) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(k[:])), nil }

// UnmarshalText reads what MarshalText wrote. What is no link key is refused where it
// is used, see Check: that takes a while, and a profile may have thousands.
func (k *LinkKey) UnmarshalText(text []byte) error {
	var read LinkKey
	if len(text) != hex.EncodedLen(len(read)) {
		return errLinkText
	}
	if _, err := hex.Decode(read[:], text); err != nil {
		return errLinkText
	}
	*k = read
	return nil
}
