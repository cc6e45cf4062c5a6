package dht

import (
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// count returns few, or many under CHATNT_LONG=1.
func count(few, many int) int {
	if os.Getenv("CHATNT_LONG") == "1" {
		return many
	}
	return few
}

// many starts n nodes, more than a bucket holds, and waits until their tables
// are well filled.
func (w *world) many(t *testing.T, n int) []*node {
	t.Helper()
	began := time.Now()
	nodes := []*node{w.start(t)}
	for len(nodes) < n {
		nodes = append(nodes, w.start(t, nodes[0], nodes[len(nodes)/2]))
	}
	for _, node := range nodes {
		until(t, "all tables are well filled", func() bool { return node.Size() >= min(n-1, smallTable) })
	}
	t.Logf("%d nodes met in %v", n, time.Since(began).Round(time.Millisecond))
	return nodes
}

// percentile returns the p-th percentile of some durations.
func percentile(took []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[(len(sorted)*p+99)/100-1]
}

func placeOf[T ~string](name T) place { return sha256.Sum256([]byte(name)) }

// grind makes tries keys and returns those n whose ids lie nearest to a place,
// the nearest first.
func grind(t *testing.T, at place, tries, n int) []crypto.PrivKey {
	t.Helper()
	type ground struct {
		key ed25519.PrivateKey
		far place
	}
	best := make([]ground, 0, n+1)
	for range tries {
		pub, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		g := ground{key, distance(at, placeOf(peerOf(t, pub)))}
		i, _ := slices.BinarySearchFunc(best, g, func(a, b ground) int { return a.far.compare(b.far) })
		if best = slices.Insert(best, i, g); len(best) > n {
			best = best[:n]
		}
	}
	keys := make([]crypto.PrivKey, 0, n)
	for _, g := range best {
		key, err := crypto.UnmarshalEd25519PrivateKey(g.key)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	return keys
}

// peerOf returns the peer id of an Ed25519 key.
func peerOf(t *testing.T, pub ed25519.PublicKey) peer.ID {
	t.Helper()
	key, err := crypto.UnmarshalEd25519PublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// idOf returns the peer id of a private key.
func idOf(t *testing.T, key crypto.PrivKey) peer.ID {
	t.Helper()
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// gang is a set of hostile hosts that name only each other.
type gang struct {
	hosts []host.Host
	infos []peer.AddrInfo
	pit   []multiaddr.Multiaddr // where nobody answers
}

// newGang starts hosts with the given keys. They hold no record, whatever they
// say of one that is put.
func newGang(t *testing.T, keys []crypto.PrivKey) *gang {
	t.Helper()
	g := new(gang)
	for _, key := range keys {
		h := newHost(t, new(Bans), loopback, libp2p.Identity(key))
		g.hosts, g.infos = append(g.hosts, h), append(g.infos, info(h))
	}
	for _, h := range g.hosts {
		answer(h, func(req *pb.Message) *pb.Message {
			resp := pb.NewMessage(req.GetType(), req.GetKey(), 0)
			if req.GetType() == pb.Message_PUT_VALUE {
				resp.Record = req.GetRecord()
			}
			resp.CloserPeers = g.nearest(string(req.GetKey()))
			return resp
		})
	}
	return g
}

// nearest names the members nearest to a key.
func (g *gang) nearest(key string) []*pb.Message_Peer {
	at := placeOf(key)
	sorted := slices.SortedFunc(slices.Values(g.infos), func(a, b peer.AddrInfo) int {
		return distance(at, placeOf(a.ID)).compare(distance(at, placeOf(b.ID)))
	})
	return pb.RawPeerInfosToPBPeers(sorted[:min(len(sorted), bucketSize)])
}

// approach has every member connect to some nodes, each to others.
func (g *gang) approach(t *testing.T, nodes []*node, each int) {
	t.Helper()
	for i, h := range g.hosts {
		for j := range min(each, len(nodes)) {
			n := nodes[(i*each+j)%len(nodes)]
			if err := h.Connect(t.Context(), info(n.host)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// byDistance sorts nodes by how near they are to a key, the nearest first.
func byDistance(nodes []*node, key string) []*node {
	at := placeOf(key)
	return slices.SortedFunc(slices.Values(nodes), func(a, b *node) int {
		return cmp.Compare(distance(at, placeOf(a.host.ID())).fraction(), distance(at, placeOf(b.host.ID())).fraction())
	})
}
