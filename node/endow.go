package node

import (
	"crypto/ed25519"
	"slices"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"chatnt/discovery/network"
	"chatnt/node/vault"
)

// What a new identity gets from the one in use: the network, and whom to begin with there.

// networkFor returns this profile's network for another identity, nil if there is none:
// without the addresses of its identities' nodes, which do not run while the other's does, and
// which the other's invites would name.
func (p *Profile) networkFor(tx *vault.Tx, identities []entry) (*network.Network, error) {
	if p.network == nil {
		return nil, nil
	}
	var nodes []ed25519.PublicKey
	for _, e := range identities {
		if of, err := p.as(tx, e); err == nil { // one that is damaged names no node
			nodes = append(nodes, of.nodePublic())
		}
	}
	return without(p.network, nodes)
}

// endow makes the keys of a new identity, and stores its network.
func endow(to *vault.Tx, n *network.Network) error {
	if err := makeKeys(to); err != nil || n == nil {
		return err
	}
	raw, err := n.Append(nil)
	if err != nil {
		return err
	}
	return to.Put(bucketProfile, keyNetwork, raw)
}

// lead copies the relays that one identity knows to another that knows none. The network
// of whoever made it names nobody to the other: the only address was that of the own node.
func lead(from, to *vault.Tx) error {
	known := false
	if err := to.ForEach(bucketRelays, func(string, []byte) error { known = true; return nil }); err != nil || known {
		return err
	}
	return from.ForEach(bucketRelays, func(key string, raw []byte) error { return to.Put(bucketRelays, key, raw) })
}

// without is a network without the addresses of some nodes.
func without(n *network.Network, nodes []ed25519.PublicKey) (*network.Network, error) {
	less := *n
	less.Bootstrap = slices.Clone(n.Bootstrap)
	for _, node := range nodes {
		key, err := crypto.UnmarshalEd25519PublicKey(node)
		if err != nil {
			return nil, err
		}
		less.Bootstrap = slices.DeleteFunc(less.Bootstrap, func(a multiaddr.Multiaddr) bool {
			_, id := peer.SplitAddr(a)
			return id.MatchesPublicKey(key)
		})
	}
	return &less, nil
}
