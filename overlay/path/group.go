package path

import (
	"encoding/binary"
	"slices"

	"github.com/multiformats/go-multiaddr"

	"chatnt/discovery/record"
)

// group is a part of the address space that is taken to be one operator's: an
// IPv4 /16, an IPv6 /32, or all host names together. A name costs nothing and can
// stand for any address, so names make no groups of their own.
type group uint64

const (
	groupName group = 1 << 32
	groupIPv4 group = 2 << 32 // and the first 16 bits
	groupIPv6 group = 3 << 32 // and the first 32 bits
)

// groupsOf returns the groups of all addresses of a node, each once: none if it
// has no address.
func groupsOf(desc *record.Descriptor) []group {
	var groups []group
	for _, a := range desc.Addrs {
		if g := groupOf(a); !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	return groups
}

// groupOf wants an address as record.CheckAddr does.
func groupOf(a multiaddr.Multiaddr) group {
	switch host := a[0]; host.Protocol().Code {
	case multiaddr.P_IP4:
		return groupIPv4 | group(binary.BigEndian.Uint16(host.RawValue()))
	case multiaddr.P_IP6:
		return groupIPv6 | group(binary.BigEndian.Uint32(host.RawValue()))
	}
	return groupName
}

// overlap reports whether two nodes have a group in common.
func overlap(a, b []group) bool {
	return slices.ContainsFunc(a, func(g group) bool { return slices.Contains(b, g) })
}
