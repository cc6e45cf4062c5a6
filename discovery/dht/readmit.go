package dht

import (
	"context"
	"sync"
)

// readmit lets connected peers back into an empty table, those that answer.
//
// When a node is cut off for less time than it takes connections to break, every
// request fails and the library drops every peer. It takes a peer in when the
// peer connects, which these have no reason to do again, so the table would stay
// empty for as long as the connections last.
func (d *DHT) readmit(ctx context.Context) {
	peers := d.cfg.Host.Network().Peers()
	var wg sync.WaitGroup
	for _, p := range peers[:min(len(peers), bootstrapPeers)] {
		wg.Go(func() { _ = d.admit(ctx, p) }) // an empty table has room
	}
	wg.Wait()
}
