package dht

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// After a sleep the node dials whom it knows at once, though it still waits in vain
// for somebody it dialled before.
func TestRetry(t *testing.T) {
	t.Parallel()
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	addr, err := manet.FromNetAddr(mute.Addr())
	if err != nil {
		t.Fatal(err)
	}
	w := new(world)
	other := w.start(t)
	var known atomic.Pointer[peer.AddrInfo]
	known.Store(&peer.AddrInfo{ID: w.start(t).host.ID(), Addrs: []multiaddr.Multiaddr{addr}})
	bans := new(Bans)
	n := w.startOn(t, newHost(t, bans, loopback), bans, func() []peer.AddrInfo { return []peer.AddrInfo{*known.Load()} })
	c, err := mute.Accept() // and nothing more
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	began := time.Now()
	there := info(other.host)
	known.Store(&there)
	n.Retry()
	until(t, "the two meet", func() bool { return n.Size() == 1 && connected(n.host, other.host.ID()) })
	if took := time.Since(began); took >= dialTimeout-time.Second {
		t.Errorf("they met only after %v: the dial that hangs was waited for", took)
	}
}
