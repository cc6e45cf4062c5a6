package integration

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"chatnt/discovery/hashid"
	"chatnt/overlay/link"
	"chatnt/overlay/onion"
	"chatnt/overlay/relay"
)

// circuitNodes are the nodes of a round trip: the sender, three relays, the end
// node, three other relays. Every one sends to the next, so there are as many
// links as nodes.
const circuitNodes = 2 * (onion.Relays + 1)

// station is one node of the circuit: a link, and behind it a relay or, for the
// floor, nothing but passing frames on.
type station struct {
	id    hashid.NodeID
	host  host.Host
	link  *link.Link
	relay *relay.Relay
	key   onion.PublicKey

	plain atomic.Bool // pass frames to next as they are
	next  hashid.NodeID
}

// circuit is a ring of stations on loopback sockets; the first is the sender.
type circuit struct {
	stations []*station
	last     int           // the station where a packet's way ends: the sender, or the end node
	there    chan struct{} // something came to the last one
	keys     *onion.ReplyKeys
}

func newCircuit(b *testing.B, last int) *circuit {
	b.Helper()
	c := &circuit{last: last, there: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 2*circuitNodes)
	b.Cleanup(func() {
		cancel()
		for _, s := range c.stations {
			_ = s.host.Close()
		}
		for range 2 * circuitNodes {
			if err := <-done; err != nil {
				b.Error(err)
			}
		}
	})
	addrs := make(map[hashid.NodeID]peer.AddrInfo)
	for i := range circuitNodes {
		s := c.newStation(b, i, addrs)
		c.stations = append(c.stations, s)
	}
	for i, s := range c.stations {
		s.next = c.stations[(i+1)%circuitNodes].id
		addrs[s.id] = peer.AddrInfo{ID: s.host.ID(), Addrs: s.host.Addrs()}
	}
	for _, s := range c.stations {
		go func() { done <- s.link.Run(ctx) }()
		go func() { done <- s.relay.Run(ctx) }()
	}
	return c
}

func (c *circuit) newStation(b *testing.B, i int, addrs map[hashid.NodeID]peer.AddrInfo) *station {
	b.Helper()
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	key, err := crypto.UnmarshalEd25519PrivateKey(private)
	if err != nil {
		b.Fatal(err)
	}
	h, err := libp2p.New(libp2p.Identity(key), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics(),
		libp2p.Transport(tcp.NewTCPTransport), libp2p.Security(libp2ptls.ID, libp2ptls.New), libp2p.DisableRelay())
	if err != nil {
		b.Fatal(err)
	}
	s := &station{id: hashid.OfNode(pub), host: h}
	s.link = link.New(link.Config{
		Host: h, Protocol: "/chatnt/bench/1",
		Resolve: func(_ context.Context, to hashid.NodeID) (peer.AddrInfo, error) { return addrs[to], nil },
		Receive: func(from hashid.NodeID, p *onion.Packet) {
			switch {
			case !s.plain.Load():
				s.relay.Handle(from, p)
			case i == c.last:
				s.link.Put(p)
				c.there <- struct{}{}
			default:
				_ = s.link.Send(s.next, p)
			}
		},
		Unreachable: func(hashid.NodeID) {},
	})
	s.relay = relay.New(relay.Config{
		Self: s.id, Now: time.Now, Send: s.link.Send, Free: s.link.Put,
		Deliver: func(_ hashid.NodeID, body []byte) {
			if i == c.last {
				c.there <- struct{}{}
				return
			}
			surb, err := onion.ParseSURB(body[:onion.SURBSize])
			if err != nil {
				return
			}
			p, first := s.link.Get(), surb.First()
			if surb.Use(p, body[onion.SURBSize:]) == nil {
				_ = s.link.Send(first, p)
			}
		},
		Reply: func(_ onion.SURBID, payload *[onion.PayloadSize]byte) {
			if _, err := c.keys.Open(payload); err == nil {
				c.there <- struct{}{}
			}
		},
	})
	_, keys, err := s.relay.Keys(time.Now())
	if err != nil {
		b.Fatal(err)
	}
	s.key = keys[0]
	return s
}

func (c *circuit) hops(from, to int) []onion.Hop {
	var hops []onion.Hop
	for i := from; i <= to; i++ {
		s := c.stations[i%circuitNodes]
		hops = append(hops, onion.Hop{Node: s.id, Key: s.key})
	}
	return hops
}

// setPlain makes the stations relay, or pass frames on as they are.
func (c *circuit) setPlain(plain bool) {
	for _, s := range c.stations {
		s.plain.Store(plain)
	}
}

func (c *circuit) wait(b *testing.B) {
	b.Helper()
	select {
	case <-c.there:
	case <-time.After(10 * time.Second):
		b.Fatal("nothing came within ten seconds")
	}
}

