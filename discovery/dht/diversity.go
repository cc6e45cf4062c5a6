package dht

import (
	kad "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kbucket/peerdiversity"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

const (
	groupInBucket = 2 // peers of one IP group (IPv4 /16, IPv6 operator) in a bucket ...
	groupInTable  = 3 // ... and in the whole routing table
)

// diversity bounds the peers of one IP group in the routing table, by the
// addresses that connections really come from.
//
// It is the library's filter, but for two things. The library applies its own
// also to each answer in a look-up, by the addresses that peers claim there, and
// drops all of a group that is too large: a few peers that claim addresses of a
// victim's group would make it vanish from the honest answers that name it. It
// knows its filter by its type, and so leaves this one out of that. And a peer
// with several connections counts once.
type diversity struct {
	peerdiversity.PeerIPGroupFilter
}

func newDiversity(h host.Host) diversity {
	return diversity{kad.NewRTPeerDiversityFilter(h, groupInBucket, groupInTable)}
}

// PeerAddresses returns one address for each group that a peer's connections
// belong to.
func (d diversity) PeerAddresses(p peer.ID) []multiaddr.Multiaddr {
	seen := make(map[peerdiversity.PeerIPGroupKey]bool)
	return multiaddr.FilterAddrs(d.PeerIPGroupFilter.PeerAddresses(p), func(a multiaddr.Multiaddr) bool {
		ip, err := manet.ToIP(a)
		if err != nil {
			return true // for the library to refuse
		}
		group := peerdiversity.IPGroupKey(ip)
		defer func() { seen[group] = true }()
		return !seen[group]
	})
}
