package dht

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"

	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/peer"
)

// anchors is how many of the peers known from before are kept in contact and in
// the table, however full that is. One of them may be hostile and have filled
// the table with its accomplices: those of ids ground for one bucket keep it from
// half of the network, and the library never lets anybody else in for them. It
// also forgets, for good, peers that come while it checks several others.
const anchors = 3

// known returns the peers known from before, this node left out, in any order.
func (d *DHT) known() []peer.AddrInfo {
	known := slices.DeleteFunc(d.cfg.Bootstrap(), func(info peer.AddrInfo) bool { return info.ID == d.cfg.Host.ID() })
	rand.Shuffle(len(known), func(i, j int) { //nolint:gosec // seeded by the system: whom to ask first
		known[i], known[j] = known[j], known[i]
	})
	return known
}

// anchored reports whether enough of some known peers are connected, and enough
// of those in the table.
func (d *DHT) anchored(known []peer.AddrInfo) (here, seated bool) {
	met, sat := 0, 0
	for _, info := range known {
		if !connected(d.cfg.Host, info.ID) {
			continue
		}
		met++
		if d.kad.RoutingTable().Find(info.ID) != "" {
			sat++
		}
	}
	enough := min(len(known), anchors)
	return met >= enough, sat >= enough
}

// seat lets connected peers of those known into the table, if they answer, until
// enough of them are in it.
func (d *DHT) seat(ctx context.Context, known []peer.AddrInfo) {
	var standing []peer.ID
	missing := min(len(known), anchors)
	keep := make(map[peer.ID]bool)
	for _, info := range known {
		keep[info.ID] = true
		switch {
		case d.kad.RoutingTable().Find(info.ID) != "":
			missing--
		case connected(d.cfg.Host, info.ID):
			standing = append(standing, info.ID)
		}
	}
	var wg sync.WaitGroup
	for _, p := range standing[:min(len(standing), max(missing, 0))] {
		wg.Go(func() {
			if d.admit(ctx, p) != nil && ctx.Err() == nil {
				d.makeRoom(p, keep)
			}
		})
	}
	wg.Wait()
}

// admit lets a connected peer into the table, if it answers. The error is not nil
// if the table has no room for it.
func (d *DHT) admit(ctx context.Context, p peer.ID) error {
	if err := d.messenger.Ping(ctx, p); err != nil { // in order, it lets Grown know
		return nil //nolint:nilerr // who does not answer says nothing about the table
	}
	_, err := d.kad.RoutingTable().TryAddPeer(p, true, false)
	if errors.Is(err, kb.ErrPeerRejectedNoCapacity) {
		return err
	}
	if err != nil {
		d.cfg.Log.Debug("a connected peer was not let into the table", "error", err)
	}
	return nil
}

// makeRoom puts p in the table in the place of the peer of its bucket that came
// last, those to be kept left out.
func (d *DHT) makeRoom(p peer.ID, keep map[peer.ID]bool) {
	table, self := d.kad.RoutingTable(), kb.ConvertPeerID(d.cfg.Host.ID())
	bucket := kb.CommonPrefixLen(self, kb.ConvertPeerID(p))
	var last kb.PeerInfo
	for _, other := range table.GetPeerInfos() {
		if !keep[other.Id] && kb.CommonPrefixLen(self, kb.ConvertPeerID(other.Id)) == bucket && other.AddedAt.After(last.AddedAt) {
			last = other
		}
	}
	if last.Id == "" {
		return
	}
	table.RemovePeer(last.Id)
	if _, err := table.TryAddPeer(p, true, false); err != nil {
		d.cfg.Log.Debug("a known peer was not let into the table", "error", err)
	}
}
