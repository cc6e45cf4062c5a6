package dht

import (
	"context"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"

	"chatnt/discovery/record"
)

// view is the host as the library's table sees it: what that one leaves without
// a bound has one here.
type view struct {
	host.Host
	gate  *gate
	mutes *mutes
}

// Connect dials a peer, for as long as one peer is worth to a look-up. Peers
// that did not answer lately are not tried.
func (v *view) Connect(ctx context.Context, info peer.AddrInfo) error {
	if v.mutes.has(info.ID) {
		return errMute
	}
	short, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	asked := v.mutes.now()
	err := v.Host.Connect(short, info)
	if err != nil && ctx.Err() == nil && short.Err() != nil {
		v.mutes.silent(info.ID, asked)
	}
	return err
}

// SetStreamHandler puts the gate before the table's handler of requests.
func (v *view) SetStreamHandler(p protocol.ID, handle network.StreamHandler) {
	v.Host.SetStreamHandler(p, v.gate.guard(handle))
}

// Peerstore returns the host's, of which the table sees few addresses a peer.
func (v *view) Peerstore() peerstore.Peerstore { return fewAddrs{v.Host.Peerstore()} }

// fewAddrs hands on a bounded number of a peer's addresses. libp2p keeps five
// hundred of each peer that is connected: a dozen peers that claimed as many
// would make the answers of honest nodes that know them too large to be read.
type fewAddrs struct{ peerstore.Peerstore }

func (f fewAddrs) PeerInfo(p peer.ID) peer.AddrInfo {
	info := f.Peerstore.PeerInfo(p)
	var few []multiaddr.Multiaddr
	for _, a := range info.Addrs {
		if len(few) < maxAddrs && len(a.Bytes()) <= record.MaxAddr {
			few = append(few, a)
		}
	}
	info.Addrs = few
	return info
}
