// Package onion is the packet that crosses the overlay: always 4,096 bytes, a
// layer of encryption per hop, and after every hop unrecognisable to whoever
// saw it before. It is Sphinx's format with Outfox's key agreement: a fresh
// X25519 key per hop instead of one blinded along the path. The package is
// pure: bytes in, bytes out, no goroutines, no clock.
//
// # The packet
//
// Numbers are big-endian unless said otherwise. N = 4 layers: three relays and
// the end node. There is no version byte: a network has one suite, named by the
// stream protocol id, because two suites on one network are two anonymity sets.
//
//	offset  size  field
//	0       32    ct     ephemeral X25519 public key for this hop
//	32      16    gamma  Poly1305 tag over beta, with ct as associated data
//	48      288   beta   encrypted routing: 3 relay blocks and a final block
//	336     3760  delta  encrypted payload
//
// What a relay finds at the start of the opened beta, 88 bytes; the rest of
// beta is the next hop's, still sealed:
//
//	0       1     cmd    1 forward
//	1       3     zeros
//	4       4     delay in milliseconds, 60,000 at most
//	8       32    next   node id
//	40      16    gamma  for the next hop
//	56      32    ct     for the next hop
//
// What the last hop finds, 24 bytes; the rest is noise:
//
//	0       1     cmd    2 deliver, 3 reply
//	1       7     zeros
//	8       16    SURB id; zeros for cmd 2
//
// delta, when its last layer is off:
//
//	0       16    zeros  the integrity check
//	16      2     length of the body, 3,742 at most
//	18      ...   body
//	...     ...   zeros
//
// A single-use reply block (SURB), 400 bytes:
//
//	0       32    node id of its first hop
//	32      336   header: ct, gamma and beta of a packet to its creator
//	368     32    seed: the key of one more layer over delta
//
// Whatever differs from this is refused, down to the bytes that are to be zero.
//
// # The keys of a hop
//
// With pk the hop's onion key of the epoch and ss = X25519(ephemeral, pk), never
// zero (RFC 7748, section 6.1):
//
//	SHAKE256("chatnt onion v1 x25519" | ss | ct | pk)
//	    -> header key 32 | payload key 32 | replay tag 16
//
//	header   ChaCha20-Poly1305 (RFC 8439), nonce zero; its keystream goes on
//	         past beta for another 88 bytes, the pad
//	payload  HPolyC-XChaCha20-AES-256, a cipher whose block is all of delta
//
// # Wrapping
//
// Agree on keys with each hop. Compute the filler phi: for each relay in turn,
// append 88 zeros to it and add the end of that relay's keystream, pad
// included. The innermost beta is the final block and random bytes, encrypted,
// and phi as it is. From there outwards: tag beta with ct; put the relay block
// that holds that tag and ct before it; cut the last 88 bytes, which are what
// the relay will reproduce as its pad; encrypt. Encrypt delta for the last hop,
// then the one before, up to the first.
//
// # Unwrapping
//
// Agree; derive; check gamma, and on failure drop the packet and tell nobody;
// decrypt beta followed by 88 zeros, which yields the block and the next beta;
// refuse a replay tag seen before, which costs no work on delta; decrypt delta;
// after the delay send on (next ct, next gamma, next beta, delta), or deliver
// if the zeros are there.
//
// # Replies
//
// The creator keeps the payload keys of the relays and the seed. Whoever uses
// the SURB encrypts delta under the seed and puts the header before it. Each
// relay, which cannot tell, "decrypts" delta; the creator encrypts it again
// under each relay's key, last first, undoes the seed, and checks the zeros.
//
// # Why it holds
//
//   - Shift, pad and filler keep the header's size and hide position and length
//     of the path: Danezis and Goldberg, "Sphinx" (IEEE S&P 2009).
//   - An independent key agreement per hop in place of a blinded one: Rial,
//     Piotrowska and Halpin, "Outfox" (arXiv 2412.19937). It costs 32 bytes a
//     hop, and with them goes the gap assumption that a blinded chain leans on:
//     Scherer, Weis and Strufe (arXiv 2312.08028).
//   - Hashing ct and pk along with ss makes the KEM's keys belong to one
//     ciphertext and one recipient, so that changing the ignored top bit of a
//     point, or readdressing it, makes another packet, which fails gamma.
//   - Random bytes, not zeros, fill the innermost header; with zeros the end
//     node reads off the length of the path: Kuhn, Beck and Strufe, "Breaking
//     and (partially) fixing provably secure onion routing" (IEEE S&P 2020).
//   - A relay cannot check a tag over the payload, as no tag could be foreseen
//     for a reply. A wide-block cipher takes its place: one flipped bit
//     garbles the whole payload at the next honest hop, so nothing an
//     accomplice further on could recognise survives, and the zeros at the end
//     fail but once in 2^128. HPolyC is a strong pseudorandom permutation if
//     ChaCha and AES are what they are taken for: Crowley and Biggers, IACR ToSC
//     2018(4). Each key encrypts one block.
//   - The header cipher's nonce never changes, and need not: its key serves one
//     header, since it comes from an ephemeral key that the sender forgets. The
//     same key comes up again only when the same ct is sent again, and then so
//     does the replay tag.
//   - Replays die by [ReplaySet], one per onion key. Dropping the key with its
//     set, every epoch, is the forward secrecy of headers.
//
// # What it does not do
//
// Anyone who holds a packet can destroy its payload unnoticed by the relays
// after. A dishonest first relay in league with a dishonest recipient can thus
// spoil one and see it fail, which tells them that the two are on one path.
// Every format with reply blocks shares this. Nor does the format hide when
// packets come and go: delays and cover traffic are the business of the layers
// above. X25519 does not withstand a quantum computer; what the body holds must
// be sealed end to end by other means, and links by theirs.
package onion
