package dht

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

func TestPutIsReadByEveryNode(t *testing.T) {
	var w world
	nodes := w.nodes(t, 10)
	r := w.relay(t)
	want := r.sign(0)
	stored, err := nodes[3].Put(t.Context(), r.dhtKey(), want)
	if err != nil || stored != 9 {
		t.Fatalf("stored at %d nodes (%v), want 9", stored, err)
	}
	o := newOutsider(t, nodes...)
	for i, n := range nodes {
		if got := o.get(n, r.dhtKey()); !bytes.Equal(got, want) {
			t.Errorf("node %d does not hold the record", i)
		}
		if got, err := n.Get(t.Context(), r.dhtKey()); err != nil || !bytes.Equal(got, want) {
			t.Errorf("node %d reads another record: %v", i, err)
		}
	}
	if records, size := nodes[0].Held(); records != 1 || size < len(want) || size > len(want)+256 {
		t.Errorf("holds %d records in %d bytes", records, size)
	}
	reader := w.start(t, nodes[9])
	until(t, "the newcomer finds somebody", func() bool { return reader.Size() > 0 })
	if got, err := reader.Get(t.Context(), r.dhtKey()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("a newcomer does not find the record: %v", err)
	}
}

func TestPutAlone(t *testing.T) {
	var w world
	n := w.start(t)
	r := w.relay(t)
	if stored, err := n.Put(t.Context(), r.dhtKey(), r.sign(0)); stored != 0 || !errors.Is(err, ErrNotStored) {
		t.Errorf("stored at %d nodes, error %v", stored, err)
	}
	if _, err := n.Get(t.Context(), w.relay(t).dhtKey()); !errors.Is(err, ErrNotFound) {
		t.Errorf("looking up what nobody has: %v", err)
	}
}

func TestPutOfWhatIsNotValid(t *testing.T) {
	var w world
	n := w.start(t)
	r := w.relay(t)
	if _, err := n.Put(t.Context(), w.relay(t).dhtKey(), r.sign(0)); !record.IsForged(err) {
		t.Errorf("another's key: %v", err)
	}
	if records, _ := n.Held(); records != 0 {
		t.Error("kept it nevertheless")
	}
}

// Nodes that judge by another network's id refuse what this one puts.
func TestPutRefusedByAll(t *testing.T) {
	w, other := world{}, world{network: [32]byte{1}}
	n := w.start(t)
	for range 3 {
		other.start(t, n)
	}
	until(t, "all have met", func() bool { return n.Size() == 3 })
	r := w.relay(t)
	if stored, err := n.Put(t.Context(), r.dhtKey(), r.sign(0)); stored != 0 || !errors.Is(err, ErrNotStored) {
		t.Errorf("stored at %d nodes, error %v", stored, err)
	}
}

// The count is of those that confirm, among others that refuse, are silent, or
// answer something else: an answer without a record crashes the library's own
// sender.
func TestPutCountsThoseThatConfirm(t *testing.T) {
	t.Parallel()
	var w world
	nodes := w.nodes(t, 5)
	other := world{network: [32]byte{1}}
	other.start(t, nodes[0])
	o := newOutsider(t)
	serve(o.host, nil)
	if err := nodes[0].host.Connect(t.Context(), info(o.host)); err != nil {
		t.Fatal(err)
	}
	until(t, "all have met", func() bool { return nodes[0].Size() == 6 })
	nodes[4].mute()
	r := w.relay(t)
	if stored, err := nodes[0].Put(t.Context(), r.dhtKey(), r.sign(0)); err != nil || stored != 3 {
		t.Errorf("stored at %d nodes (%v), want 3", stored, err)
	}
}

