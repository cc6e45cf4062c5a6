package onion

import (
	"crypto/ecdh"
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

// wrap draws from random, in this order: an ephemeral secret per hop (32 bytes
// each, first hop first), then the padding of the innermost header.
func wrap(random io.Reader, p *Packet, path []Hop, body []byte) error {
	if err := checkBody(body); err != nil {
		return err
	}
	header, keys, err := createHeader(random, path, Deliver, SURBID{})
	defer wipe(&keys)
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
// the given kind, and the keys of its hops, which the caller wipes even after
// an error.
func createHeader(random io.Reader, path []Hop, kind Kind, id SURBID) (header [headerSize]byte, keys [Layers]hopKeys, err error) {
	if err := checkPath(path); err != nil {
		return header, keys, err
	}
	var cts [Layers][ctSize]byte
	for i := range path {
		ephemeral, err := ephemeralKey(random)
		if err != nil {
			return header, keys, err
		}
		if cts[i], keys[i], err = encapsulate(ephemeral, &path[i].Key); err != nil {
			return header, keys, fmt.Errorf("cannot wrap for hop %d of the path: %w", i+1, err)
		}
	}

	// The innermost beta: final block, random bytes, filler. The random bytes
	// stand where relays of a longer path would have put their pads; zeros there
	// would show the end node how long the path was.
	last := len(path) - 1
	beta := header[betaAt:]
	beta[0] = byte(kind)
	copy(beta[idAt:finalBlockSize], id[:])
	phi := filler(keys[:last])
	if _, err := io.ReadFull(random, beta[finalBlockSize:betaSize-len(phi)]); err != nil {
		return header, keys, fmt.Errorf("cannot draw the padding of a header: %w", err)
	}
	c := newHeaderCipher(&keys[last].header)
	c.xor(beta)
	copy(beta[betaSize-len(phi):], phi) // it is what will arrive: encrypted already
	gamma := c.tag(&cts[last], beta)
	c.wipe()

	for i := last - 1; i >= 0; i-- {
		copy(beta[relayBlockSize:], beta) // what falls off the end is what the filler foretold
		putRelayBlock(beta[:relayBlockSize], &path[i], &path[i+1], &gamma, &cts[i+1])
		c := newHeaderCipher(&keys[i].header)
		c.xor(beta)
		gamma = c.tag(&cts[i], beta)
		c.wipe()
	}
	copy(header[:gammaAt], cts[0][:])
	copy(header[gammaAt:betaAt], gamma[:])
	return header, keys, nil
}

// filler computes phi, the end of beta as it will reach the last hop: each
// relay appends a pad, which the relays after it decrypt along with the rest
// (Sphinx, section 3.6).
func filler(relays []hopKeys) []byte {
	var phi [Relays * padSize]byte
	for i := range relays {
		var keystream [betaSize + padSize]byte
		c := newHeaderCipher(&relays[i].header)
		c.xor(keystream[:])
		c.wipe()
		subtle.XORBytes(phi[:], phi[:(i+1)*padSize], keystream[betaSize-i*padSize:])
	}
	return phi[:len(relays)*padSize]
}

func putRelayBlock(block []byte, hop, next *Hop, gamma *[gammaSize]byte, ct *[ctSize]byte) {
	clear(block)
	block[0] = byte(Forward)
	binary.BigEndian.PutUint32(block[delayAt:], uint32(hop.Delay/time.Millisecond))
	copy(block[nextAt:], next.Node[:])
	copy(block[nextGammaAt:], gamma[:])
	copy(block[nextCtAt:], ct[:])
}

// ephemeralKey reads the secret itself, because the standard library's
// GenerateKey does not promise to draw from the reader it is given.
func ephemeralKey(random io.Reader) (*ecdh.PrivateKey, error) {
	var secret [32]byte
	if _, err := io.ReadFull(random, secret[:]); err != nil {
		return nil, fmt.Errorf("cannot draw an ephemeral key: %w", err)
	}
	defer clear(secret[:])
	key, err := ecdh.X25519().NewPrivateKey(secret[:])
	if err != nil {
		return nil, fmt.Errorf("cannot make an ephemeral key: %w", err)
	}
	return key, nil
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
	c := newHPolyC(key)
	c.encrypt(delta[:])
	c.wipe()
}

func decryptPayload(key *[32]byte, delta *[PayloadSize]byte) {
	c := newHPolyC(key)
	c.decrypt(delta[:])
	c.wipe()
}
