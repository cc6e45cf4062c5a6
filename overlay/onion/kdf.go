package onion

import (
	"crypto/rand"
	"crypto/sha3"
	"errors"
	"fmt"
	"io"
)

// kdfLabel separates this suite's keys from everything else. Label and inputs
// have fixed lengths and fit one block of SHAKE256 (136 bytes), as the output
// does: deriving the keys of a hop costs a single Keccak permutation.
const kdfLabel = "chatnt onion v1 x25519"

// PublicKey is a node's X25519 onion key for one epoch.
type PublicKey [ctSize]byte

// PrivateKey opens the packets addressed to one node in one epoch. It is safe
// for concurrent use. It has no serial form: it lives in memory only, and
// dropping it is what gives recorded headers forward secrecy.
type PrivateKey struct {
	pair keyPair // read-only
}

// GenerateKey makes the onion key of a new epoch.
func GenerateKey() (*PrivateKey, error) {
	return generateKey(rand.Reader)
}

func generateKey(random io.Reader) (*PrivateKey, error) {
	var secret [32]byte
	defer clear(secret[:])
	if _, err := io.ReadFull(random, secret[:]); err != nil {
		return nil, fmt.Errorf("cannot draw an onion key: %w", err)
	}
	k := new(PrivateKey)
	k.pair.init(&secret)
	return k, nil
}

// Public returns the key to publish in the node's relay descriptor.
func (k *PrivateKey) Public() PublicKey { return k.pair.public }

// hopKeys are the secrets that a sender and one hop share for one packet. They
// are filled in place and wiped by whoever declared them, so that no copy is
// left behind on the way. The payload key alone goes on, into a Header or
// ReplyKeys, which wipe it when they are used.
type hopKeys struct {
	header  [32]byte
	payload [32]byte
	tag     Tag
}

var errPoint = errors.New("this onion key or packet holds a point of low order")

// decapsulate recovers the keys of a packet from its ct, at the hop.
func (k *PrivateKey) decapsulate(keys *hopKeys, ct *[ctSize]byte) error {
	return keys.agree(&k.pair, ct, ct, &k.pair.public)
}

// encapsulate makes the keys for the hop that holds pk, with an ephemeral key
// pair that serves this hop of this packet and nothing else. Its public key is
// the ct from which the hop recovers them.
func encapsulate(keys *hopKeys, ephemeral *keyPair, pk *PublicKey) error {
	return keys.agree(ephemeral, (*[32]byte)(pk), &ephemeral.public, (*[32]byte)(pk))
}

func (k *hopKeys) agree(own *keyPair, point, ct, pk *[32]byte) error {
	var ss [32]byte
	defer clear(ss[:])
	if !own.shared(&ss, point) {
		return errPoint
	}
	k.derive(&ss, ct, pk)
	return nil
}

// derive computes SHAKE256(label | ss | ct | pk). Binding ct makes every change
// of it, even one that leaves the point as it is, another packet with another
// tag; binding pk ties the keys to the one hop that the sender chose.
func (k *hopKeys) derive(ss, ct, pk *[32]byte) {
	h := sha3.NewSHAKE256()
	_, _ = h.Write([]byte(kdfLabel))
	_, _ = h.Write(ss[:])
	_, _ = h.Write(ct[:])
	_, _ = h.Write(pk[:])
	_, _ = h.Read(k.header[:])
	_, _ = h.Read(k.payload[:])
	_, _ = h.Read(k.tag[:])
	h.Reset() // wipes its state
}

func (k *hopKeys) wipe() { *k = hopKeys{} }