// A copy that is out of place would tell who has published a record.
func TestPutKeepsNoCopyOutOfPlace(t *testing.T) {
	t.Parallel()
	var w world
	nodes := w.many(t, bucketSize+4)
	r := w.relay(t)
	value := r.sign(0)
	sorted := byDistance(nodes, r.dhtKey())
	nearest, farthest := sorted[0], sorted[len(sorted)-1]
	until(t, "the farthest node knows a bucketful of others", func() bool {
		_, _ = farthest.Walk(t.Context()) // it meets more of them
		return farthest.Size() >= bucketSize
	})
	held := func(n *node) int {
		records, _ := n.Held()
		return records
	}
	// It may have had one from when the network was smaller. And several of those
	// nearer to the key do not answer now.
	if err := farthest.store.keep(r.dhtKey(), value); err != nil {
		t.Fatal(err)
	}
	for _, n := range sorted[1:6] {
		n.mute()
	}
	if _, err := farthest.Put(t.Context(), r.dhtKey(), value); err != nil {
		t.Fatal(err)
	}
	if held(farthest) != 0 {
		t.Error("the farthest node keeps a copy of what it has put")
	}
	holders := 0
	for _, n := range sorted {
		holders += held(n)
	}
	if holders == 0 {
		t.Error("nobody holds the record")
	}
	nearest.store.drop(r.dhtKey())
	if _, err := nearest.Put(t.Context(), r.dhtKey(), value); err != nil {
		t.Fatal(err)
	}
	if held(nearest) != 1 {
		t.Error("the nearest node keeps no copy of what it has put")
	}
}

func TestForgerIsBanned(t *testing.T) {
	var w world
	r := w.relay(t)
	good := r.sign(0)
	broken := bytes.Clone(good)
	broken[len(broken)-1] ^= 1
	foreign := world{network: [32]byte{1}}
	for name, forged := range map[string][]byte{
		"signature":       broken,
		"another's":       w.relay(t).sign(0),
		"another network": (&relay{key: r.key, id: r.id, made: r.made, t: t, w: &foreign}).sign(9),
		"oversize":        append(bytes.Clone(good), make([]byte, 60000)...),
		"truncated":       good[:200],
		"rubbish":         {1, 2, 3},
	} {
		t.Run(name, func(t *testing.T) {
			reader := w.start(t)
			forger := newOutsider(t)
			serve(forger.host, forged)
			if err := reader.host.Connect(t.Context(), info(forger.host)); err != nil {
				t.Fatal(err)
			}
			until(t, "the forger is in the table", func() bool { return reader.Size() == 1 })
			if got, err := reader.Get(t.Context(), r.dhtKey()); !errors.Is(err, ErrNotFound) {
				t.Fatalf("got %d bytes, error %v", len(got), err)
			}
			if !reader.bans.Banned(forger.host.ID()) {
				t.Error("the forger is not banned")
			}
			until(t, "the forger is cut off", func() bool {
				return reader.Size() == 0 && !connected(reader.host, forger.host.ID())
			})
			if err := reader.host.Connect(t.Context(), info(forger.host)); err == nil {
				t.Error("the forger was dialled again")
			}
			if err := forger.host.Connect(t.Context(), info(reader.host)); err == nil {
				until(t, "the forger is refused", func() bool { return !connected(forger.host, reader.host.ID()) })
			}
			if connected(reader.host, forger.host.ID()) {
				t.Error("the forger was let in again")
			}
		})
	}
}

func TestForgerAmongHonestNodes(t *testing.T) {
	var w world
	nodes := w.nodes(t, 5)
	r := w.relay(t)
	good := r.sign(0)
	if _, err := nodes[0].Put(t.Context(), r.dhtKey(), good); err != nil {
		t.Fatal(err)
	}
	forged := r.sign(100)
	forged[len(forged)-1] ^= 1
	forger := newOutsider(t)
	serve(forger.host, forged)
	reader := w.start(t, nodes[0])
	if err := reader.host.Connect(t.Context(), info(forger.host)); err != nil {
		t.Fatal(err)
	}
	until(t, "all have met", func() bool { return reader.Size() == 6 })
	if got, err := reader.Get(t.Context(), r.dhtKey()); err != nil || !bytes.Equal(got, good) {
		t.Errorf("read another record: %v", err)
	}
	if !reader.bans.Banned(forger.host.ID()) || reader.bans.Len() != 1 {
		t.Errorf("banned %d nodes, the forger: %v", reader.bans.Len(), reader.bans.Banned(forger.host.ID()))
	}
}

