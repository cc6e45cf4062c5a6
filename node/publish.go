package node

import (
	"context"
	"strconv"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"chatnt/discovery/dht"
	"chatnt/discovery/gossip"
	"chatnt/discovery/record"
	"chatnt/node/vault"
	"chatnt/overlay/onion"
)

type onionPacket = onion.Packet

// published returns the addresses that others may be told of.
func (n *Node) published() []multiaddr.Multiaddr {
	return dialable(n.addrsNow(), n.profile.Network().Public, record.MaxAddrs)
}

// descriptor signs this node's relay descriptor as it is now.
func (n *Node) descriptor(now time.Time, leaving bool) ([]byte, error) {
	sequence, err := n.profile.nextSequence("node", now)
	if err != nil {
		return nil, err
	}
	d := &record.Descriptor{
		Node:     [32]byte(n.profile.nodePublic()),
		Sequence: sequence,
		Expires:  now.Add(record.DescriptorLifetime),
	}
	first, keys, err := n.overlay.Keys(now)
	if err != nil {
		return nil, err
	}
	d.FirstEpoch = first
	for i, key := range keys {
		d.Keys[i] = key
	}
	if leaving {
		d.Flags = record.FlagWithdrawn
	} else if d.Addrs = n.published(); len(d.Addrs) > 0 {
		d.Flags = record.FlagRelay
	}
	return d.Sign(n.profile.Network().ID(), n.profile.nodeKey)
}

// olderDescriptor reports whether the table has a newer descriptor of this node than
// it has signed: its profile is an older copy.
func (n *Node) olderDescriptor(found []byte) bool {
	d, err := record.ParseDescriptor(n.profile.Network().ID(), found)
	return err == nil && d.ID() == n.profile.Node() && n.outpaced("node", d.Sequence)
}

func (n *Node) outpaced(what string, sequence uint64) bool {
	outpaced, err := n.profile.outpaced(what, sequence)
	if err != nil {
		n.log.Error("the sequence of a record could not be stored", "what", what, "error", err)
	}
	return outpaced
}

func (n *Node) announce(ctx context.Context, descriptor []byte) {
	if err := n.topic.Publish(ctx, descriptor); err != nil {
		n.log.Debug("the descriptor could not be announced")
	}
}

// judge takes in a descriptor that came by gossip.
func (n *Node) judge(data []byte) gossip.Verdict {
	pass, err := n.directory.Heard(data)
	switch {
	case record.IsForged(err):
		return gossip.Reject
	case pass:
		return gossip.Accept
	}
	return gossip.Ignore
}

// leave tells others that this node offers nothing any more. It must not hold
// up the end: whoever does not hear of it finds out by dialling.
func (n *Node) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	now := n.now()
	withdrawn, err := n.descriptor(now, true)
	if err != nil {
		n.log.Error("signing failed", "what", "withdrawal", "error", err)
		return
	}
	n.announce(ctx, withdrawn)
	if _, err := n.table.Put(ctx, record.DescriptorKey(n.profile.Node()), withdrawn); err != nil {
		n.log.Debug("the withdrawal was not stored")
	}
}

// bucketRelays holds the descriptors of relays in use. At the next start they
// say whom to dial; their onion keys may be out of date by then, so the directory
// begins empty.
const bucketRelays = "relays"

func (n *Node) saveRelays() {
	relays := n.directory.Snapshot(cachedRelays, n.paths.Keeps()...)
	if len(relays) == 0 {
		return // rather old ones than none
	}
	err := n.profile.vault.Update(func(tx *vault.Tx) error {
		for i := range cachedRelays {
			key := strconv.Itoa(i)
			if i >= len(relays) {
				if err := tx.Delete(bucketRelays, key); err != nil {
					return err
				}
			} else if err := tx.Put(bucketRelays, key, relays[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		n.log.Error("known relays could not be stored", "error", err)
	}
}

func (n *Node) storedRelays() []*record.Descriptor {
	var relays []*record.Descriptor
	_ = n.profile.vault.View(func(tx *vault.Tx) error {
		return tx.ForEach(bucketRelays, func(_ string, raw []byte) error {
			if d, err := record.ParseDescriptor(n.profile.Network().ID(), raw); err == nil {
				relays = append(relays, d)
			}
			return nil
		})
	})
	return relays
}

// bootstrapPeers returns whom to dial to join the network: relays known from
// before, also those whose descriptor has expired, then those of the invite.
func (n *Node) bootstrapPeers() []peer.AddrInfo {
	var infos []peer.AddrInfo
	for _, d := range n.storedRelays() {
		if info, err := dht.AddrInfo(d); err == nil {
			infos = append(infos, info)
		}
	}
	invited, err := peer.AddrInfosFromP2pAddrs(n.profile.Network().Bootstrap...)
	if err != nil {
		n.log.Error("the invite's addresses are unusable")
	}
	return append(infos, invited...)
}
