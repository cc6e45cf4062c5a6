package repl

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/mdp/qrterminal/v3"
)

// maxQR is the most bytes a QR code of the lowest redundancy holds (ISO/IEC 18004,
// table 7, version 40-L).
const maxQR = 2953

// PrintQR draws text as a QR code in half blocks, two rows to a line, for a
// terminal of light letters on dark ground. It fits 65 bytes in 20 lines.
func PrintQR(w io.Writer, text string) error {
	if len(text) > maxQR {
		return fmt.Errorf("%d bytes do not fit in a QR code", len(text))
	}
	var b bytes.Buffer // as the library drops the writer's errors
	qrterminal.GenerateWithConfig(text, qrterminal.Config{
		Level:      qrterminal.L,
		Writer:     &b,
		HalfBlocks: true,
		QuietZone:  2, // readers manage with less than the standard's four
	})
	_, err := w.Write(b.Bytes())
	return err
}

// inviteQR draws an invite as a QR code for a terminal of so many columns, or says why not.
// In capitals it takes a smaller one, and is the same invite.
func inviteQR(invite string, columns int) string {
	var b strings.Builder
	if err := PrintQR(&b, strings.ToUpper(invite)); err != nil {
		return "(" + err.Error() + ")"
	}
	drawn := strings.TrimSuffix(b.String(), "\n")
	first, _, _ := strings.Cut(drawn, "\n")
	if need := utf8.RuneCountInString(first); need > columns {
		return fmt.Sprintf("(Its QR code takes %d columns, more than there are here.)", need)
	}
	return drawn
}
