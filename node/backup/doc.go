// Package backup is the file that a profile is carried to another machine in: its
// format, and the seal around it. What goes in, and what becomes of it, is for
// package node to say.
//
// # The file
//
// It is an age file (age-encryption.org/v1) with one recipient, a passphrase
// stretched by scrypt (RFC 7914) with N = 2^18, r = 8 and p = 1, which takes 256 MiB
// of memory; without armour. age splits what is inside into pieces of 64 KiB,
// authenticates each with its place, and marks the last: a file that was cut,
// continued or changed does not open.
//
// Inside is, all integers big endian,
//
//	offset  size  field
//	0       13    "chatnt backup"
//	13      1     version, 1
//	14      ...   entries
//	...     1     0, the end
//
// # An entry
//
//	offset  size  field
//	0       1     kind, see below
//	1       1     length n of the key
//	2       4     length m of the value, at most 1 MiB
//	6       n     key
//	6+n     m     value
//
// An identity begins what belongs to it, which goes up to the next: a profile may have
// several. Entries of one are in the order of their kinds, then of the bytes of their keys,
// each once. A kind of which an identity has one has an empty key, all others have one. The
// settings are the profile's, and stand with its first identity.
//
//	kind  of               key                         value
//	1     identity         local name                  see below
//	2     network          -                           as in an invite
//	3     nick             -                           UTF-8
//	4     sequence         -                           last of the person's key records, 8 bytes
//	5     settings         -                           config.toml
//	6     relay            number, decimal             descriptor, as it was signed
//	7     contact          hashid                      JSON
//	8     request          hashid                      JSON
//	9     conversation     hashid                      JSON, without a session
//	10    texts seen       hashid, space, chunk        ids, 8 bytes each
//	11    key record       hashid                      of a contact, as in the vault
//	12    outbox           hashid, space, place        JSON
//	13    not yet shown    number                      JSON
//	14    history          hashid, space, number       JSON
//	15    listing          -                           as in the vault
//
// The value of an identity is
//
//	offset  size  field
//	0       1     flags: 1 it is the one in use, 2 its node is hidden, 4 the ports in the
//	              settings are its own
//	1       8     when it was made, in seconds since 1970; 0 if that is not known
//	9       65    its keys, as in the vault
//
// Where nothing else is said, keys and values are those of a vault of version 2. Sessions,
// what came early in them, sealed frames, first messages, prekeys and the
// node's key have no kind: they are in no backup.
//
// The numbers of kinds are never used for anything else. A file with a kind, a key or
// a value that this version does not have gets another version.
package backup
