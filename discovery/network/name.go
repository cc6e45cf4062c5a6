package network

import (
	"errors"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

var errName = errors.New("a network's name is 1 to 32 bytes of printable text that neither begins nor ends with a space")

// checkName keeps out of names what could deceive whoever reads them in a
// terminal: controls, direction marks, characters without a shape, marks with
// nothing to stand on, and second spellings of one text.
func checkName(name string) error {
	if name == "" || len(name) > maxName || !utf8.ValidString(name) || !norm.NFC.IsNormalString(name) {
		return errName
	}
	for i, r := range name {
		if !unicode.IsPrint(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
			return errName
		}
		if i == 0 && unicode.IsMark(r) {
			return errName
		}
	}
	if name[0] == ' ' || name[len(name)-1] == ' ' {
		return errName
	}
	return nil
}
