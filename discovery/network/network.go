package network

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"chatnt/discovery/record"

	"github.com/multiformats/go-multiaddr"
	"golang.org/x/crypto/cryptobyte"
)

const suite = "x25519"

// ErrExpired says that an invite came too late.
var ErrExpired = errors.New("this invite has expired: ask for a new one")

// ID names a network: a hash of its settings.
type ID [sha256.Size]byte

// String returns 64 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Network is what a node must know to take part in a network. PSK is a secret.
type Network struct {
	Name   string   // 1 to 32 bytes, see New
	Hops   int      // relays and end node are Hops+1; 1 to 3, always 3 if Public
	Public bool     // anybody may join, and no two hops share an IP prefix
	PSK    [32]byte // closes a private network to others; zero if Public
	Nonce  [16]byte // sets two networks of one name apart

	Bootstrap []multiaddr.Multiaddr // at most 8, as record.CheckAddr wants them, followed by /p2p/ID
	Expires   time.Time             // of the invite, whole seconds; zero: never
}

// New makes a network with a random nonce and, if it is private, key. The name
// is 1 to 32 bytes of printable text in Unicode normal form C.
func New(name string, hops int, public bool) (*Network, error) {
	n := &Network{Name: name, Hops: hops, Public: public}
	rand.Read(n.Nonce[:]) // never fails
	if !public {
		rand.Read(n.PSK[:])
	}
	if err := n.check(); err != nil {
		return nil, err
	}
	return n, nil
}

// ID hashes the settings that the nodes of a network must agree on.
func (n *Network) ID() ID {
	var b cryptobyte.Builder
	b.AddBytes([]byte("chatnt network id\x00"))
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(n.Name)) })
	b.AddUint8(uint8(n.Hops))
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(suite)) })
	b.AddUint32(uint32(record.EpochLength / time.Second))
	b.AddUint8(bit(n.Public))
	b.AddBytes(n.Nonce[:])
	var psk [sha256.Size]byte
	if !n.Public {
		psk = sha256.Sum256(slices.Concat([]byte("chatnt network key\x00"), n.PSK[:]))
	}
	b.AddBytes(psk[:])
	return sha256.Sum256(b.BytesOrPanic())
}

// Protocol returns the name of one of the network's protocols, which differs
// from that of any other network: /chatnt/<half of the id>/<name>.
func (n *Network) Protocol(name string) string {
	id := n.ID()
	return "/chatnt/" + hex.EncodeToString(id[:16]) + "/" + name
}

// CheckTime returns ErrExpired when the invite is too old at now.
func (n *Network) CheckTime(now time.Time) error {
	if !n.Expires.IsZero() && !now.Before(n.Expires) {
		return ErrExpired
	}
	return nil
}

// check refuses settings that no network has.
func (n *Network) check() error {
	if err := checkName(n.Name); err != nil {
		return err
	}
	if n.Hops < 1 || n.Hops > maxHops {
		return fmt.Errorf("a network has 1 to %d hops, not %d", maxHops, n.Hops)
	}
	if n.Public && n.Hops != maxHops {
		return fmt.Errorf("a public network has %d hops, not %d", maxHops, n.Hops)
	}
	if n.Public != (n.PSK == [32]byte{}) {
		return errors.New("a private network has a pre-shared key and a public one has none")
	}
	if !n.Expires.IsZero() && (n.Expires.Unix() < 1 || n.Expires.Unix() > maxUnix) {
		return errors.New("the expiry of the invite is no date")
	}
	if len(n.Bootstrap) > MaxBootstrap {
		return fmt.Errorf("an invite has at most %d bootstrap addresses, not %d", MaxBootstrap, len(n.Bootstrap))
	}
	for i, a := range n.Bootstrap {
		if err := checkBootstrap(a); err != nil {
			return err
		}
		if slices.ContainsFunc(n.Bootstrap[:i], a.Equal) {
			return errors.New("an invite has the same bootstrap address twice")
		}
	}
	return nil
}

// checkBootstrap wants an address that anybody can dial and the Ed25519 node
// that answers there.
func checkBootstrap(a multiaddr.Multiaddr) error {
	last := len(a) - 1
	if last < 1 || a[last].Protocol().Code != multiaddr.P_P2P || !isEd25519(a[last].RawValue()) {
		return errors.New("a bootstrap address does not end in /p2p and the id of a node with an Ed25519 key")
	}
	if err := record.CheckAddr(a[:last]); err != nil {
		return fmt.Errorf("a bootstrap address is not usable: %w", err)
	}
	return nil
}

// isEd25519 tells the peer ids of Ed25519 keys, which contain the key: an
// identity multihash (0x00, 36 bytes) of a protobuf of type 1 and 32 bytes
// (libp2p peer id specification).
func isEd25519(peer []byte) bool {
	const prefix = "\x00\x24\x08\x01\x12\x20"
	return len(peer) == len(prefix)+32 && string(peer[:len(prefix)]) == prefix
}

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
