// Package record holds the signed records that the DHT keeps: a person's key
// record, the same sealed for those who have a link, and a node's relay
// descriptor.
//
// All are self-certifying: the DHT key is a hash of the public key inside, so
// a reader re-hashes it, checks the signature, and need not trust whoever
// served the bytes. All begin alike; every integer is big endian.
//
// Key record, 1371 bytes and the inbox, at most [MaxKeyRecord]:
//
//	offset  size  field
//	0       1     version, 1
//	1       32    identity, an Ed25519 public key
//	33      8     sequence
//	41      8     expires, unix seconds
//	49      32    agreement, the X25519 identity key
//	81      4     prekey id
//	85      32    prekey, an X25519 public key
//	117     4     KEM prekey id
//	121     1184  KEM prekey, an ML-KEM-768 encapsulation key (FIPS 203)
//	1305    2     length n of the inbox
//	1307    n     inbox: kind (1), then for kind 1 a node id (32)
//	1307+n  64    signature by identity
//
// A key record is withdrawn when its inbox is at the node id of 32 bytes 0xff,
// which no key hashes to, see [Withdrawal].
//
// Unlisted record, always 2600 bytes:
//
//	offset  size  field
//	0       1     version, 1
//	1       32    blinded key, an Ed25519 public key
//	33      8     sequence
//	41      8     expires, unix seconds
//	49      24    nonce
//	73      2463  sealed: length (2), a key record of that length, at most 2445
//	              bytes, zeros up to 2447, and 16 bytes that authenticate them
//	2536    64    signature by the blinded key
//
// How it is sealed and where it is kept opens [LinkKey].
//
// Relay descriptor, 375 bytes and the addresses, at most [MaxDescriptor]:
//
//	offset  size  field
//	0       1     version, 1
//	1       32    node, an Ed25519 public key
//	33      8     sequence
//	41      8     expires, unix seconds
//	49      1     flags: 1 relay, 2 withdrawn
//	50      4     first epoch, unix hours
//	54      256   onion keys of eight epochs, X25519 public keys
//	310     1     number of addresses, at most 4
//	311     n     addresses, each a length (1, at most 64) and a binary multiaddr
//	311+n   64    signature by node
//
// A signature is Ed25519 over a name of the kind of record, ended by a zero
// byte, the 32-byte id of the network, and then the very bytes carried before
// the signature; for a key record inside an unlisted one the link key comes
// after the network. A record of one network or kind is therefore worth nothing
// in another, and nothing is re-encoded to be verified.
//
// There is one encoding of each record: whatever parses encodes to the same
// bytes again. New inbox kinds and flags come with a new version, because a
// reader cannot tell one that it does not know from a damaged one.
package record

import "time"

// Limits of the format.
const (
	MaxKeyRecord  = 2600 // bytes of a key record, signature included
	MaxDescriptor = 512  // bytes of a relay descriptor, signature included
	Epochs        = 8    // onion keys in a descriptor, one per epoch
	MaxAddrs      = 4    // addresses in a descriptor
	MaxAddr       = 64   // bytes of one address, in binary
)

// Times that readers enforce.
const (
	EpochLength        = time.Hour           // for which an onion key is used
	KeyRecordLifetime  = 14 * 24 * time.Hour // the furthest expiry of a key record, listed or not
	DescriptorLifetime = 6 * time.Hour       // the furthest expiry of a descriptor
	maxSequenceLead    = 24 * time.Hour      // by which a sequence may be ahead of the clock

	// ClockSkew is by how much the clocks of two honest nodes may differ: each may
	// be five minutes off, one of them ahead and the other behind. A node whose
	// clock is further off is told so, because what it signs may be refused.
	ClockSkew = 2 * 5 * time.Minute
)

const (
	version = 1

	sizeHeader    = 1 + 32 + 8 + 8
	sizeSignature = 64
	minKeyRecord  = sizeHeader + 32 + 4 + 32 + 4 + 1184 + 2 + sizeSignature
	minDescriptor = sizeHeader + 1 + 4 + Epochs*32 + 1 + sizeSignature

	// An unlisted record is as long as the longest listed one, whatever is in it.
	sizeUnlisted  = MaxKeyRecord
	sizeNonce     = 24 // of XChaCha20-Poly1305
	sizeTag       = 16
	sizePlaintext = sizeUnlisted - sizeHeader - sizeNonce - sizeTag - sizeSignature
	maxSealed     = sizePlaintext - 2 // bytes of the key record in it

	keyRecordDomain  = "chatnt key record\x00"
	sealedDomain     = "chatnt unlisted key record\x00" // of a key record inside an unlisted one
	unlistedDomain   = "chatnt unlisted record\x00"
	descriptorDomain = "chatnt relay descriptor\x00"

	// maxUnix keeps every time that parses far inside what time.Time can add
	// and compare; it is in the year 36812.
	maxUnix = 1<<40 - 1
)