// An honest node may still hold what has expired, is dated ahead by another's
// clock or was made by another version.
func TestHonestNodesAreNotBanned(t *testing.T) {
	var w world
	r := w.relay(t)
	now := time.Now()
	version := r.sign(0)
	version[0]++
	for name, value := range map[string][]byte{
		"expired":         r.signUntil(uint64(now.Unix()-30000), now.Add(-time.Second)),
		"dated ahead":     r.signUntil(uint64(now.Add(48*time.Hour).Unix()), now.Add(time.Hour)),
		"another version": version,
	} {
		t.Run(name, func(t *testing.T) {
			reader := w.start(t)
			holder := newOutsider(t)
			serve(holder.host, value)
			if err := reader.host.Connect(t.Context(), info(holder.host)); err != nil {
				t.Fatal(err)
			}
			until(t, "the holder is in the table", func() bool { return reader.Size() == 1 })
			if _, err := reader.Get(t.Context(), r.dhtKey()); !errors.Is(err, ErrNotFound) {
				t.Errorf("got %v", err)
			}
			if reader.bans.Len() != 0 || reader.Size() != 1 {
				t.Error("an honest node was banned")
			}
		})
	}
}

// Whatever strangers put, every node goes on holding the newest record.
func TestBadPutsLeaveTheNewest(t *testing.T) {
	var w world
	nodes := w.nodes(t, 6)
	r := w.relay(t)
	older, same := r.sign(50), r.sign(100)
	newest := r.sign(100)
	if bytes.Compare(newest, same) < 0 {
		newest, same = same, newest
	}
	if _, err := nodes[0].Put(t.Context(), r.dhtKey(), older); err != nil {
		t.Fatal(err)
	}
	if stored, err := nodes[1].Put(t.Context(), r.dhtKey(), newest); err != nil || stored != 5 {
		t.Fatalf("the newer record went to %d nodes: %v", stored, err)
	}

	forged := r.sign(200)
	forged[100] ^= 1
	now := time.Now()
	o := newOutsider(t, nodes...)
	for name, bad := range map[string][]byte{
		"forged":     forged,
		"replayed":   older,
		"older":      r.sign(99),
		"oversize":   append(r.sign(200), make([]byte, 1<<20)...),
		"same":       same,
		"far future": r.signUntil(uint64(now.Add(25*time.Hour).Unix()), now.Add(time.Hour)),
		"expired":    r.signUntil(uint64(now.Unix()+300), now.Add(-time.Second)),
		"another's":  w.relay(t).sign(200),
		"empty":      {},
	} {
		for i, n := range nodes {
			if o.put(n, r.dhtKey(), bad) {
				t.Errorf("%s: node %d took it", name, i)
			}
			if got := o.get(n, r.dhtKey()); !bytes.Equal(got, newest) {
				t.Errorf("%s: node %d holds something else now", name, i)
			}
		}
	}
	if stored, err := nodes[2].Put(t.Context(), r.dhtKey(), older); stored != 0 || !errors.Is(err, ErrNotStored) {
		t.Errorf("an honest node put an older record at %d nodes: %v", stored, err)
	}
	if got := o.get(nodes[2], r.dhtKey()); !bytes.Equal(got, newest) {
		t.Error("its own copy was rolled back")
	}
	// Of equal sequences the greater bytes win, in whichever order they come.
	twice := w.relay(t)
	small, great := twice.sign(0), twice.sign(0)
	if bytes.Compare(small, great) > 0 {
		small, great = great, small
	}
	for _, n := range nodes {
		if !o.put(n, twice.dhtKey(), small) || !o.put(n, twice.dhtKey(), great) {
			t.Error("the greater of two equal sequences was refused")
		}
	}
	for _, n := range nodes {
		if got, err := n.Get(t.Context(), twice.dhtKey()); err != nil || !bytes.Equal(got, great) {
			t.Errorf("a reader got the lesser of two: %v", err)
		}
		if got, err := n.Get(t.Context(), r.dhtKey()); err != nil || !bytes.Equal(got, newest) {
			t.Errorf("a reader got another record: %v", err)
		}
	}
}

