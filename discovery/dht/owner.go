package dht

import (
	"context"

	"github.com/libp2p/go-libp2p/core/peer"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// Ask asks a connected node for its own descriptor: one request, where a look-up
// takes twenty. It returns ErrNotFound if the node is not connected or has no valid
// one to give. Since the node learns who asks, this is for filling a directory and
// never for a node that something is about to be sent to.
func (d *DHT) Ask(ctx context.Context, id hashid.NodeID) ([]byte, error) {
	for _, p := range d.cfg.Host.Network().Peers() {
		if other, ok := NodeID(p); !ok || other != id {
			continue
		}
		rec, _, err := d.messenger.GetValue(ctx, p, record.DescriptorKey(id))
		if err != nil || rec == nil {
			return nil, ErrNotFound
		}
		return rec.GetValue(), nil // judged when it came
	}
	return nil, ErrNotFound
}

// ofOwn reports whether a key is that of a node's own descriptor.
func ofOwn(p peer.ID, key string) bool {
	id, ok := NodeID(p)
	return ok && key == record.DescriptorKey(id)
}
