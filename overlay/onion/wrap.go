package onion

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// Wrap fills p with a packet that carries body, at most BodySize bytes, along
// path: one to Layers hops, of which the last is the end node. It goes to
// path[0].Node. Wrap keeps nothing of what it is given and leaves p alone when
// it fails.
func Wrap(p *Packet, path []Hop, body []byte) error {
	return wrap(rand.Reader, p, path, body)
}

// wrap draws from random, in one read: an ephemeral secret per hop (32 bytes
// each, first hop first), then the padding of the innermost header.
func wrap(random io.Reader, p *Packet, path []Hop, body []byte) error {
	if err := checkBody(body); err != nil {
		return err
	}
	var keys [Layers]hopKeys
	defer clear(keys[:])
	header, err := createHeader(&keys, random, path, Deliver, SURBID{})
	if err != nil {
		return err
	}
	*p.header() = header
	fillPayload(p.Payload(), body)
	for i := len(path) - 1; i >= 0; i-- {
		encryptPayload(&keys[i].payload, p.Payload())
	}
	return nil
}

// createHeader makes the header of a packet along path whose last block is of
// the given kind. It fills keys with those of the hops, which the caller wipes
// even after an error.
func createHeader(keys *[Layers]hopKeys, random io.Reader, path []Hop, kind Kind, id SURBID) (header [headerSize]byte, err error) {
	if err := checkPath(path); err != nil {
		return header, err
	}
	last := len(path) - 1
	phiAt := betaSize - last*padSize // where the filler begins in the innermost beta

	// Secrets and padding, together longest for a path of one hop.
	var drawn [ctSize + betaSize - finalBlockSize]byte
	secrets, padding := drawn[:ctSize*len(path)], drawn[ctSize*len(path):][:phiAt-finalBlockSize]
	defer clear(drawn[:])
	if _, err := io.ReadFull(random, drawn[:len(secrets)+len(padding)]); err != nil {
		return header, fmt.Errorf("cannot draw the secrets of a packet: %w", err)
	}

	var ephemerals [Layers]keyPair
	var ciphers [Layers]headerCipher
	defer clear(ephemerals[:])
	defer clear(ciphers[:])
	for i := range path {
		ephemerals[i].init((*[32]byte)(secrets[i*ctSize:]))
		if err := encapsulate(&keys[i], &ephemerals[i], &path[i].Key); err != nil {
			return header, fmt.Errorf("cannot wrap for hop %d of the path: %w", i+1, err)
		}
		ciphers[i].init(&keys[i].header)
	}

	// The innermost beta: final block, random bytes, filler. The random bytes
	// stand where relays of a longer path would have put their pads; zeros there
	// would show the end node how long the path was.
	beta := header[betaAt:]
	beta[0] = byte(kind)
	copy(beta[idAt:finalBlockSize], id[:])
	copy(beta[finalBlockSize:phiAt], padding)
	ciphers[last].xor(beta[:phiAt])
	filler(beta[phiAt:], ciphers[:last]) // it is what will arrive: encrypted already
	gamma := ciphers[last].tag(&ephemerals[last].public, beta)

	for i := last - 1; i >= 0; i-- {
		copy(beta[relayBlockSize:], beta) // what falls off the end is what the filler foretold
		putRelayBlock(beta[:relayBlockSize], &path[i], &path[i+1], &gamma, &ephemerals[i+1].public)
		ciphers[i].xor(beta)
		gamma = ciphers[i].tag(&ephemerals[i].public, beta)
	}
	copy(header[:gammaAt], ephemerals[0].public[:])
	copy(header[gammaAt:betaAt], gamma[:])
	return header, nil
}

// filler fills phi, the end of beta as it will reach the last hop: each relay
// appends a pad, which the relays after it decrypt along with the rest (Sphinx,
// section 3.6).
func filler(phi []byte, relays []headerCipher) {
	clear(phi)
	for i := range relays {
		end := phi[:(i+1)*padSize]
		subtle.XORBytes(end, end, relays[i].keystream()[betaSize-i*padSize:])
	}
}

func putRelayBlock(block []byte, hop, next *Hop, gamma *[gammaSize]byte, ct *[ctSize]byte) {
	clear(block)
	block[0] = byte(Forward)
	binary.BigEndian.PutUint32(block[delayAt:], uint32(hop.Delay/time.Millisecond))
	copy(block[nextAt:], next.Node[:])
	copy(block[nextGammaAt:], gamma[:])
	copy(block[nextCtAt:], ct[:])
}

func checkPath(path []Hop) error {
	if len(path) == 0 || len(path) > Layers {
		return fmt.Errorf("a path has 1 to %d hops, this has %d", Layers, len(path))
	}
	for i, hop := range path {
		if hop.Node.IsZero() {
			return fmt.Errorf("hop %d of the path names no node", i+1)
		}
		if i < len(path)-1 && (hop.Delay < 0 || hop.Delay > MaxDelay) {
			return fmt.Errorf("hop %d of the path has a delay of %v, the limit is %v", i+1, hop.Delay, MaxDelay)
		}
	}
	return nil
}

func checkBody(body []byte) error {
	if len(body) > BodySize {
		return fmt.Errorf("a packet carries %d bytes at most, this body has %d", BodySize, len(body))
	}
	return nil
}

// fillPayload writes delta in clear: zeros, length, body, zeros.
func fillPayload(delta *[PayloadSize]byte, body []byte) {
	// The body may be a slice of delta itself, so it moves before the rest is cleared.
	n := copy(delta[zerosSize+lengthSize:], body)
	clear(delta[:zerosSize])
	binary.BigEndian.PutUint16(delta[zerosSize:], uint16(n))
	clear(delta[zerosSize+lengthSize+n:])
}

var errPayload = errors.New("the payload of this packet was damaged on its way")

// readPayload returns the body of a delta in clear, not a copy. The wide-block
// cipher turns any change on the way into noise, so the zeros authenticate the
// whole.
func readPayload(delta *[PayloadSize]byte) ([]byte, error) {
	rest := delta[zerosSize+lengthSize:]
	n := int(binary.BigEndian.Uint16(delta[zerosSize:]))
	if !allZero(delta[:zerosSize]) || n > len(rest) || !allZero(rest[n:]) {
		clear(delta[:])
		return nil, errPayload
	}
	return rest[:n:n], nil
}

// allZero takes a time that depends on the length of b only.
func allZero(b []byte) bool {
	var acc byte
	for _, v := range b {
		acc |= v
	}
	return acc == 0
}

func encryptPayload(key *[32]byte, delta *[PayloadSize]byte) {
	var c hpolyc
	c.init(key)
	c.encrypt(delta[:])
	c.wipe()
}

func decryptPayload(key *[32]byte, delta *[PayloadSize]byte) {
	var c hpolyc
	c.init(key)
	c.decrypt(delta[:])
	c.wipe()
}
