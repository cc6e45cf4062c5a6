//go:build linux

package integration

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"chatnt/discovery/hashid"
	"chatnt/overlay/link"
	"chatnt/overlay/onion"
	"chatnt/overlay/relay"
)

// BenchmarkRelayCPU measures what a packet costs the relay it crosses: processor
// time of its whole process, a child that is nothing but this relay on a host
// like a node's. Slices of real packets take turns with slices of frames that it
// passes on in plain, and the cryptography alone is timed in the same process,
// with this one at work beside it in all three. Packets and frames come at the
// same rate, one by one, as they do from people: as fast as they are taken, those
// in plain would come three times as fast and share their wake-ups and writes,
// which BenchmarkRelayCPUFull shows.
//
// What is promised of the whole, no more than the unwrap and 1.6 times the plain
// forwarding, is read as a ratio: ours is the packet less the unwrap, the floor is
// the frame in plain.
func BenchmarkRelayCPU(b *testing.B) { benchmarkRelayCPU(b, nil, costPace) }

// BenchmarkRelayCPUFull is the same with packets and frames as fast as the relay
// takes them.
func BenchmarkRelayCPUFull(b *testing.B) { benchmarkRelayCPU(b, nil, 0) }

// BenchmarkRelayCPUPrivate is the same behind a pre-shared key, as on private networks.
func BenchmarkRelayCPUPrivate(b *testing.B) {
	psk := make([]byte, 32)
	_, _ = rand.Read(psk)
	benchmarkRelayCPU(b, psk, costPace)
}

// costPace is the time from one packet to the next: a rate far above the tag
// budget's, and a third of what a core can open.
const costPace = 100 * time.Microsecond

func benchmarkRelayCPU(b *testing.B, psk []byte, pace time.Duration) {
	const (
		rounds = 12 // of slices, in each iteration
		slice  = 1024
		window = 60 // packets under way; a link's queue has 64 places
	)
	ctx, cancel := context.WithCancel(b.Context())
	from, to := newCostNode(b, psk), newCostNode(b, psk)
	c := startChild(b, "relay", costConfig{psk, peer.AddrInfo{ID: to.host.ID(), Addrs: to.host.Addrs()}})
	var at costly
	c.ask("who", nil, &at)
	from.knows = at.Info

	credit := make(chan struct{}, window)
	from.start(ctx, costProtocol, func(hashid.NodeID, *onion.Packet) {})
	to.start(ctx, costProtocol, func(_ hashid.NodeID, p *onion.Packet) {
		to.link.Put(p)
		<-credit
	})
	b.Cleanup(func() { cancel(); from.stop(b); to.stop(b) })

	end, err := onion.GenerateKey()
	if err != nil {
		b.Fatal(err)
	}
	hops := []onion.Hop{{Node: at.id(b), Key: at.Key}, {Node: to.id, Key: end.Public()}}
	packets := make([]onion.Packet, slice)
	// pass sends all packets through the child, at the given pace, and returns the processor time that the child spent on each.
	pass := func(plain bool) time.Duration {
		c.ask("plain", plain, nil)
		before := c.usage().CPU
		timeout := time.After(patience)
		put := func() {
			select {
			case credit <- struct{}{}:
			case <-timeout:
				b.Fatal("packets are lost on the way")
			}
		}
		next := time.Now()
		for i := range packets {
			for next = next.Add(pace); time.Now().Before(next); {
				runtime.Gosched() // a timer would be late by as much as the pace
			}
			put()
			p := from.link.Get()
			*p = packets[i]
			if err := from.link.Send(hops[0].Node, p); err != nil {
				b.Fatal(err)
			}
		}
		for range window { // until the last has come through
			put()
		}
		spent := c.usage().CPU - before
		for range window {
			<-credit
		}
		return spent / slice
	}
	wrap := func() {
		for i := range packets {
			if err := onion.Wrap(&packets[i], hops, nil); err != nil {
				b.Fatal(err)
			}
		}
	}
	pass(true) // connects
	var ours, plain, unwrap []time.Duration
	wrap()
	round := func() { // it ends with fresh packets
		ours = append(ours, pass(false))
		plain = append(plain, pass(true))
		busy := make(chan struct{})
		go func() { // as in the other slices: cores share caches and clock
			defer close(busy)
			wrap()
		}()
		var alone time.Duration
		c.ask("unwrap", nil, &alone)
		unwrap = append(unwrap, alone)
		<-busy
	}
	for b.Loop() {
		for range rounds {
			round()
		}
	}
	var s relay.Stats
	c.ask("stats", nil, &s)
	if want := uint64(slice * len(ours)); s.Forwarded != want {
		b.Fatalf("%d packets of %d were relayed: %+v", s.Forwarded, want, s)
	}
	o, p, u := median(ours), median(plain), median(unwrap)
	b.ReportMetric(0, "ns/op") // the mean of the parts together says nothing
	b.ReportMetric(us(o-u), "us/ours")
	b.ReportMetric(us(p), "us/floor")
	b.ReportMetric(us(o), "us/packet")
	b.ReportMetric(us(u), "us/unwrap")
	b.ReportMetric(float64(o-u)/float64(p), "x-floor")
}

// costNode is a host and a link on it, in this process.
type costNode struct {
	id    hashid.NodeID
	host  host.Host
	link  *link.Link
	knows peer.AddrInfo // whom it sends to
	done  chan error
}

const costProtocol = "/chatnt/cost/1"

