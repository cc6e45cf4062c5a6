package onion

import (
	"encoding/binary"
	"errors"
	"time"

	"chatnt/discovery/hashid"
)

var errHeader = errors.New("this packet is not for this onion key, or its header was damaged")

// Header is what a node learns from the header of a packet, and what it needs
// to act on it. The order is Open, test Tag against the key's ReplaySet, and
// only then, by Kind, one of Strip, Deliver, or ReplyKeys.Open.
//
// A Header is not safe for concurrent use, and good for one of them, once.
type Header struct {
	Kind  Kind
	Tag   Tag
	Next  hashid.NodeID // Forward: the node to pass the packet on to
	Delay time.Duration // Forward: how long to hold it, at most MaxDelay
	Reply SURBID        // Reply: which SURB brought it

	payload [32]byte         // key of this node's layer of delta
	next    [headerSize]byte // Forward: the header to send on
	spent   bool
}

// Open reads the header of p and leaves p as it is, so that a node with the
// keys of several epochs may try one after the other. The error says no more
// than that p is to be dropped, and nobody is to be told.
func (k *PrivateKey) Open(p *Packet) (h Header, err error) {
	ct := (*[ctSize]byte)(p[:gammaAt])
	var keys hopKeys
	defer keys.wipe()
	if err := k.decapsulate(&keys, ct); err != nil {
		return Header{}, errHeader
	}
	var c headerCipher
	c.init(&keys.header)
	defer c.wipe()
	if !c.verify(ct, p[gammaAt:betaAt], p[betaAt:deltaAt]) {
		return Header{}, errHeader
	}
	// Opening beta followed by zeros makes the pad, and puts it in its place.
	var beta [betaSize + padSize]byte
	copy(beta[:], p[betaAt:deltaAt])
	c.xor(beta[:])

	h.Kind, h.Tag = Kind(beta[0]), keys.tag
	if !h.parse(&beta) {
		return Header{}, errHeader
	}
	if h.Kind != Reply { // a reply is opened with its SURB's keys alone
		h.payload = keys.payload
	}
	return h, nil
}

// parse reads the first block of an opened beta. It refuses whatever Wrap and
// NewSURB do not write: what is reserved must not become a covert channel.
func (h *Header) parse(beta *[betaSize + padSize]byte) bool {
	switch h.Kind {
	case Forward:
		ms := binary.BigEndian.Uint32(beta[delayAt:])
		h.Next = hashid.NodeID(beta[nextAt:nextGammaAt])
		h.Delay = time.Duration(ms) * time.Millisecond
		copy(h.next[:gammaAt], beta[nextCtAt:])
		copy(h.next[gammaAt:betaAt], beta[nextGammaAt:])
		copy(h.next[betaAt:], beta[relayBlockSize:])
		return allZero(beta[1:delayAt]) && h.Delay <= MaxDelay && !h.Next.IsZero()
	case Deliver:
		return allZero(beta[1:finalBlockSize])
	case Reply:
		h.Reply = SURBID(beta[idAt:finalBlockSize])
		return allZero(beta[1:idAt])
	default:
		return false
	}
}

// Strip takes this node's layer off p, which becomes the packet to send to
// h.Next after h.Delay. It panics unless h is of kind Forward and unused: h is
// the header that Open read from p.
func (h *Header) Strip(p *Packet) {
	h.spend(Forward)
	*p.header() = h.next
	decryptPayload(&h.payload, p.Payload())
	clear(h.payload[:])
}

// Deliver takes the last layer off p and returns its body, a slice of p. The
// error means that the payload was tampered with on its way; nothing of it is
// left then. It panics unless h is of kind Deliver and unused.
func (h *Header) Deliver(p *Packet) ([]byte, error) {
	h.spend(Deliver)
	decryptPayload(&h.payload, p.Payload())
	clear(h.payload[:])
	return readPayload(p.Payload())
}

// spend guards against a second use, which would run the cipher under the key
// of zeros that the first one left.
func (h *Header) spend(kind Kind) {
	if h.Kind != kind || h.spent {
		panic("onion: header used twice, or for what it is not")
	}
	h.spent = true
}