// BenchmarkRoundTrip times a packet through three relays to the end node, and
// its answer through three others by a reply block, against the same eight links
// in plain plus the cryptography of the nodes on the way. All are timed in turn
// within one run; the figure to read is the ratio of the medians.
func BenchmarkRoundTrip(b *testing.B) {
	c := newCircuit(b, 0)
	sender := c.stations[0]
	const end = circuitNodes / 2
	var onionTrip, plainTrip, steps, wrap, surbs []time.Duration
	since := func(list *[]time.Duration, start time.Time) { *list = append(*list, time.Since(start)) }
	for b.Loop() {
		start := time.Now()
		surb, _, keys, err := onion.NewSURB(c.hops(end+1, circuitNodes))
		if err != nil {
			b.Fatal(err)
		}
		since(&surbs, start)
		c.keys = keys
		body := append(surb[:], make([]byte, onion.BodySize-onion.SURBSize)...)
		p := sender.link.Get()
		start = time.Now()
		if err := onion.Wrap(p, c.hops(1, end), body); err != nil {
			b.Fatal(err)
		}
		since(&wrap, start)

		c.setPlain(false)
		start = time.Now()
		if err := sender.link.Send(c.stations[1].id, p); err != nil {
			b.Fatal(err)
		}
		c.wait(b)
		since(&onionTrip, start)

		c.setPlain(true)
		start = time.Now()
		if err := sender.link.Send(c.stations[1].id, sender.link.Get()); err != nil {
			b.Fatal(err)
		}
		c.wait(b)
		since(&plainTrip, start)

		steps = append(steps, cryptography(b))
	}
	reportOverFloor(b, onionTrip, plainTrip, steps)
	b.ReportMetric(us(median(wrap)), "us/wrap")
	b.ReportMetric(us(median(surbs)), "us/SURB")
}

// reportOverFloor reports a way's time against the same links in plain plus the steps on it.
func reportOverFloor(b *testing.B, ours, plain, steps []time.Duration) {
	b.Helper()
	floor := median(plain) + median(steps)
	b.ReportMetric(0, "ns/op") // the mean of the parts together says nothing
	b.ReportMetric(us(median(ours)), "us/ours")
	b.ReportMetric(us(floor), "us/floor")
	b.ReportMetric(us(median(plain)), "us/plain")
	b.ReportMetric(us(median(steps)), "us/unwraps")
	b.ReportMetric(float64(median(ours))/float64(floor), "x-floor")
}

// BenchmarkOneWay times a packet through three relays to the end node, against the
// same four links in plain plus the layers that the nodes on the way take off. It is
// read as BenchmarkRoundTrip is.
func BenchmarkOneWay(b *testing.B) {
	const end = circuitNodes / 2
	c := newCircuit(b, end)
	sender := c.stations[0]
	hops := c.hops(1, end)
	// Each time a packet is made first, so that what it passes has been idle for as long.
	send := func(list *[]time.Duration, plain bool) {
		c.setPlain(plain)
		p := sender.link.Get()
		if err := onion.Wrap(p, hops, make([]byte, onion.BodySize)); err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		if err := sender.link.Send(c.stations[1].id, p); err != nil {
			b.Fatal(err)
		}
		c.wait(b)
		*list = append(*list, time.Since(start))
	}
	var ours, plain, steps []time.Duration
	for b.Loop() {
		send(&ours, false)
		send(&plain, true)
		steps = append(steps, unwraps(b))
	}
	reportOverFloor(b, ours, plain, steps)
}

// unwraps times how the four nodes of one way take their layers off.
func unwraps(b *testing.B) time.Duration {
	b.Helper()
	private, hops := circuitKeys(b, circuitNodes/2)
	var p onion.Packet
	if err := onion.Wrap(&p, hops, make([]byte, onion.BodySize)); err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	unwrapAll(b, private, &p)
	return time.Since(start)
}

func circuitKeys(b *testing.B, nodes int) (private []*onion.PrivateKey, hops []onion.Hop) {
	b.Helper()
	for i := range nodes {
		key, err := onion.GenerateKey()
		if err != nil {
			b.Fatal(err)
		}
		private = append(private, key)
		hops = append(hops, onion.Hop{Node: hashid.NodeID{byte(i + 1)}, Key: key.Public()})
	}
	return private, hops
}

// unwrapAll takes the layers of a packet off, to the body.
func unwrapAll(b *testing.B, private []*onion.PrivateKey, p *onion.Packet) {
	b.Helper()
	for _, key := range private {
		h, err := key.Open(p)
		switch {
		case err != nil:
			b.Fatal(err)
		case h.Kind == onion.Forward:
			h.Strip(p)
		default:
			if _, err := h.Deliver(p); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// cryptography times what the eight nodes of a round trip compute: six layers
// taken off at relays, the delivery, the use of the reply block, the opening of
// the reply's header and payload.
func cryptography(b *testing.B) time.Duration {
	b.Helper()
	private, hops := circuitKeys(b, circuitNodes)
	surb, _, keys, err := onion.NewSURB(hops[circuitNodes/2:])
	if err != nil {
		b.Fatal(err)
	}
	var p onion.Packet
	if err := onion.Wrap(&p, hops[:circuitNodes/2], nil); err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	unwrapAll(b, private[:circuitNodes/2], &p)
	if err := surb.Use(&p, nil); err != nil {
		b.Fatal(err)
	}
	for i := circuitNodes / 2; i < circuitNodes; i++ {
		h, err := private[i].Open(&p)
		switch {
		case err != nil:
			b.Fatal(err)
		case h.Kind == onion.Forward:
			h.Strip(&p)
		default:
			if _, err := keys.Open(p.Payload()); err != nil {
				b.Fatal(err)
			}
		}
	}
	return time.Since(start)
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}

func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
