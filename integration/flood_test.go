//go:build linux

package integration

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"chatnt/discovery/dht"
	"chatnt/discovery/hashid"
	invites "chatnt/discovery/network"
	"chatnt/node/control"
	"chatnt/overlay/onion"
)

// siege is a node, alone in a process of its own, and those around it: neighbours
// of ill will that send as fast as it reads, and an honest one.
type siege struct {
	t        testing.TB
	child    *child
	psk      []byte
	protocol protocol.ID
	info     peer.AddrInfo
	id       hashid.NodeID
	key      onion.PublicKey
	honest   *witness
}

func newSiege(t *testing.T) *siege {
	s := &siege{t: t, child: startChild(t, "node", nil)}
	var text string
	s.child.ask("invite", nil, &text)
	invite, err := invites.ParseInvite(text)
	if err != nil {
		t.Fatal(err)
	}
	joined := invite.Network
	s.psk, s.protocol = joined.PSK[:], protocol.ID(joined.Protocol("onion/x25519/1"))
	scout := newRelay(t, joined, nil)
	scout.awaitRelays(1)
	desc := scout.directory.Usable()[0]
	key, ok := desc.KeyAt(time.Now())
	if !ok {
		t.Fatal("the node has no key for this hour")
	}
	info, err := dht.AddrInfo(desc)
	if err != nil {
		t.Fatal(err)
	}
	s.id, s.key, s.info = desc.ID(), key, info
	s.honest = s.newWitness()
	return s
}

// witness is an honest neighbour and the one it sends to, through the node. Both
// measure what that takes.
type witness struct {
	t        testing.TB
	from, to *costNode
	hops     []onion.Hop
	got      chan arrival
	next     uint64
}

type arrival struct {
	number uint64
	at     time.Time
}

func (s *siege) newWitness() *witness {
	s.t.Helper()
	w := &witness{t: s.t, from: newCostNode(s.t, s.psk), to: newCostNode(s.t, s.psk), got: make(chan arrival, 1<<12)}
	w.from.knows, w.to.knows = s.info, s.info
	key, err := onion.GenerateKey()
	if err != nil {
		s.t.Fatal(err)
	}
	w.hops = []onion.Hop{{Node: s.id, Key: s.key}, {Node: w.to.id, Key: key.Public()}}
	ctx, cancel := context.WithCancel(context.Background())
	s.t.Cleanup(func() { cancel(); w.from.stop(s.t); w.to.stop(s.t) })
	w.from.start(ctx, s.protocol, func(_ hashid.NodeID, p *onion.Packet) { w.from.link.Put(p) })
	w.to.start(ctx, s.protocol, func(_ hashid.NodeID, p *onion.Packet) {
		defer w.to.link.Put(p)
		at := time.Now()
		h, err := key.Open(p)
		if err != nil || h.Kind != onion.Deliver {
			return // not one of ours
		}
		if body, err := h.Deliver(p); err == nil {
			w.got <- arrival{binary.BigEndian.Uint64(body), at}
		}
	})
	s.connect(w.to)
	return w
}

// connect opens a connection to the node, by which it may send back.
func (s *siege) connect(n *costNode) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if err := n.host.Connect(ctx, s.info); err != nil {
		s.t.Fatal(err)
	}
}

