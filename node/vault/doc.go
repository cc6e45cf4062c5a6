// Package vault is the sealed store of a profile: named values in named
// buckets, one file, one passphrase.
//
// # What the file shows
//
// The file is a bbolt database with pages of 4,096 bytes and one bbolt bucket,
// "vault". Whoever holds the file without the passphrase learns how many values
// there are, how many each of our buckets holds, roughly how long each is, and
// which pages changed between two copies. Names and contents are sealed.
//
// # The header, under the key "header"
//
//	offset  size  field
//	0       1     version, 2
//	1       16    salt of Argon2id
//	17      24    nonce
//	41      48    the master key, XChaCha20-Poly1305 under the passphrase key; AAD = bytes 0..16
//	89      32    SHA-256 of bytes 0..88: tells a damaged header from a wrong passphrase
//
// The first byte and the closing hash are where they are in every version.
// Versions 1 and 2 fix the passphrase key's cost: Argon2id (RFC 9106), 3 passes over
// 64 MiB, 1 lane. One lane is the choice that gives whoever guesses nothing to
// run side by side; the memory is the second recommended option of section 4.
//
// The master key is random, so that a passphrase can change without rewriting
// the values. HKDF-SHA256 (RFC 5869, no salt) derives from it
//
//	info "chatnt vault v2 seal"   the key that seals values
//	info "chatnt vault v1 name"   the key that hides names, in every version
//
// # A value
//
// Its key is 32 bytes, HMAC-SHA256 under the name key, each cut to 16 bytes:
//
//	0       16    of 0x00 | bucket
//	16      16    of 0x01 | length of bucket (1) | bucket | key
//
// and its value
//
//	0       24    random nonce
//	24      n+16  the body, XChaCha20-Poly1305; AAD = version | the 32 bytes above
//
// where the body is
//
//	0       1     length of the key
//	1       4     length of the value, big-endian
//	5       ...   key, value
//	...     ...   zeros up to 64 bytes, then to the next length that Padmé allows
//	              (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files
//	              and Communication with PURBs", PETS 2019, section 4): at most 12 %
//
// One value, the census in the bucket "", says how many others there are and
// which (census.go), so that none can go missing unnoticed.
//
// # Spaces
//
// A space, such as that of one identity of several, is values whose names are apart
// from all others. It has an id of 16 random bytes and a name key of its own,
// HMAC-SHA256 under the name key of 0x02 | id. A value in it lies under the key
//
//	0       16    of 0x00 | bucket
//	16      16    of 0x03 | the 16 bytes above | key
//
// both under the space's name key, so that whoever has that can tell which values are
// in the space, though not in which bucket, and delete them all. Values of all spaces
// are sealed alike and counted in one census. Without the passphrase nothing says that
// there are spaces; but buckets that hold as many values of like lengths let one guess
// it. Once the id is gone, nobody can test what is left of names.
//
// # Damage, and what is not noticed
//
// Open reads the whole file before bbolt may map it, and then opens every seal,
// so bit rot, a cut file or a swapped value is ErrDamaged and never a wrong
// answer. It opens them all at once because that is cheap (40,000 values of 10,000
// contacts in an eighth of a second, less than the passphrase takes), and because
// only then the census tells whether one is missing.
//
// Two things are not noticed: a file replaced by an older copy of itself, and a
// damaged last meta page, which is to bbolt what a power cut is: the state before
// the last transaction stands. After a Scrub, which Close ends with, the two hold
// the same values.
//
// # What was deleted
//
// It goes from the file with the next Update, or with Scrub or Close: bbolt's free
// pages are overwritten with zeros (scrub.go). Files that are replaced by new ones,
// of an older version or for being half empty, are overwritten before they are
// removed (replace.go). What that cannot reach: the copies that a solid-state disk
// keeps of blocks it has moved, those of a file system that writes every change to
// a new place or keeps snapshots, backups, and swap space. Nor does the name of a
// deleted value, a hash under the name key, go before bbolt rewrites the branch
// page that it may stand in as a signpost; who has file and passphrase can test it
// for names that they guess.
//
// # Versions
//
// Version 1 is the same but for the version byte, in the header and in the sealed
// values' AAD, and the seal key's info "chatnt vault v1 seal". Its values were
// those of a profile without sessions: Open brings it up to date with the
// migration that it is given (upgrade.go).
package vault
