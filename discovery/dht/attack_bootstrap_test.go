package dht

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// addresses makes up n addresses that nobody answers at.
func addresses(n int) []multiaddr.Multiaddr {
	var addrs []multiaddr.Multiaddr
	for i := range n {
		addrs = append(addrs, multiaddr.StringCast(fmt.Sprintf("/ip4/127.0.%d.%d/tcp/1", i/250, 1+i%250)))
	}
	return addrs
}

// boast starts n hosts that claim very many addresses, and answer as nodes that
// know nobody.
func boast(t *testing.T, n, addrs int) []host.Host {
	t.Helper()
	var hosts []host.Host
	for range n {
		h := newHost(t, new(Bans), loopback, libp2p.AddrsFactory(func(own []multiaddr.Multiaddr) []multiaddr.Multiaddr {
			return append(addresses(addrs), own...)
		}))
		serve(h, nil)
		hosts = append(hosts, h)
	}
	return hosts
}

// tarpit is an address where connections are accepted and nothing is ever said.
func tarpit(t *testing.T) multiaddr.Multiaddr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	addr, err := manet.FromNetAddr(l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// madeUp names peers that do not exist, near to what is asked for.
func madeUp(t *testing.T, n int, addrs []multiaddr.Multiaddr) []*pb.Message_Peer {
	var infos []peer.AddrInfo
	for range n {
		raw := make([]byte, 32)
		_, _ = rand.Read(raw)
		infos = append(infos, peer.AddrInfo{ID: peerOf(t, raw), Addrs: addrs})
	}
	return pb.RawPeerInfosToPBPeers(infos)
}

// One of three bootstrap peers is hostile. Whatever it names, who joins ends up
// in the honest network: it finds and is found.
func TestHostileBootstrapPeer(t *testing.T) {
	t.Parallel()
	for name, names := range map[string]func(t *testing.T, req *pb.Message, g *gang) []*pb.Message_Peer{
		"accomplices": func(_ *testing.T, req *pb.Message, g *gang) []*pb.Message_Peer {
			return g.nearest(string(req.GetKey()))
		},
		"made up": func(t *testing.T, _ *pb.Message, _ *gang) []*pb.Message_Peer {
			return madeUp(t, 30, addresses(2000))
		},
		"tar pits": func(t *testing.T, _ *pb.Message, g *gang) []*pb.Message_Peer {
			return madeUp(t, bucketSize, g.pit)
		},
		"nobody": func(*testing.T, *pb.Message, *gang) []*pb.Message_Peer { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var w world
			honest := w.nodes(t, 8)
			r := w.relay(t)
			want := r.sign(0)
			if _, err := honest[7].Put(t.Context(), r.dhtKey(), want); err != nil {
				t.Fatal(err)
			}
			g := newGang(t, grind(t, placeOf(r.dhtKey()), 40, 20))
			g.pit = []multiaddr.Multiaddr{tarpit(t)}
			answer(g.hosts[0], func(req *pb.Message) *pb.Message {
				resp := pb.NewMessage(req.GetType(), req.GetKey(), 0)
				resp.CloserPeers = names(t, req, g)
				return resp
			})
			joiner := w.start(t, &node{host: g.hosts[0]}, honest[0], honest[1])
			// Not all of them: accomplices may fill a bucket.
			until(t, "the joiner has honest nodes in its table", func() bool {
				met := 0
				for _, n := range honest {
					if joiner.kad.RoutingTable().Find(n.host.ID()) != "" {
						met++
					}
				}
				return met >= 2
			})
			if got, err := joiner.Get(t.Context(), r.dhtKey()); err != nil || !bytes.Equal(got, want) {
				t.Errorf("the joiner does not find a record: %v", err)
			}
			own := w.relay(t)
			if _, err := joiner.Put(t.Context(), own.dhtKey(), own.sign(0)); err != nil {
				t.Errorf("the joiner's record: %v", err)
			}
			found := 0
			for _, n := range honest {
				if _, err := n.Get(t.Context(), own.dhtKey()); err == nil {
					found++
				}
			}
			if found != len(honest) {
				t.Errorf("the joiner is found by %d of %d", found, len(honest))
			}
			for _, n := range append(honest, joiner) {
				for _, p := range n.host.Peerstore().Peers() {
					if known := len(n.host.Peerstore().Addrs(p)); known > 2*maxAddrs {
						t.Errorf("%d addresses of a peer are remembered", known)
					}
				}
			}
		})
	}
}

// The honest bootstrap peers are away when a node starts, and the hostile one
// fills with accomplices the bucket that they belong to. Once they are back, the
// node meets them, and they get a place.
func TestAccomplicesFillTheTableFirst(t *testing.T) {
	t.Parallel()
	var w world
	own := grind(t, place{}, 1, 1)[0]
	at := placeOf(idOf(t, own))
	across := func() crypto.PrivKey { // in the half of the key space where the node is not
		for {
			if key := grind(t, place{}, 1, 1)[0]; prefix(at, placeOf(idOf(t, key))) == 0 {
				return key
			}
		}
	}
	var keys []crypto.PrivKey
	for range bucketSize {
		keys = append(keys, across())
	}
	g := newGang(t, keys)
	late := newHost(t, new(Bans), libp2p.NoListenAddrs, libp2p.Identity(across()))
	addr := nowhere(t)
	known := []peer.AddrInfo{g.infos[0], {ID: late.ID(), Addrs: []multiaddr.Multiaddr{addr}}}
	bans := new(Bans)
	joiner := w.startOn(t, newHost(t, bans, loopback, libp2p.Identity(own)), bans, func() []peer.AddrInfo { return slices.Clone(known) })
	table := joiner.kad.RoutingTable()
	until(t, "the bucket is full of accomplices", func() bool {
		_, _ = joiner.Walk(t.Context()) // it meets more of them
		return table.NPeersForCpl(0) == bucketSize
	})
	if err := late.Network().Listen(addr); err != nil {
		t.Fatal(err)
	}
	honest := w.startOn(t, late, new(Bans), func() []peer.AddrInfo { return nil })
	until(t, "both known nodes are in the table", func() bool {
		return table.Find(honest.host.ID()) != "" && table.Find(g.infos[0].ID) != ""
	})
	// A look-up asks the bucketSize nearest nodes: of accomplices and the honest
	// node, one more than that, the farthest may be left out.
	r := w.relay(t)
	for at := placeOf(r.dhtKey()); !slices.ContainsFunc(g.infos, func(a peer.AddrInfo) bool {
		return distance(at, placeOf(late.ID())).compare(distance(at, placeOf(a.ID))) < 0
	}); at = placeOf(r.dhtKey()) {
		r = w.relay(t)
	}
	value := r.sign(0)
	if err := honest.store.keep(r.dhtKey(), value); err != nil {
		t.Fatal(err)
	}
	if got, err := joiner.Get(t.Context(), r.dhtKey()); err != nil || !bytes.Equal(got, value) {
		t.Errorf("what the honest node holds is not found: %v", err)
	}
}
