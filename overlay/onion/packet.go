package onion

import (
	"time"

	"chatnt/discovery/hashid"
)

// The numbers below are the wire format: changing one makes another network.
const (
	// Relays is the number of relays on a full path.
	Relays = 3
	// Layers is the greatest number of hops of a path: the relays, and the end
	// node that handles the payload.
	Layers = Relays + 1

	// Size is the length of every packet, in bytes.
	Size = 4096
	// PayloadSize is the length of delta, the encrypted payload, in bytes.
	PayloadSize = Size - headerSize
	// BodySize is the most a packet carries for its user, in bytes.
	BodySize = PayloadSize - zerosSize - lengthSize
	// SURBSize is the length of a single-use reply block, in bytes.
	SURBSize = nodeSize + headerSize + seedSize

	// MaxDelay is the longest a packet may ask a relay to hold it. It is far
	// beyond any delay a sender draws, and far below a key epoch, so it bounds
	// what a relay has to keep without ever being met by chance.
	MaxDelay = time.Minute
)

// The parts of a header, in bytes.
const (
	ctSize    = 32 // ct: the sender's ephemeral X25519 public key
	gammaSize = 16 // gamma: Poly1305 tag over beta, with ct as associated data
	nodeSize  = 32

	relayBlockSize = 8 + nodeSize + gammaSize + ctSize // the note's B
	finalBlockSize = 8 + idSize
	betaSize       = Relays*relayBlockSize + finalBlockSize
	headerSize     = ctSize + gammaSize + betaSize

	idSize     = 16 // SURB id
	seedSize   = 32 // SURB key seed
	zerosSize  = 16 // zeros before the body: the payload's end-to-end check
	lengthSize = 2
)

// Offsets into a packet.
const (
	gammaAt = ctSize
	betaAt  = gammaAt + gammaSize
	deltaAt = betaAt + betaSize
)

// Offsets into a relay block and, up to the SURB id, a final block.
const (
	delayAt     = 4
	nextAt      = 8
	nextGammaAt = nextAt + nodeSize
	nextCtAt    = nextGammaAt + gammaSize
	idAt        = 8
)

// Offsets into a SURB.
const (
	surbHeaderAt = nodeSize
	surbSeedAt   = surbHeaderAt + headerSize
)

// Packet is one packet as it stands on the wire between two nodes.
type Packet [Size]byte

// Payload returns the encrypted payload of p, not a copy.
func (p *Packet) Payload() *[PayloadSize]byte {
	return (*[PayloadSize]byte)(p[deltaAt:])
}

func (p *Packet) header() *[headerSize]byte {
	return (*[headerSize]byte)(p[:deltaAt])
}

// Hop is one step of a path.
type Hop struct {
	Node  hashid.NodeID // whom the packet is sent to
	Key   PublicKey     // its onion key of the current epoch
	Delay time.Duration // how long it holds the packet, in whole milliseconds up to MaxDelay; unused at the last hop
}

// Kind says what a packet's layer asks its node to do. The numbers are the
// wire's cmd byte; new ones are only ever added at the end.
type Kind uint8

const (
	// Forward: hold the packet for Delay, then pass it on to Next.
	Forward Kind = 1
	// Deliver: the payload is for this node.
	Deliver Kind = 2
	// Reply: this node made the SURB that brought the packet here.
	Reply Kind = 3
)

// Tag identifies one packet at one hop. A node must not act on a tag twice.
type Tag [16]byte

// SURBID tells its creator which of its reply blocks came back.
type SURBID [idSize]byte
