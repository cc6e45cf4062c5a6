package path

import (
	"encoding/binary"
	"net"
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
	groupHere group = 4 << 32 // and the first 32 bits of the node id
)

// groupsOf returns the groups of all addresses of a node, each once: none if it
// has no address. Those of this machine alone make none, and whoever has no others
// has a group of its own: such a node is usable only where all of the network is on this
// machine, as it is used once it was reached at an address that it publishes.
func groupsOf(desc *record.Descriptor) []group {
	var groups []group
	for _, a := range desc.Addrs {
		if g, ok := groupOf(a); ok && !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	if id := desc.ID(); len(groups) == 0 && len(desc.Addrs) > 0 {
		return []group{groupHere | group(binary.BigEndian.Uint32(id[:]))}
	}
	return groups
}

// groupOf wants an address as record.CheckAddr does. It is false for one of this machine alone.
func groupOf(a multiaddr.Multiaddr) (g group, ok bool) {
	host := a[0]
	raw := host.RawValue()
	switch host.Protocol().Code {
	case multiaddr.P_IP4:
		return groupIPv4 | group(binary.BigEndian.Uint16(raw)), !net.IP(raw).IsLoopback()
	case multiaddr.P_IP6:
		return groupIPv6 | group(binary.BigEndian.Uint32(raw)), !net.IP(raw).IsLoopback()
	}
	return groupName, true
}

// overlap reports whether two nodes have a group in common.
func overlap(a, b []group) bool {
	return slices.ContainsFunc(a, func(g group) bool { return slices.Contains(b, g) })
}
