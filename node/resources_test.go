package node

import (
	"testing"

	libp2pnetwork "github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"
)

// A family behind one router shares an address: on a private network all of it
// is let in, on a public one a good part.
func TestNodesThatShareAnAddress(t *testing.T) {
	for name, test := range map[string]struct {
		addr   string
		public bool
		want   int // connections of 100
	}{
		"private":              {"/ip4/203.0.113.5/tcp/4001", false, 100},
		"private, IPv6":        {"/ip6/2001:db8::5/tcp/4001", false, 100},
		"public":               {"/ip4/203.0.113.5/tcp/4001", true, connsAtOne},
		"public, IPv6":         {"/ip6/2001:db8::5/tcp/4001", true, connsAtOne},
		"public, this machine": {"/ip4/127.0.0.1/tcp/4001", true, 100},
	} {
		t.Run(name, func(t *testing.T) {
			resources, err := newResources(test.public)
			if err != nil {
				t.Fatal(err)
			}
			defer resources.Close()
			addr, got := multiaddr.StringCast(test.addr), 0
			for range 100 {
				if conn, err := resources.OpenConnection(libp2pnetwork.DirInbound, true, addr); err == nil {
					defer conn.Done()
					got++
				}
			}
			if got != test.want {
				t.Errorf("%d of 100 connections were let in, want %d", got, test.want)
			}
		})
	}
}