// talk sends n packets, one every 20 ms, and returns how long each took, the
// shortest first. What is not there when the last has been gone for so long is lost.
func (w *witness) talk(n int, lost time.Duration) (took []time.Duration) {
	w.t.Helper()
	sent := make(map[uint64]time.Time)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var late <-chan time.Time
	for {
		select {
		case a := <-w.got:
			if at, ours := sent[a.number]; ours {
				took = append(took, a.at.Sub(at))
				delete(sent, a.number)
			}
			if len(took) == n {
				slices.Sort(took)
				return took
			}
		case <-late:
			slices.Sort(took)
			return took
		case <-tick.C:
			if len(sent)+len(took) >= n {
				if late == nil {
					late = time.After(lost)
				}
				continue
			}
			w.next++
			p := w.from.link.Get()
			if err := onion.Wrap(p, w.hops, binary.BigEndian.AppendUint64(nil, w.next)); err != nil {
				w.t.Fatal(err)
			}
			sent[w.next] = time.Now()
			if err := w.from.link.Send(w.hops[0].Node, p); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// p95 is how long all but one in twenty took, of a list in order.
func p95(took []time.Duration) time.Duration {
	if len(took) == 0 {
		return time.Hour
	}
	return took[len(took)*95/100]
}

// raid is one neighbour's attack, until ctx ends. It reports how much it did.
type raid func(ctx context.Context, s *siege, n *costNode, which int) (done uint64)

// frames writes what next returns, one frame after the other, as fast as the node
// reads, and opens a new stream when one ends.
func frames(next func(which int) *onion.Packet) raid {
	return func(ctx context.Context, s *siege, n *costNode, which int) (done uint64) {
		for ctx.Err() == nil {
			stream, err := n.host.NewStream(ctx, s.info.ID, s.protocol)
			if err != nil {
				continue // refused for a moment, or over
			}
			stop := context.AfterFunc(ctx, func() { _ = stream.Reset() })
			for p := next(which); p != nil; p = next(which) {
				if _, err := stream.Write(p[:]); err != nil {
					break
				}
				done++
			}
			stop()
			_ = stream.Reset()
		}
		return done
	}
}

// halfOpen opens streams, writes part to each, and nothing more.
func halfOpen(negotiate bool, part int) raid {
	return func(ctx context.Context, s *siege, n *costNode, _ int) (done uint64) {
		begun := make([]byte, part)
		var held []network.Stream
		defer func() {
			for _, stream := range held {
				_ = stream.Reset()
			}
		}()
		for ctx.Err() == nil {
			stream, err := n.host.Network().NewStream(ctx, s.info.ID)
			if err != nil {
				continue
			}
			held = append(held, stream)
			if negotiate {
				_, _ = stream.Write([]byte("\x13/multistream/1.0.0\n"))
				name := string(s.protocol) + "\n"
				_, _ = stream.Write(append([]byte{byte(len(name))}, name...))
			}
			_, _ = stream.Write(begun)
			done++
			if len(held) > 1000 { // the oldest make room, so that it never ends
				_ = held[0].Reset()
				held = held[1:]
			}
		}
		return done
	}
}

// prepared wraps n packets through the node, with a delay there and to an end.
func (s *siege) prepared(n int, delay time.Duration, end hashid.NodeID) *stock {
	s.t.Helper()
	key, err := onion.GenerateKey()
	if err != nil {
		s.t.Fatal(err)
	}
	hops := []onion.Hop{{Node: s.id, Key: s.key, Delay: delay}, {Node: end, Key: key.Public()}}
	packets := &stock{packets: make([]onion.Packet, n)}
	for i := range packets.packets {
		if err := onion.Wrap(&packets.packets[i], hops, nil); err != nil {
			s.t.Fatal(err)
		}
	}
	return packets
}

// stock hands out packets that were wrapped beforehand, each once at first and
// then all again.
type stock struct {
	packets []onion.Packet
	next    atomic.Uint64
}

func (s *stock) take(int) *onion.Packet {
	return &s.packets[(s.next.Add(1)-1)%uint64(len(s.packets))]
}

// TestFlood has neighbours of ill will do what they can to a node, one of them and
// twenty: as many frames as it can read, of every kind, to next hops that do not
// read too, and streams that are left half open. What an honest neighbour sends
// goes through all the while, another can still join, memory stays bounded, and
// ten seconds later all is as before.
func TestFlood(t *testing.T) {
	goHome(t)
	const most = 150 // MB, of the whole node
	for _, raiders := range []int{1, 20}[count(1, 0):] {
		if underRace {
			raiders = min(raiders, 5) // they and the node share the machine
		}
		t.Run(fmt.Sprintf("from %d", raiders), func(t *testing.T) {
			s := newSiege(t)
			sink, stuck := newCostNode(t, s.psk), newCostNode(t, s.psk)
			ctx, cancel := context.WithCancel(context.Background())
			t.Cleanup(func() { cancel(); sink.stop(t); stuck.stop(t) })
			sink.start(ctx, s.protocol, func(_ hashid.NodeID, p *onion.Packet) { sink.link.Put(p) })
			stuck.start(ctx, s.protocol, func(hashid.NodeID, *onion.Packet) { <-ctx.Done() })
			s.connect(sink)
			s.connect(stuck)

			for _, attack := range s.attacks(sink.id, stuck.id) {
				t.Run(attack.name, func(t *testing.T) {
					s.t, s.honest.t = t, t
					s.under(attack.prepare(), raiders)
				})
			}
			if u := s.child.usage(); !underRace && u.Peak > most {
				t.Errorf("the node held %.0f MB at its peak, promised are %d", u.Peak, most)
			}
		})
	}
}

type attack struct {
	name    string
	prepare func() raid
}

// attacks are all that is tried at full counts, and the worst ones every day.
func (s *siege) attacks(sink, stuck hashid.NodeID) []attack {
	var garbage onion.Packet
	_, _ = rand.Read(garbage[:])
	everyday := []attack{
		{"garbage", func() raid { return frames(func(int) *onion.Packet { return &garbage }) }},
		{"packets that wait", func() raid { return frames(s.prepared(count(6_000, 40_000), onion.MaxDelay, sink).take) }},
		{"streams without a word", func() raid { return halfOpen(false, 0) }},
	}
	if count(0, 1) == 0 {
		return everyday
	}
	return append(everyday,
		attack{"replays", func() raid { return frames(s.prepared(1, 0, sink).take) }},
		attack{"packets", func() raid { return frames(s.prepared(80_000, 0, sink).take) }},
		attack{"packets to a slow reader", func() raid { return frames(s.prepared(40_000, 0, stuck).take) }},
		attack{"streams without a frame", func() raid { return halfOpen(true, 0) }},
		attack{"streams with half a frame", func() raid { return halfOpen(true, onion.Size/2) }},
	)
}

// under lets raiders loose and looks how the node and its honest neighbour fare
// before, meanwhile, and after.
func (s *siege) under(attack raid, raiders int) {
	t := s.t
	enough := count(25, 200) // honest packets, half a second of them and four
	const atLeast = 25
	before, quiet := s.child.usage(), s.honest.talk(atLeast, 2*time.Second)
	if len(quiet) != atLeast {
		t.Fatalf("%d of %d packets came through in peace", len(quiet), atLeast)
	}
	was := s.status()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var raiding sync.WaitGroup
	var done atomic.Uint64
	var nodes []*costNode
	for i := range raiders {
		n := newCostNode(t, s.psk)
		nodes = append(nodes, n)
		s.connect(n)
		raiding.Go(func() { done.Add(attack(ctx, s, n, i)) })
	}
	begin := time.Now()
	loud := s.honest.talk(enough, 2*time.Second)
	late := s.newWitness()                // somebody who comes while it lasts
	first := late.talk(1, 10*time.Second) // it has to connect first
	during := s.child.usage()
	lasted := time.Since(begin)
	cancel()
	raiding.Wait()
	for _, n := range nodes {
		_ = n.host.Close()
	}

	over := time.Now()
	var after []time.Duration
	var now usage
	for {
		after, now = s.honest.talk(atLeast, 2*time.Second), s.child.usage()
		calm := len(after) == atLeast && p95(after) < max(50*time.Millisecond, 4*p95(quiet)) &&
			now.Goroutines <= before.Goroutines+before.Goroutines/4+50
		if calm || time.Since(over) > 10*time.Second {
			if !calm {
				t.Errorf("%v after the flood: %d of %d came through, p95 %v, goroutines %d, before %d",
					time.Since(over), len(after), atLeast, p95(after), now.Goroutines, before.Goroutines)
			}
			break
		}
	}
	is := s.status()
	t.Logf("%d done in %v (%.0f/s); node: CPU %.0f %%, %d forwarded, %d dropped; RSS %.0f -> %.0f -> %.0f MB (peak %.0f), heap %.0f MB, goroutines %d -> %d -> %d; "+
		"honest: %d/%d, p95 %v -> %v (max %v) -> %v; newcomer %v; calm after %v",
		done.Load(), lasted.Round(time.Millisecond), float64(done.Load())/lasted.Seconds(),
		100*(during.CPU-before.CPU).Seconds()/lasted.Seconds(), is.Forwarded-was.Forwarded, is.Dropped-was.Dropped,
		before.Resident, during.Resident, now.Resident, now.Peak, during.Heap,
		before.Goroutines, during.Goroutines, now.Goroutines,
		len(loud), enough, p95(quiet), p95(loud), slices.Max(append(loud, 0)), p95(after), first, time.Since(over).Round(time.Millisecond))
	bearable := time.Second
	if underRace {
		bearable *= 10
	}
	if len(loud) != enough || p95(loud) > bearable {
		t.Errorf("during the flood %d of %d came through, p95 %v", len(loud), enough, p95(loud))
	}
	if len(first) != 1 {
		t.Error("who came during the flood got nothing through")
	}
	if done.Load() == 0 {
		t.Error("there was no flood: this shows nothing")
	}
}

func (s *siege) status() (st control.Status) {
	s.t.Helper()
	s.child.ask("status", nil, &st)
	return st
}
