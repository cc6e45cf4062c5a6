package dht

import (
	"encoding/binary"
	"io"
	"strconv"
	"testing"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// However greedy a peer is, each of many others gets its share.
func TestGateShares(t *testing.T) {
	g := newGate()
	greedy := 0
	for ; greedy < 2*maxUnderWay; greedy++ {
		if _, ok := g.enter("greedy"); !ok {
			break
		}
	}
	if greedy == 0 || greedy > maxUnderWay/shareOfFree {
		t.Errorf("one peer has %d requests under way", greedy)
	}
	for i := range 3 * maxUnderWay {
		p := peer.ID(strconv.Itoa(i))
		for range fewUnderWay {
			if _, ok := g.enter(p); !ok {
				t.Fatalf("peer %d was refused", i)
			}
		}
	}
	if _, ok := g.enter("0"); ok {
		t.Error("no bound holds any more")
	}
	g.leave("0")
	if _, ok := g.enter("0"); !ok {
		t.Error("a place was not given back")
	}
}

func TestGateRate(t *testing.T) {
	now := time.Now()
	g := newGate()
	g.now = func() time.Time { return now }
	ask := func(p peer.ID) (time.Duration, bool) {
		wait, ok := g.enter(p)
		if ok {
			g.leave(p)
		}
		return wait, ok
	}
	for i := range requestBurst {
		if wait, ok := ask("a"); !ok || wait > 0 {
			t.Fatalf("request %d of a burst has to wait %v", i, wait)
		}
	}
	for i := range int(longestWait * requestRate / time.Second) {
		if wait, ok := ask("a"); !ok || wait != time.Duration(i+1)*time.Second/requestRate {
			t.Fatalf("request %d after the burst waits %v: %v", i, wait, ok)
		}
	}
	if _, ok := ask("a"); ok {
		t.Error("no rate holds")
	}
	if wait, ok := ask("b"); !ok || wait > 0 {
		t.Error("another pays for it")
	}
	now = now.Add(time.Second)
	got := 0
	for range 2 * requestRate {
		if _, ok := ask("a"); ok {
			got++
		}
	}
	if got != requestRate {
		t.Errorf("%d requests got through in a second", got)
	}
	for i := range 2 * maxAskers {
		ask(peer.ID(strconv.Itoa(i)))
	}
	if len(g.askers) > maxAskers {
		t.Errorf("remembers %d peers", len(g.askers))
	}
}

// A request that is announced too long is refused before its bytes come, and one
// that comes too slowly is given up.
func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	var w world
	n := w.start(t)
	o := newOutsider(t, n)
	for name, bytes := range map[string][]byte{
		"too long":   binary.AppendUvarint(nil, maxRequest+1),
		"four MiB":   binary.AppendUvarint(nil, network.MessageSizeMax),
		"endless":    {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"cut short":  {100, 1, 2, 3},
		"no message": {3, 0xff, 0xff, 0xff},
		"no bytes":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := o.host.NewStream(t.Context(), n.host.ID(), kadProtocol)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Write(bytes); err != nil {
				t.Fatal(err)
			}
			if err := s.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if answer, err := io.ReadAll(s); err == nil || len(answer) > 0 {
				t.Errorf("answered with %d bytes", len(answer))
			}
			if took := time.Since(began); took > patience/2 {
				t.Errorf("the stream was kept for %v", took)
			}
		})
	}
}

// A peer that claims very many addresses does not spoil the answers of honest
// nodes that know it.
func TestAnswersNameFewAddresses(t *testing.T) {
	t.Parallel()
	var w world
	nodes := w.nodes(t, 2)
	boasters := boast(t, 12, 400)
	for _, b := range boasters {
		for _, n := range nodes {
			if err := b.Connect(t.Context(), info(n.host)); err != nil {
				t.Fatal(err)
			}
		}
	}
	until(t, "all are in the tables", func() bool { return nodes[0].Size() == 13 && nodes[1].Size() == 13 })
	o := newOutsider(t, nodes[0])
	resp := o.ask(nodes[0], pb.NewMessage(pb.Message_FIND_NODE, []byte("anybody"), 0))
	if len(resp.GetCloserPeers()) < 13 {
		t.Fatalf("named %d peers", len(resp.GetCloserPeers()))
	}
	for _, p := range resp.GetCloserPeers() {
		if len(p.GetAddrs()) > maxAddrs {
			t.Errorf("named %d addresses of a peer", len(p.GetAddrs()))
		}
	}
	r := w.relay(t)
	if _, err := nodes[0].Put(t.Context(), r.dhtKey(), r.sign(0)); err != nil {
		t.Error(err)
	}
	if _, err := nodes[1].Get(t.Context(), r.dhtKey()); err != nil {
		t.Error(err)
	}
}