func TestNewestOfTheAnswersWins(t *testing.T) {
	var w world
	nodes := w.nodes(t, 6)
	r := w.relay(t)
	older, newest := r.sign(0), r.sign(1)
	o := newOutsider(t, nodes...)
	for i, n := range nodes[1:] {
		value := older
		if i == 3 {
			value = newest
		}
		if !o.put(n, r.dhtKey(), value) {
			t.Fatal("a put was refused")
		}
	}
	if got, err := nodes[0].Get(t.Context(), r.dhtKey()); err != nil || !bytes.Equal(got, newest) {
		t.Errorf("an older record won: %v", err)
	}
}

func TestExpiredIsNotServed(t *testing.T) {
	var w world
	nodes := w.nodes(t, 4)
	r := w.relay(t)
	if _, err := nodes[0].Put(t.Context(), r.dhtKey(), r.sign(0)); err != nil {
		t.Fatal(err)
	}
	w.clock.forward(record.DescriptorLifetime)
	o := newOutsider(t, nodes...)
	for i, n := range nodes[:3] {
		if o.get(n, r.dhtKey()) != nil {
			t.Errorf("node %d serves an expired record", i)
		}
	}
	if records, _ := nodes[3].Held(); records != 1 {
		t.Errorf("the node that nobody asked holds %d records", records)
	}
	if _, err := nodes[0].Get(t.Context(), r.dhtKey()); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	// A sequence that was higher once does not stand in the way of a record that is valid now.
	later := r.sign(-10)
	if stored, err := nodes[0].Put(t.Context(), r.dhtKey(), later); err != nil || stored != 3 {
		t.Errorf("a valid record went to %d nodes: %v", stored, err)
	}
}

// Peers that went mute after they had joined must not hold up a look-up: they
// are given two seconds each, all at once.
func TestMutePeers(t *testing.T) {
	t.Parallel()
	for name, mutes := range map[string]int{"20 %": 2, "40 %": 4} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var w world
			nodes := w.nodes(t, 10)
			for _, n := range nodes[:mutes] {
				n.mute()
			}
			reader, holders := nodes[9], nodes[7:9]
			r := w.relay(t)
			want := r.sign(0)
			o := newOutsider(t, holders...)
			for _, n := range holders {
				if !o.put(n, r.dhtKey(), want) {
					t.Fatal("a put was refused")
				}
			}
			if got, err := reader.Get(t.Context(), r.dhtKey()); err != nil || !bytes.Equal(got, want) {
				t.Errorf("the record was not found: %v", err)
			}
			other := w.relay(t)
			if stored, err := reader.Put(t.Context(), other.dhtKey(), other.sign(0)); err != nil || stored != 9-mutes {
				t.Errorf("stored at %d nodes (%v), want %d", stored, err, 9-mutes)
			}
		})
	}
}

func TestAllPeersMute(t *testing.T) {
	t.Parallel()
	var w world
	nodes := w.nodes(t, 5)
	for _, n := range nodes[1:] {
		n.mute()
	}
	r := w.relay(t)
	if _, err := nodes[0].Get(t.Context(), r.dhtKey()); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if _, err := nodes[0].Put(t.Context(), r.dhtKey(), r.sign(0)); !errors.Is(err, ErrNotStored) {
		t.Errorf("got %v", err)
	}
}

// A record is found although everybody who surrounds one of its two places
// keeps quiet about it.
func TestBothSaltedKeysAreAsked(t *testing.T) {
	var w world
	nodes := w.nodes(t, 4)
	want, keys := w.keyRecord(t)
	o := newOutsider(t, nodes...)
	if !o.put(nodes[1], keys[1], want) {
		t.Fatal("the put was refused")
	}
	if got, err := nodes[0].Get(t.Context(), keys[:]...); err != nil || !bytes.Equal(got, want) {
		t.Errorf("not found under the second key: %v", err)
	}
	if _, err := nodes[2].Get(t.Context(), keys[0]); !errors.Is(err, ErrNotFound) {
		t.Errorf("found under the first key alone: %v", err)
	}
}

