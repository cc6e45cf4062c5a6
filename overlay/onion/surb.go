package onion

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"chatnt/discovery/hashid"
)

// SURB is a single-use reply block: it lets one packet reach its creator by a
// path that only the creator knows.
type SURB [SURBSize]byte

// ReplyKeys opens the reply that comes back by one SURB. It is not safe for
// concurrent use.
type ReplyKeys struct {
	relays [Relays][32]byte // payload keys, first relay first
	count  int              // of relays on the path
	seed   [32]byte
	spent  bool
}

var (
	errSURB      = errors.New("this is not an unused reply block")
	errReplyUsed = errors.New("a reply to this reply block was opened already")
)

// NewSURB makes a reply block whose path ends at its creator: the last hop is
// the creator's own node under its own onion key. The caller keeps the keys
// under the id until the reply comes, or the key epoch of a hop is over.
func NewSURB(path []Hop) (SURB, SURBID, *ReplyKeys, error) {
	return newSURB(rand.Reader, path)
}

// newSURB draws from random, in this order: id, seed, then as wrap does.
func newSURB(random io.Reader, path []Hop) (s SURB, id SURBID, k *ReplyKeys, err error) {
	k = new(ReplyKeys)
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return SURB{}, SURBID{}, nil, fmt.Errorf("cannot draw a reply block's id: %w", err)
	}
	if _, err := io.ReadFull(random, k.seed[:]); err != nil {
		return SURB{}, SURBID{}, nil, fmt.Errorf("cannot draw a reply block's seed: %w", err)
	}
	var keys [Layers]hopKeys
	defer clear(keys[:])
	header, err := createHeader(&keys, random, path, Reply, id)
	if err != nil {
		return SURB{}, SURBID{}, nil, err
	}
	k.count = len(path) - 1
	for i := range k.count {
		k.relays[i] = keys[i].payload
	}
	copy(s[:], path[0].Node[:])
	copy(s[surbHeaderAt:], header[:])
	copy(s[surbSeedAt:], k.seed[:])
	return s, id, k, nil
}

// ParseSURB reads a reply block that came in a body. Nothing in it can be
// verified but by using it; what nobody would have made is refused.
func ParseSURB(b []byte) (SURB, error) {
	if len(b) != SURBSize {
		return SURB{}, fmt.Errorf("a reply block has %d bytes, this has %d", SURBSize, len(b))
	}
	s := SURB(b)
	if s.First().IsZero() || s.spent() {
		return SURB{}, errSURB
	}
	return s, nil
}

// First returns the node to send the reply to.
func (s *SURB) First() hashid.NodeID { return hashid.NodeID(s[:surbHeaderAt]) }

// Use fills p with a packet that carries body, at most BodySize bytes, back to
// the creator of s. It goes to s.First(). All of s but its first node is wiped:
// a second packet would bear the same header, which tells every relay that the
// two belong together, and dies as a replay at the first of them.
func (s *SURB) Use(p *Packet, body []byte) error {
	if err := checkBody(body); err != nil {
		return err
	}
	if s.spent() {
		return errSURB
	}
	*p.header() = [headerSize]byte(s[surbHeaderAt:surbSeedAt])
	fillPayload(p.Payload(), body)
	encryptPayload((*[seedSize]byte)(s[surbSeedAt:]), p.Payload())
	clear(s[surbHeaderAt:])
	return nil
}

func (s *SURB) spent() bool { return allZero(s[surbSeedAt:]) || allZero(s[surbHeaderAt:surbSeedAt]) }

// Open decrypts, in place, the payload of a packet whose Header is of kind
// Reply and bears the id that k was made with, and returns its body, a slice of
// payload. It works once, and wipes the keys even when it fails: the replay tag
// of the header has been seen, so nothing more can come by this SURB.
func (k *ReplyKeys) Open(payload *[PayloadSize]byte) ([]byte, error) {
	if k.spent {
		return nil, errReplyUsed
	}
	// Each relay has decrypted a layer that was never there; put them back.
	for i := k.count - 1; i >= 0; i-- {
		encryptPayload(&k.relays[i], payload)
	}
	decryptPayload(&k.seed, payload)
	k.Wipe()
	return readPayload(payload)
}

// Wipe forgets the keys: nothing that comes back can be opened any more.
func (k *ReplyKeys) Wipe() { *k = ReplyKeys{spent: true} }
