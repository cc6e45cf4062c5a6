// Package ratchet is the conversation between two identities that nobody else can
// read: PQXDH (Signal, "The PQXDH Key Agreement Protocol", revision 3) from a
// published key record, then the Double Ratchet with header encryption (Signal,
// "The Double Ratchet Algorithm", section 4), with a fresh ML-KEM-768 exchange mixed
// into the root key in every round trip, so that it heals from a compromise against
// a quantum computer, too. It is pure: bytes, keys and the time in, bytes out.
//
// # Names
//
// A is who starts a session, B who answers. IK is an X25519 identity key, ED the
// Ed25519 identity that it is bound to, SPK and PQSPK are the X25519 and ML-KEM-768
// prekeys in B's key record, EK is A's ephemeral X25519 key. DH is X25519 (RFC 7748;
// an all-zero result is refused), HKDF is HKDF-SHA256 (RFC 5869), HMAC is
// HMAC-SHA256, AEAD is ChaCha20-Poly1305 (RFC 8439). | joins bytes, integers are big
// endian. Every label ends in a zero byte, which is not shown.
//
// # The frame
//
// Every frame has [FrameSize] bytes, and without the keys looks like as many random
// ones, whatever it carries. A hello is a frame of a session that has not been
// answered yet:
//
//	offset  size  field
//	0       32    EK, as an Elligator 2 representative
//	32      1088  KEM ciphertext ct for PQSPK, masked
//	1120    144   AEAD of: ED of A (32), IK of A (32), signature (64)
//	1264    32    salt, random
//	1296    57    AEAD of the header: 41 bytes
//	1353    1847  AEAD of the body: 1831 bytes
//
// and every other frame is
//
//	0       32    salt, random
//	32      1321  AEAD of the header: 41 bytes and a slot of 1264
//	1353    1847  AEAD of the body: 1831 bytes
//
// with the header
//
//	0       32    ratchet public key, X25519
//	32      4     PN, messages in the sender's previous chain
//	36      4     N, number of this message in its chain, from 0
//	40      1     what the slot carries: 0 nothing, 1 an encapsulation key, 2 a ciphertext
//	41      1264  slot, only outside a hello: ML-KEM-768 encapsulation key (1184) or
//	              ciphertext (1088), then zeros
//
// A hello's slot kind is 0. The hellos of a session all begin with the same 1264 bytes; once B has accepted one,
// it refuses those that begin with others. The representative is the field element of RFC 9380, section 6.7.1
// (Z = 2, curve25519), below 2^254 and little endian; its two highest bits are random and are not
// read. A random point of small order is added to EK, so that it lies anywhere on the curve.
//
// # PQXDH
//
// The signature is Ed25519 by ED of A over "chatnt identity key 1" | network | ED of A |
// IK of A. It binds two keys and says nothing of the conversation. With
//
//	DH1 = DH(IK of A, SPK)   DH2 = DH(EK, IK of B)   DH3 = DH(EK, SPK)
//	SS, ct = ML-KEM-768 encapsulation to PQSPK
//	T = SHA-256("chatnt pqxdh transcript 1" | network | ED of A | IK of A | ED of B | IK of B |
//	            SPK | PQSPK | EK | ct)
//
// where EK is the public key, 32 bytes, not its representative, are derived, all by HKDF with an
// empty salt:
//
//	mask key   32 bytes from DH3, info "chatnt pqxdh mask 1" | EK | SPK
//	name key   32 bytes from DH3 | SS, info "chatnt pqxdh name 1" | EK | SPK
//	SK | HKA | NHKB   3 x 32 bytes from 32 bytes of 0xFF | DH1 | DH2 | DH3 | SS,
//	           info "chatnt pqxdh session 1" | T
//
// The mask is ChaCha20 (RFC 8439) under the mask key, nonce 0, counter 0, added to ct by
// exclusive or. ED, IK and signature are sealed with the name key, nonce 0, associated data
// the 1,120 bytes before them. Nothing tells B which prekeys were meant: it tries its own, the
// newest first. T names the session.
//
// # The Double Ratchet
//
// A begins with RK = SK, sending header key HKs = HKA and next receiving header key
// NHKr = NHKB, generates a ratchet key pair DHs and takes SPK for B's ratchet key:
//
//	RK | CKs | NHKs = ROOT(RK, DH(DHs, SPK), nothing)
//
// B begins with RK = SK, ratchet key pair SPK, NHKs = NHKB and NHKr = HKA. PN is 0 in the first chain of each. Then
//
//	ROOT(RK, dh, ss) = 3 x 32 bytes of HKDF, salt RK, from dh | ss, info "chatnt ratchet root 1"
//	chain step:        message key MK = HMAC(CK, 0x01), next CK = HMAC(CK, 0x02)
//	header:            AEAD under HKs, nonce the first 12 bytes of the salt, associated data
//	                   "chatnt ratchet header 1" | T
//	body:              key (32) | nonce (12) by HKDF, salt the frame's salt, from MK, info "chatnt ratchet body 1";
//	                   associated data T | the sealed header
//
// The salt in the body's key is why a state that was rolled back never reuses a key with a
// nonce: the second message under one MK has another salt.
//
// A header that opens under NHKr begins a new receiving chain, unless a sending chain is still to begin
// that the peer, to come to this one, must have seen: then this state is an older copy. Otherwise the keys of
// what is missing of the old one, up to PN, are kept, HKr becomes NHKr, and
//
//	RK | CKr | NHKr = ROOT(RK, DH(DHs, the header's ratchet key), ss)
//
// The new sending chain begins with the next message that is sealed, not before: PN = Ns, Ns = 0,
// HKs becomes NHKs, DHs is a new key pair, and
//
//	RK | CKs | NHKs = ROOT(RK, DH(DHs, DHr), ss)
//
// # The KEM in it
//
// A puts an encapsulation key, generated with the sending chain, in the slot of every message of each
// of its sending chains but the first. B encapsulates to it when it begins its next sending chain; ss goes into that
// ROOT, and the ciphertext in the slot of every message of that chain. A decapsulates when it begins
// the receiving chain, with the same ss, and forgets the decapsulation key. ss is empty for chains
// without a ciphertext: B's first, A's all. So each round trip mixes in a secret of which neither side knew anything
// before, and which one of them made with randomness of its own, the other with a key of its own.
//
// # Limits
//
// A message is opened if it is at most [MaxSkip] ahead of what came before it in its chain, and so
// are the keys that a new chain skips in the old. At most MaxSkip keys are kept in all, the oldest go first, and none for
// longer than [SkippedLife]. Of the current receiving chain, the eight before it, and those of which keys are kept,
// the header key, the ratchet key and the end are remembered; of the last 64 frames of theirs that were opened the number
// and the first 8 bytes of the header's authenticator. A header with another ratchet key than its
// chain's, past the end that the next chain's PN gave its chain, with a PN below what has come of the chain
// before, or with a number that another remembered frame used, comes from a state that was rolled back, see [ErrRolledBack].
// Of a number that was used without a trace of by which frame, nothing is said but that: [ErrSpent].
//
// # What it does not give
//
// Authentication is classical: who can compute discrete logarithms can speak as somebody else, but not read what
// was said before. A first message can be opened by whoever takes B's prekeys before they die. Who takes B's prekey
// and identity keys can, as in every handshake of this kind, also pretend to B to be anybody.
package ratchet
