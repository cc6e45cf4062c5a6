package record

import "errors"

var errX25519 = errors.New("an X25519 public key is not one that a key generator makes")

// The canonical u-coordinates of small order (Cremers and Jackson, "Prime,
// Order Please!", 2019, table 2): every exchange with them gives zero, so a
// node that published one would break each path it is drawn for.
const (
	lowOrder4  = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	lowOrder1  = "\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	lowOrder8  = "\xe0\xeb\x7a\x7c\x3b\x41\xb8\xae\x16\x56\xe3\xfa\xf1\x9f\xc4\x6a\xda\x09\x8d\xeb\x9c\x32\xb1\xfd\x86\x62\x05\x16\x5f\x49\xb8\x00"
	lowOrder8b = "\x5f\x9c\x95\xbc\xa3\x50\x8c\x24\xb1\xd0\xb1\x55\x9c\x83\xef\x5b\x04\x44\x5c\xc4\x58\x1c\x8e\x86\xd8\x22\x4e\xdd\xd0\x9f\x11\x57"
	lowOrder2  = "\xec\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"
)

// checkX25519 refuses public keys that no private key has: those of small
// order, and those not below p = 2^255 - 19, which X25519 reduces, so that one
// key would have two encodings (RFC 7748, section 5).
func checkX25519(key [32]byte) error {
	switch string(key[:]) {
	case lowOrder1, lowOrder2, lowOrder4, lowOrder8, lowOrder8b:
		return errX25519
	}
	if !belowP(key) {
		return errX25519
	}
	return nil
}

// belowP reports whether the little-endian u is less than 2^255 - 19.
func belowP(u [32]byte) bool {
	if u[31] != 0x7f {
		return u[31] < 0x7f
	}
	for _, b := range u[1:31] {
		if b != 0xff {
			return true
		}
	}
	return u[0] < 0xed
}
