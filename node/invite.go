package node

import (
	"github.com/libp2p/go-libp2p/core/peer"

	"chatnt/discovery/dht"
	"chatnt/discovery/network"
)

// Invite returns an invite to this network alone.
func (n *Node) Invite() (string, error) {
	invited, err := n.invited()
	if err != nil {
		return "", err
	}
	return (&network.Invite{Network: invited}).Text()
}

// InviteMe returns an invite that finds this person, with the link key if there is one, and
// lets its reader into the network too if it is to.
func (n *Node) InviteMe(withNetwork bool) (string, error) {
	me := n.locator()
	invite := &network.Invite{Person: me.Hashid, Link: me.Link}
	if withNetwork {
		var err error
		if invite.Network, err = n.invited(); err != nil {
			return "", err
		}
	}
	return invite.Text()
}

// invited returns this network with addresses by which others can join now: this
// node's own, and those of other relays.
func (n *Node) invited() (*network.Network, error) {
	invited := *n.profile.Network()
	own, err := n.profile.withPeerID(dialable(n.addrsNow(), invited.Public, maxInviteAddrs))
	if err != nil {
		return nil, err
	}
	addrs := own
	for _, d := range n.directory.Usable() {
		info, err := dht.AddrInfo(d)
		if err != nil || len(info.Addrs) == 0 || len(addrs) >= network.MaxBootstrap {
			continue
		}
		info.Addrs = info.Addrs[:1]
		full, err := peer.AddrInfoToP2pAddrs(&info)
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, full...)
	}
	if len(addrs) > 0 {
		invited.Bootstrap = addrs
	}
	return &invited, nil
}
