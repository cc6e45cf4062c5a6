package dht

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

func TestBans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Bans
		allowed := func(p peer.ID) bool {
			dial, accept := b.InterceptPeerDial(p), b.InterceptSecured(network.DirInbound, p, nil)
			if dial != accept || dial == b.Banned(p) {
				t.Error("the gater disagrees with itself")
			}
			return dial
		}
		if !allowed("a") {
			t.Error("the zero value bans somebody")
		}
		b.Add("a")
		time.Sleep(banTime - time.Second)
		b.Add("b")
		if allowed("a") || allowed("b") || !allowed("c") {
			t.Error("the wrong nodes are banned")
		}
		time.Sleep(time.Second)
		if !allowed("a") || allowed("b") {
			t.Error("a ban did not last an hour")
		}
	})
}

func TestBansAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Bans
		for i := range maxBans + 100 {
			b.Add(peer.ID(strconv.Itoa(i)))
			time.Sleep(time.Millisecond)
		}
		if b.Len() != maxBans {
			t.Errorf("keeps %d bans", b.Len())
		}
		if b.Banned("99") || !b.Banned("100") || !b.Banned(peer.ID(strconv.Itoa(maxBans+99))) {
			t.Error("not the oldest bans were dropped")
		}
		time.Sleep(banTime)
		b.Add("new")
		if b.Len() != 1 {
			t.Errorf("keeps %d bans, all but one of them over", b.Len())
		}
	})
}
