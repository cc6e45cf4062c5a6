package onion

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha3"
	"errors"
	"fmt"
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
	// key is parsed once per epoch because parsing costs as much as opening a
	// packet: the standard library computes the public key as it parses.
	key *ecdh.PrivateKey
	pub PublicKey
}

// GenerateKey makes the onion key of a new epoch.
func GenerateKey() (*PrivateKey, error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot make an onion key: %w", err)
	}
	return newPrivateKey(key), nil
}

func newPrivateKey(key *ecdh.PrivateKey) *PrivateKey {
	return &PrivateKey{key: key, pub: PublicKey(key.PublicKey().Bytes())}
}

// Public returns the key to publish in the node's relay descriptor.
func (k *PrivateKey) Public() PublicKey { return k.pub }

// hopKeys are the secrets that a sender and one hop share for one packet.
type hopKeys struct {
	header  [32]byte
	payload [32]byte
	tag     Tag
}

var errPoint = errors.New("this onion key or packet holds a point of low order")

// decapsulate recovers the keys of a packet from its ct, at the hop.
func (k *PrivateKey) decapsulate(ct *[ctSize]byte) (hopKeys, error) {
	return agree(k.key, ct[:], ct, (*[ctSize]byte)(&k.pub))
}

// encapsulate makes the keys for the hop that holds pk, at the sender, with an
// ephemeral key that serves this hop of this packet and nothing else.
func encapsulate(ephemeral *ecdh.PrivateKey, pk *PublicKey) (ct [ctSize]byte, keys hopKeys, err error) {
	copy(ct[:], ephemeral.PublicKey().Bytes())
	keys, err = agree(ephemeral, pk[:], &ct, (*[ctSize]byte)(pk))
	return ct, keys, err
}

func agree(own *ecdh.PrivateKey, peer []byte, ct, pk *[ctSize]byte) (hopKeys, error) {
	point, err := ecdh.X25519().NewPublicKey(peer)
	if err != nil {
		return hopKeys{}, fmt.Errorf("cannot read an onion key: %w", err)
	}
	// ECDH refuses an all-zero result (RFC 7748, section 6.1): a packet made
	// with a low-order point would have the same keys at every node.
	ss, err := own.ECDH(point)
	if err != nil {
		return hopKeys{}, errPoint
	}
	defer clear(ss)
	return derive(ss, ct, pk), nil
}

// derive computes SHAKE256(label | ss | ct | pk). Binding ct makes every change
// of it, even one that leaves the point as it is, another packet with another
// tag; binding pk ties the keys to the one hop that the sender chose.
func derive(ss []byte, ct, pk *[ctSize]byte) (keys hopKeys) {
	h := sha3.NewSHAKE256()
	_, _ = h.Write([]byte(kdfLabel))
	_, _ = h.Write(ss)
	_, _ = h.Write(ct[:])
	_, _ = h.Write(pk[:])
	_, _ = h.Read(keys.header[:])
	_, _ = h.Read(keys.payload[:])
	_, _ = h.Read(keys.tag[:])
	h.Reset()
	return keys
}

func (k *hopKeys) wipe() { *k = hopKeys{} }

func wipe(keys *[Layers]hopKeys) { *keys = [Layers]hopKeys{} }