func TestAnswersAreCutToSize(t *testing.T) {
	o := newOutsider(t)
	r := &requests{answered: func(peer.ID) {}}
	many := new(pb.Message)
	for range 1000 {
		p := &pb.Message_Peer{Id: []byte(o.host.ID())}
		for range 100 {
			p.Addrs = append(p.Addrs, o.host.Addrs()[0].Bytes())
		}
		many.CloserPeers = append(many.CloserPeers, p)
	}
	if err := r.judge(o.host.ID(), pb.NewMessage(pb.Message_FIND_NODE, nil, 0), many); err != nil {
		t.Fatal(err)
	}
	if len(many.CloserPeers) != maxCloser || len(many.CloserPeers[0].Addrs) != maxAddrs {
		t.Errorf("took %d peers with %d addresses", len(many.CloserPeers), len(many.CloserPeers[0].Addrs))
	}
}

func TestWalkMeetsEveryNodeOfASmallNetwork(t *testing.T) {
	var w world
	nodes := w.nodes(t, 6)
	met, err := nodes[0].Walk(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes[1:] {
		if id, ok := NodeID(n.host.ID()); !ok || !slices.Contains(met, id) {
			t.Error("a node was not met")
		}
	}
	if len(met) != 5 {
		t.Errorf("met %d nodes, want 5", len(met))
	}
	alone := w.start(t)
	if met, err := alone.Walk(t.Context()); err == nil {
		t.Errorf("met %d nodes where nobody is", len(met))
	}
}

func TestNodeIDAndAddrInfo(t *testing.T) {
	h := newHost(t, new(Bans), loopback)
	raw, err := publicKey(t, h).Raw()
	if err != nil {
		t.Fatal(err)
	}
	if id, ok := NodeID(h.ID()); !ok || id != hashid.OfNode(ed25519.PublicKey(raw)) {
		t.Error("the node id is not that of the host's key")
	}
	got, err := AddrInfo(&record.Descriptor{Node: [32]byte(raw), Addrs: h.Addrs()})
	if err != nil || got.ID != h.ID() || len(got.Addrs) != len(h.Addrs()) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, ok := NodeID("nobody"); ok {
		t.Error("a peer id that is none has a node id")
	}
}

// Grown tells of a peer once it may be used.
func TestGrown(t *testing.T) {
	var w world
	nodes := w.nodes(t, 2)
	for len(nodes[0].Grown()) > 0 {
		<-nodes[0].Grown()
	}
	w.start(t, nodes[1])
	select {
	case <-nodes[0].Grown():
	case <-time.After(patience):
		t.Fatal("growth went unnoticed")
	}
	until(t, "the newcomer is in the table", func() bool { return nodes[0].Size() == 2 })
}

// A node that is started before the one it knows finds it soon after that has
// started, too.
func TestBootstrapWaitsForTheOther(t *testing.T) {
	t.Parallel()
	reserved, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr, err := manet.FromNetAddr(reserved.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if err := reserved.Close(); err != nil {
		t.Fatal(err)
	}
	var w world
	bans := new(Bans)
	later := newHost(t, bans, libp2p.NoListenAddrs)
	known := peer.AddrInfo{ID: later.ID(), Addrs: []multiaddr.Multiaddr{addr}}

	var tries atomic.Int32
	firstBans := new(Bans)
	first := w.startOn(t, newHost(t, firstBans, loopback), firstBans, func() []peer.AddrInfo {
		tries.Add(1)
		return []peer.AddrInfo{known}
	})
	until(t, "the first has dialled in vain", func() bool { return tries.Load() > 2 })
	if first.Size() != 0 {
		t.Fatal("there is somebody else")
	}
	if err := later.Network().Listen(addr); err != nil {
		t.Fatal(err)
	}
	second := w.startOn(t, later, bans, func() []peer.AddrInfo { return nil })
	until(t, "they have met", func() bool { return first.Size() == 1 && second.Size() == 1 })
}
