// Package network describes a network: its settings, the id they hash to, and
// the invite that carries them to others.
//
// An invite is one line of text: "chatnt:" and bech32m (BIP 350, with ':' where
// it has '1', and without its limit on length) over these bytes. It may be
// written in capitals altogether, which makes a smaller QR code.
//
//	offset  size  field
//	0       1     version, 1
//	1       n     entries: type (1), length of the value (2, big endian), value
//
//	type  size    value
//	0x01  <= 105  a bootstrap address, a binary multiaddr ending in /p2p; at most 8 of them
//	0x81  <= 32   name of the network, UTF-8
//	0x82  2       hops, 1 to 3; then 1 for a public network, 0 for a private one
//	0x83  16      nonce
//	0x84  32      pre-shared key; private networks only
//	0x85  8       unix seconds at which the invite expires; left out if never
//	0x86  32      hashid of the person who invites
//	0x87  32      link key of that person, if unlisted (record.LinkKey)
//
// Entries stand in ascending order of type, none is 0, and only 0x01 repeats. An invite to
// a network has 0x81, 0x82 and 0x83, and 0x84 if it is private; one to a person
// has 0x86, and 0x87 if the person is unlisted and so not to be found without;
// one to both has all of them, and one to a person alone nothing else.
// A type with its high bit set is critical: a reader that does not know it must
// refuse the invite, because without it the rest means something else. It
// passes over an unknown type without that bit. That is why a reader from before
// 0x87 says that it needs another version, not that the person is not to be found.
//
// The checksum finds every wrong character and every two neighbours that changed
// places, at any length that is read; another error, such as a cut, escapes it once in
// 2^30 times.
//
// The id of a network is SHA-256 over everything that its nodes must agree on:
//
//	size  field
//	18    "chatnt network id" and a zero byte
//	1+n   length and name
//	1     hops
//	1+n   length and name of the onion suite, "x25519"
//	4     seconds in a key epoch, big endian
//	1     1 for a public network: no two hops of a path share an IP prefix
//	16    nonce
//	32    private: SHA-256 of "chatnt network key", a zero byte and the pre-shared key; public: zeros
//
// The pre-shared key has 256 random bits, so the id, which names protocols on
// the wire, does not help to guess it. Bootstrap addresses and the expiry are
// the invite's, not the network's.
package network

import "chatnt/discovery/record"

// MaxBootstrap is how many addresses an invite names at the most.
const MaxBootstrap = 8

const (
	version = 1

	maxHops  = 3
	maxName  = 32   // bytes of a network's name
	maxText  = 4096 // bytes of an invite's text, surrounding space included
	maxBytes = maxText * 5 / 8

	// maxBootstrapAddr bounds a bootstrap address in binary: one that
	// record.CheckAddr wants, the /p2p code, a length and an Ed25519 key's id.
	maxBootstrapAddr = record.MaxAddr + 2 + 1 + 38

	critical = 0x80 // bit of an entry's type
)

// Types of entries, append-only.
const (
	entryBootstrap uint8 = 1
	entryName      uint8 = critical | 1
	entryRules     uint8 = critical | 2
	entryNonce     uint8 = critical | 3
	entryPSK       uint8 = critical | 4
	entryExpires   uint8 = critical | 5
	entryPerson    uint8 = critical | 6
	entryLink      uint8 = critical | 7
)
