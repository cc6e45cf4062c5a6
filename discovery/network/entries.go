package network

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"

	"github.com/multiformats/go-multiaddr"
	"golang.org/x/crypto/cryptobyte"
)

// maxUnix keeps every time that parses far inside what time.Time can compare;
// it is in the year 36812.
const maxUnix = 1<<40 - 1

// Append appends the network, in the bytes of an invite, for storage. They
// contain the pre-shared key.
func (n *Network) Append(b []byte) ([]byte, error) {
	return (&Invite{Network: n}).append(b)
}

// Parse reads what Append wrote. It passes over entries that it does not know
// and that are not critical; they are lost when it is appended again. Errors
// are those of ParseInvite but for ErrChecksum.
func Parse(b []byte) (*Network, error) {
	i, err := parse(b)
	if err != nil {
		return nil, err
	}
	if i.Network == nil || !i.Person.IsZero() {
		return nil, notInvite(errors.New("it is not a network alone"))
	}
	return i.Network, nil
}

func (i *Invite) append(b []byte) ([]byte, error) {
	n := i.Network
	if n == nil && i.Person.IsZero() {
		return nil, errBare
	}
	if err := i.checkLink(); err != nil {
		return nil, err
	}
	if n != nil {
		if err := n.check(); err != nil {
			return nil, err
		}
	}
	w := cryptobyte.NewBuilder(b)
	w.AddUint8(version)
	if n != nil {
		for _, a := range n.Bootstrap {
			addEntry(w, entryBootstrap, a.Bytes())
		}
		addEntry(w, entryName, []byte(n.Name))
		addEntry(w, entryRules, []byte{uint8(n.Hops), bit(n.Public)})
		addEntry(w, entryNonce, n.Nonce[:])
		if !n.Public {
			addEntry(w, entryPSK, n.PSK[:])
		}
		if !n.Expires.IsZero() {
			var expires cryptobyte.Builder
			expires.AddUint64(uint64(n.Expires.Unix()))
			addEntry(w, entryExpires, expires.BytesOrPanic())
		}
	}
	if !i.Person.IsZero() {
		addEntry(w, entryPerson, i.Person[:])
	}
	if !i.Link.IsZero() {
		addEntry(w, entryLink, i.Link[:])
	}
	return w.Bytes()
}

// checkLink refuses a link key that nobody could find anything with.
func (i *Invite) checkLink() error {
	if !i.Link.IsZero() && (i.Person.IsZero() || i.Link.Check() != nil) {
		return errLink
	}
	return nil
}

func addEntry(b *cryptobyte.Builder, kind uint8, value []byte) {
	b.AddUint8(kind)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(value) })
}

// parse reads an invite's bytes. Its errors are ErrVersion, and ErrNotInvite
// with a reason.
func parse(b []byte) (*Invite, error) {
	if len(b) > maxBytes {
		return nil, notInvite(errLong)
	}
	s := cryptobyte.String(b)
	var v uint8
	if !s.ReadUint8(&v) {
		return nil, notInvite(errMalformed)
	}
	if v != version {
		return nil, ErrVersion
	}
	var r reader
	for !s.Empty() {
		var kind uint8
		var value cryptobyte.String
		if !s.ReadUint8(&kind) || !s.ReadUint16LengthPrefixed(&value) || !r.follows(kind) || !r.read(kind, value) {
			return nil, notInvite(errMalformed)
		}
	}
	return r.invite()
}

// reader gathers the entries of one invite.
type reader struct {
	network Network
	person  hashid.ID
	link    record.LinkKey
	has     [256]bool // by type
	last    uint8     // type of the latest entry; no type is 0
	newer   bool      // there was a critical entry of a type not known here
}

// follows reports whether an entry may come after those before it.
func (r *reader) follows(kind uint8) bool {
	ok := kind > r.last || (kind == r.last && kind == entryBootstrap)
	r.last, r.has[kind] = kind, true
	return ok
}

// read reads one entry. It reports whether the value is well-formed.
func (r *reader) read(kind uint8, value cryptobyte.String) bool {
	n := &r.network
	switch kind {
	case entryBootstrap:
		if len(value) > maxBootstrapAddr || len(n.Bootstrap) == MaxBootstrap {
			return false
		}
		a, err := multiaddr.NewMultiaddrBytes(value)
		n.Bootstrap = append(n.Bootstrap, a)
		return err == nil && bytes.Equal(a.Bytes(), value)
	case entryName:
		n.Name = string(value)
		return len(value) <= maxName
	case entryRules:
		var hops, public uint8
		ok := value.ReadUint8(&hops) && value.ReadUint8(&public) && value.Empty() && public <= 1
		n.Hops, n.Public = int(hops), public == 1
		return ok
	case entryNonce:
		return value.CopyBytes(n.Nonce[:]) && value.Empty()
	case entryPSK:
		return value.CopyBytes(n.PSK[:]) && value.Empty() && n.PSK != [32]byte{}
	case entryExpires:
		var seconds uint64
		ok := value.ReadUint64(&seconds) && value.Empty() && seconds > 0 && seconds <= maxUnix
		n.Expires = time.Unix(int64(seconds), 0).UTC()
		return ok
	case entryPerson:
		return value.CopyBytes(r.person[:]) && value.Empty() && !r.person.IsZero()
	case entryLink:
		return value.CopyBytes(r.link[:]) && value.Empty() && !r.link.IsZero()
	}
	r.newer = r.newer || kind&critical != 0
	return true
}

// invite returns what was read, if it makes a whole.
func (r *reader) invite() (*Invite, error) {
	if r.newer {
		return nil, ErrVersion
	}
	i := &Invite{Person: r.person, Link: r.link}
	if r.hasAny(entryBootstrap, entryName, entryRules, entryNonce, entryPSK, entryExpires) {
		if !r.has[entryName] || !r.has[entryRules] || !r.has[entryNonce] {
			return nil, notInvite(errSettings)
		}
		if err := r.network.check(); err != nil {
			return nil, notInvite(err)
		}
		i.Network = &r.network
	}
	if i.Network == nil && i.Person.IsZero() {
		return nil, notInvite(errBare)
	}
	if err := i.checkLink(); err != nil {
		return nil, notInvite(err)
	}
	return i, nil
}

func (r *reader) hasAny(kinds ...uint8) bool {
	return slices.ContainsFunc(kinds, func(kind uint8) bool { return r.has[kind] })
}
