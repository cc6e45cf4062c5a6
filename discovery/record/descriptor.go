package record

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"chatnt/discovery/hashid"

	"github.com/multiformats/go-multiaddr"
	"golang.org/x/crypto/cryptobyte"
)

// Flags say what a node offers.
type Flags uint8

// The flags. Their numbers are part of the wire format.
const (
	FlagRelay     Flags = 1 << iota // it forwards packets of others and has an address to be reached at
	FlagWithdrawn                   // it is gone; it offers nothing and has no address
)

// Descriptor is what a node publishes under its node id, for others to build
// paths through it or to it. A node that offers no relaying may be without an
// address: it is reached over the links it opened itself.
type Descriptor struct {
	Node       [32]byte              // Ed25519 public key; the node id is its hash
	FirstEpoch uint32                // the epoch of Keys[0]; the next key is for the next epoch
	Keys       [Epochs][32]byte      // X25519 public keys for onion packets
	Addrs      []multiaddr.Multiaddr // at most MaxAddrs, each as CheckAddr wants it, the preferred first
	Flags      Flags                 // at most one of them
	Sequence   uint64                // see NextSequence
	Expires    time.Time             // whole seconds, at most DescriptorLifetime ahead, not after the last key's epoch
}

// ID returns the node id that the descriptor belongs to.
func (d *Descriptor) ID() hashid.NodeID { return hashid.OfNode(d.Node[:]) }

// Key returns the onion key for an epoch, and whether the descriptor has it.
func (d *Descriptor) Key(epoch uint32) ([32]byte, bool) {
	if epoch < d.FirstEpoch || epoch-d.FirstEpoch >= Epochs {
		return [32]byte{}, false
	}
	return d.Keys[epoch-d.FirstEpoch], true
}

// KeyAt returns the onion key to use at now, and whether the descriptor has it:
// that of now's epoch, or the first one if its epoch is about to begin, for the
// clocks of this reader and the node may differ by ClockSkew.
func (d *Descriptor) KeyAt(now time.Time) ([32]byte, bool) {
	if key, ok := d.Key(Epoch(now)); ok {
		return key, true
	}
	if epoch := Epoch(now.Add(ClockSkew)); epoch == d.FirstEpoch {
		return d.Key(epoch)
	}
	return [32]byte{}, false
}

// Sign encodes the descriptor and signs it for a network with the node's
// private key. It refuses a descriptor that ParseDescriptor would refuse, and
// drops fractions of a second from Expires.
func (d *Descriptor) Sign(network [32]byte, key ed25519.PrivateKey) ([]byte, error) {
	if !owns(key, d.Node) {
		return nil, errors.New("signing the relay descriptor: the key is not that of its node")
	}
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("signing the relay descriptor: %w", err)
	}
	return seal(descriptorDomain, network[:], d.encode(), key), nil
}

// encode returns the bytes before the signature.
func (d *Descriptor) encode() []byte {
	b := cryptobyte.NewBuilder(make([]byte, 0, MaxDescriptor))
	header{d.Node, d.Sequence, unix(d.Expires)}.add(b)
	b.AddUint8(uint8(d.Flags))
	b.AddUint32(d.FirstEpoch)
	for _, k := range d.Keys {
		b.AddBytes(k[:])
	}
	b.AddUint8(uint8(len(d.Addrs)))
	for _, a := range d.Addrs {
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(a.Bytes()) })
	}
	return b.BytesOrPanic() // check has bounded every address
}

// ParseDescriptor reads a descriptor signed for a network: its structure, its
// signature, its keys and addresses, but not the time, for which see CheckTime.
// The result shares no memory with b. Errors satisfy IsForged, or are
// ErrVersion.
func ParseDescriptor(network [32]byte, b []byte) (*Descriptor, error) {
	h, s, err := open(descriptorDomain, network[:], b, minDescriptor, MaxDescriptor)
	if err != nil {
		return nil, err
	}
	d := &Descriptor{Node: h.key, Sequence: h.sequence, Expires: fromUnix(h.expires)}
	if !d.read(s) {
		return nil, forged("it is malformed")
	}
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", errForged, err)
	}
	return d, nil
}

// read reads the fields after the header.
func (d *Descriptor) read(s cryptobyte.String) bool {
	if !s.ReadUint8((*uint8)(&d.Flags)) || !s.ReadUint32(&d.FirstEpoch) {
		return false
	}
	for i := range d.Keys {
		if !s.CopyBytes(d.Keys[i][:]) {
			return false
		}
	}
	var n uint8
	if !s.ReadUint8(&n) || n > MaxAddrs {
		return false
	}
	for range n {
		var raw cryptobyte.String
		if !s.ReadUint8LengthPrefixed(&raw) || len(raw) > MaxAddr {
			return false
		}
		a, err := multiaddr.NewMultiaddrBytes(raw)
		if err != nil || !bytes.Equal(a.Bytes(), raw) {
			return false
		}
		d.Addrs = append(d.Addrs, a)
	}
	return s.Empty()
}

// CheckTime returns ErrExpired or ErrFuture when the descriptor is not good at
// now.
func (d *Descriptor) CheckTime(now time.Time) error {
	if d.FirstEpoch > Epoch(now.Add(ClockSkew)) {
		return ErrFuture
	}
	return checkTime(now, DescriptorLifetime, d.Expires, d.Sequence)
}

// check tests the values that the layout leaves open.
func (d *Descriptor) check() error {
	if d.FirstEpoch > math.MaxUint32-Epochs {
		return errors.New("its first epoch is no date")
	}
	// A descriptor outlives none of its keys, so a valid one has the key of the hour.
	if unix(d.Expires) > (uint64(d.FirstEpoch)+Epochs)*seconds(EpochLength) {
		return errors.New("it expires after its last key")
	}
	for _, k := range d.Keys {
		if err := checkX25519(k); err != nil {
			return err
		}
	}
	switch d.Flags {
	case 0:
	case FlagRelay:
		if len(d.Addrs) == 0 {
			return errors.New("it offers to relay and has no address")
		}
	case FlagWithdrawn:
		if len(d.Addrs) > 0 {
			return errors.New("it is withdrawn and has addresses")
		}
	default:
		return errors.New("its flags contradict each other or are not known")
	}
	return d.checkAddrs()
}

func (d *Descriptor) checkAddrs() error {
	if len(d.Addrs) > MaxAddrs {
		return fmt.Errorf("it has more than %d addresses", MaxAddrs)
	}
	size := minDescriptor
	for i, a := range d.Addrs {
		if err := CheckAddr(a); err != nil {
			return err
		}
		if slices.ContainsFunc(d.Addrs[:i], a.Equal) {
			return errors.New("it has the same address twice")
		}
		size += 1 + len(a.Bytes())
	}
	if size > MaxDescriptor {
		return fmt.Errorf("it would be longer than %d bytes: leave an address out", MaxDescriptor)
	}
	return nil
}