func newCostNode(tb testing.TB, psk []byte) *costNode {
	tb.Helper()
	n := new(costNode)
	var err error
	if n.host, n.id, err = costHost(psk); err != nil {
		tb.Fatal(err)
	}
	return n
}

func (n *costNode) start(ctx context.Context, proto protocol.ID, receive func(hashid.NodeID, *onion.Packet)) {
	n.link = link.New(link.Config{
		Host: n.host, Protocol: proto, Receive: receive,
		Resolve: func(context.Context, hashid.NodeID) (peer.AddrInfo, error) { return n.knows, nil },
	})
	n.done = make(chan error, 1)
	go func() { n.done <- n.link.Run(ctx) }()
}

// stop ends a node whose context has ended.
func (n *costNode) stop(tb testing.TB) {
	if err := errors.Join(n.host.Network().Close(), n.host.Close(), <-n.done); err != nil {
		tb.Error(err)
	}
}

// costHost makes a host as package node does, behind a pre-shared key if there is one.
func costHost(psk []byte) (host.Host, hashid.NodeID, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, hashid.NodeID{}, err
	}
	key, err := crypto.UnmarshalEd25519PrivateKey(private)
	if err != nil {
		return nil, hashid.NodeID{}, err
	}
	options := []libp2p.Option{
		libp2p.Identity(key), libp2p.Transport(tcp.NewTCPTransport), libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableMetrics(), libp2p.Ping(false), libp2p.ListenAddrStrings(loopback),
	}
	if psk != nil {
		options = append(options, libp2p.PrivateNetwork(psk))
	}
	h, err := libp2p.New(options...)
	return h, hashid.OfNode(public), err
}

// costConfig is what the child of BenchmarkRelayCPU is told.
type costConfig struct {
	PSK  []byte
	Next peer.AddrInfo // where all packets go
}

// costly is what it tells of itself.
type costly struct {
	Info peer.AddrInfo
	Key  onion.PublicKey
}

func (c costly) id(tb testing.TB) hashid.NodeID {
	tb.Helper()
	id, err := nodeOf(c.Info.ID)
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

func nodeOf(p peer.ID) (hashid.NodeID, error) {
	key, err := p.ExtractPublicKey()
	if err != nil {
		return hashid.NodeID{}, err
	}
	raw, err := key.Raw()
	return hashid.OfNode(raw), err
}

// childRelay is one relay and its link on a real host. It relays, or when told so
// passes frames on in plain.
func childRelay(ctx context.Context, raw []byte) (answer func(string, []byte) (any, error), wait func() error, err error) {
	var config costConfig
	if err := json.Unmarshal(raw, &config); err != nil {
		return nil, nil, err
	}
	h, self, err := costHost(config.PSK)
	if err != nil {
		return nil, nil, err
	}
	next, err := nodeOf(config.Next.ID)
	if err != nil {
		return nil, nil, err
	}
	var (
		plain atomic.Bool
		l     *link.Link
		r     *relay.Relay
	)
	l = link.New(link.Config{
		Host: h, Protocol: costProtocol,
		Resolve: func(context.Context, hashid.NodeID) (peer.AddrInfo, error) { return config.Next, nil },
		Receive: func(from hashid.NodeID, p *onion.Packet) {
			if plain.Load() {
				_ = l.Send(next, p)
			} else {
				r.Handle(from, p)
			}
		},
	})
	r = relay.New(relay.Config{
		Self: self, Now: time.Now, Send: l.Send, Free: l.Put,
		Deliver: func(hashid.NodeID, []byte) {}, Reply: func(onion.SURBID, *[onion.PayloadSize]byte) {},
	})
	_, keys, err := r.Keys(time.Now())
	if err != nil {
		return nil, nil, err
	}
	unwrap, err := unwrapper(self, next)
	if err != nil {
		return nil, nil, err
	}
	done := make(chan error, 2)
	go func() { done <- l.Run(ctx) }()
	go func() { done <- r.Run(ctx) }()
	wait = func() error { return errors.Join(h.Network().Close(), h.Close(), <-done, <-done) }
	answer = func(what string, args []byte) (any, error) {
		switch what {
		case "who":
			return costly{peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}, keys[0]}, nil
		case "plain":
			var on bool
			err := json.Unmarshal(args, &on)
			plain.Store(on)
			return nil, err
		case "unwrap":
			return unwrap()
		case "stats":
			return r.Stats(), nil
		}
		return nil, fmt.Errorf("%q is no question for a relay", what)
	}
	return answer, wait, nil
}

// unwrapper returns what measures the processor time of taking one layer off a
// packet that has just been copied, in this process.
func unwrapper(self, next hashid.NodeID) (func() (time.Duration, error), error) {
	key, err := onion.GenerateKey()
	if err != nil {
		return nil, err
	}
	packets := make([]onion.Packet, 1024)
	hops := []onion.Hop{{Node: self, Key: key.Public()}, {Node: next, Key: key.Public()}}
	for i := range packets {
		if err := onion.Wrap(&packets[i], hops, nil); err != nil {
			return nil, err
		}
	}
	return func() (time.Duration, error) {
		before, err := measure()
		if err != nil {
			return 0, err
		}
		p := new(onion.Packet)
		for i := range packets {
			*p = packets[i]
			h, err := key.Open(p)
			if err != nil {
				return 0, err
			}
			h.Strip(p)
		}
		after, err := measure()
		return (after.CPU - before.CPU) / time.Duration(len(packets)), err
	}, nil
}
