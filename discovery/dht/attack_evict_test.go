package dht

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"math/bits"
	"testing"

	"github.com/libp2p/go-libp2p"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	libp2precord "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/multiformats/go-multiaddr"
)

// prefix is how many bits two places have in common at their beginning.
func prefix(a, b place) int {
	d := distance(a, b)
	for i, x := range d {
		if x != 0 {
			return 8*i + bits.LeadingZeros8(x)
		}
	}
	return 8 * len(d)
}

// Ids ground into the bucket of a victim do not drive it out of the table of a
// node that both know, not in that node's first minute either.
func TestGroundIDsDoNotEvict(t *testing.T) {
	t.Parallel()
	var w world
	victim := w.start(t)
	third := w.start(t, victim)
	for prefix(placeOf(third.host.ID()), placeOf(victim.host.ID())) > 8 { // grinding for more takes long
		third = w.start(t, victim)
	}
	inTable := func() bool { return third.kad.RoutingTable().Find(victim.host.ID()) != "" }
	until(t, "the victim is in the table", inTable)
	at := placeOf(third.host.ID())
	bucket := prefix(at, placeOf(victim.host.ID()))
	var keys []crypto.PrivKey
	for len(keys) < 3*bucketSize {
		pub, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if prefix(at, placeOf(peerOf(t, pub))) != bucket {
			continue
		}
		ground, err := crypto.UnmarshalEd25519PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, ground)
	}
	g := newGang(t, keys)
	for _, h := range g.hosts {
		if err := h.Connect(t.Context(), info(third.host)); err != nil {
			t.Fatal(err)
		}
	}
	table := third.kad.RoutingTable()
	// The library looks at few newcomers at a time and forgets the others: let the
	// node meet them in look-ups, too.
	next := 0
	until(t, "the bucket is full", func() bool {
		if !inTable() {
			t.Fatal("the victim was driven out")
		}
		_, _ = third.nearest(t.Context(), string(g.infos[next%len(g.infos)].ID))
		next++
		return table.NPeersForCpl(uint(bucket)) == bucketSize
	})
	for _, member := range g.infos[:8] {
		if _, err := third.nearest(t.Context(), string(member.ID)); err != nil {
			t.Fatal(err)
		}
		if !inTable() {
			t.Fatal("the victim was driven out")
		}
	}
}

// Nodes of a public network that claim addresses in a victim's IP group, more
// than the group may have in a table, do not make it vanish from the answers of
// an honest node that knows it.
func TestClaimedPrefixDoesNotHide(t *testing.T) {
	t.Parallel()
	w := world{public: true}
	at := func(group int, opts ...libp2p.Option) (host.Host, *Bans) {
		bans := new(Bans)
		listen := libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/127.%d.0.1/tcp/0", group))
		return newHost(t, bans, append(opts, listen)...), bans
	}
	honest := func(group int, known ...*node) *node {
		h, bans := at(group)
		return w.startOn(t, h, bans, addrInfos(known))
	}
	const victims = 2
	informant := honest(1)
	// The victim holds a record, and looks for nobody itself.
	r := w.relay(t)
	value := r.sign(0)
	victim, _ := at(victims)
	answer(victim, func(req *pb.Message) *pb.Message {
		resp := pb.NewMessage(req.GetType(), req.GetKey(), 0)
		if string(req.GetKey()) == r.dhtKey() && req.GetType() == pb.Message_GET_VALUE {
			resp.Record = libp2precord.MakePutRecord(r.dhtKey(), value)
		}
		return resp
	})
	if err := victim.Connect(t.Context(), info(informant.host)); err != nil {
		t.Fatal(err)
	}
	until(t, "the informant knows the victim", func() bool { return informant.Size() == 1 })
	for i := range 2 * groupInTable {
		h, _ := at(10+i, libp2p.AddrsFactory(func(own []multiaddr.Multiaddr) []multiaddr.Multiaddr {
			claim := multiaddr.StringCast(fmt.Sprintf("/ip4/127.%d.0.%d/tcp/1", victims, 10+i))
			return append([]multiaddr.Multiaddr{claim}, own...)
		}))
		serve(h, nil)
		if err := h.Connect(t.Context(), info(informant.host)); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the informant knows them all", func() bool { return informant.Size() == 1+2*groupInTable })
	asker := honest(3, informant)
	until(t, "the victim is found", func() bool { return asker.kad.RoutingTable().Find(victim.ID()) != "" })
	if got, err := asker.Get(t.Context(), r.dhtKey()); err != nil || !bytes.Equal(got, value) {
		t.Errorf("what the victim holds is not found: %v", err)
	}
}

// A table takes few peers of one IP group, by the addresses they come from.
func TestTableTakesFewOfAGroup(t *testing.T) {
	t.Parallel()
	w := world{public: true}
	n := w.start(t)
	var hosts []host.Host
	for range 3 * groupInTable {
		h := newHost(t, new(Bans), libp2p.ListenAddrStrings("/ip4/127.9.0.1/tcp/0"))
		serve(h, nil)
		hosts = append(hosts, h)
	}
	for _, h := range hosts {
		// It dials them, so that it is known from where they answer.
		if err := n.host.Connect(t.Context(), info(h)); err != nil {
			t.Fatal(err)
		}
	}
	other := newHost(t, new(Bans), libp2p.ListenAddrStrings("/ip4/127.8.0.1/tcp/0"))
	serve(other, nil)
	if err := n.host.Connect(t.Context(), info(other)); err != nil {
		t.Fatal(err)
	}
	until(t, "another group is let in", func() bool { return n.kad.RoutingTable().Find(other.ID()) != "" })
	if size := n.Size(); size < 2 || size > 1+groupInTable {
		t.Errorf("the table has %d peers, want at most %d of one group", size, groupInTable)
	}
}
