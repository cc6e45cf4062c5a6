package integration

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"chatnt/discovery"
	"chatnt/discovery/dht"
	"chatnt/discovery/gossip"
	"chatnt/discovery/hashid"
	"chatnt/discovery/network"
	"chatnt/discovery/record"
	"chatnt/overlay"
	"chatnt/overlay/link"
	"chatnt/overlay/onion"
	"chatnt/overlay/path"
	"chatnt/overlay/relay"
)

// hostile is what a relay does with the packets it should forward.
type hostile interface {
	// forward sends p on, or what it likes to in its place, and owns it.
	forward(l *link.Link, to hashid.NodeID, p *onion.Packet) error
	done() uint64 // packets it did it to
}

// replayer sends everything twice.
type replayer struct{ n atomic.Uint64 }

func (r *replayer) forward(l *link.Link, to hashid.NodeID, p *onion.Packet) error {
	again := l.Get()
	*again = *p
	if err := l.Send(to, p); err != nil {
		l.Put(again)
		return err
	}
	if err := l.Send(to, again); err != nil {
		return err
	}
	r.n.Add(1)
	return nil
}

func (r *replayer) done() uint64 { return r.n.Load() }

// flipper flips one bit at an offset.
type flipper struct {
	at int
	n  atomic.Uint64
}

func (f *flipper) forward(l *link.Link, to hashid.NodeID, p *onion.Packet) error {
	p[f.at] ^= 0x10
	f.n.Add(1)
	return l.Send(to, p)
}

func (f *flipper) done() uint64 { return f.n.Load() }

// dropper says that it forwards, and does not.
type dropper struct{ n atomic.Uint64 }

func (d *dropper) forward(l *link.Link, _ hashid.NodeID, p *onion.Packet) error {
	d.n.Add(1)
	l.Put(p)
	return nil
}

func (d *dropper) done() uint64 { return d.n.Load() }

// TestHostileRelays sends messages where one relay does not do as it should:
// every message still comes, once and in order, and what honest relays should
// drop they do.
func TestHostileRelays(t *testing.T) {
	t.Parallel()
	const inHeader, inPayload = onion.Size - onion.PayloadSize - 20, onion.Size - 1000
	for _, tt := range []struct {
		name  string
		bad   []hostile
		check func(t *testing.T, bad []hostile, honest relay.Stats, ends uint64) bool
	}{
		{
			"replay",
			[]hostile{new(replayer)},
			func(t *testing.T, bad []hostile, honest relay.Stats, ends uint64) bool {
				return honest.Replayed > 0 && honest.Replayed+ends >= bad[0].done()
			},
		},
		{
			"flip in the header",
			[]hostile{&flipper{at: inHeader}},
			func(t *testing.T, bad []hostile, honest relay.Stats, ends uint64) bool {
				return honest.Unreadable > 0 && honest.Unreadable+ends >= bad[0].done()
			},
		},
		{
			// Nobody on the way can tell; the end node does. (Of an answer, that is
			// whoever asked, who does not count it.)
			"flip in the payload",
			[]hostile{&flipper{at: inPayload}},
			func(t *testing.T, bad []hostile, honest relay.Stats, ends uint64) bool {
				return ends > 0 && honest.Unreadable+honest.Replayed == 0
			},
		},
		{
			"drop",
			[]hostile{new(dropper)},
			func(t *testing.T, bad []hostile, honest relay.Stats, ends uint64) bool { return true },
		},
		{
			"all",
			[]hostile{new(replayer), &flipper{at: inPayload}, new(dropper)},
			func(t *testing.T, bad []hostile, honest relay.Stats, ends uint64) bool { return honest.Replayed > 0 },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			net := newNetwork(t, false)
			people := newPeople(t, net, 2)
			introduce(t, people...)
			alice, bob := people[0], people[1]
			alice.start()
			joined := alice.invited()
			bob.join(joined)
			bob.start()
			var honest []*bareRelay
			// So many that most paths are clean: a message that meets a relay that
			// loses it waits seconds for its next attempt.
			for range 6 + 2*len(tt.bad) {
				honest = append(honest, newRelay(t, joined, nil))
			}
			for _, bad := range tt.bad {
				newRelay(t, joined, bad)
			}
			usable := 1 + len(honest) + len(tt.bad)
			alice.awaitRelays(usable)
			bob.awaitRelays(usable)
			for _, r := range honest {
				r.awaitRelays(usable)
			}

			// No more at once than are under way at once: a window moves on when the
			// unluckiest message in it has come, after five attempts or six.
			var sent, back []string
			for range count(1, 6) {
				var lastOut, lastBack string
				for range 30 {
					sent = append(sent, fmt.Sprintf("out %d", len(sent)))
					lastOut = alice.send(bob, sent[len(sent)-1])
				}
				for range 5 {
					back = append(back, fmt.Sprintf("back %d", len(back)))
					lastBack = bob.send(alice, back[len(back)-1])
				}
				alice.awaitState(lastOut, "delivered")
				bob.awaitState(lastBack, "delivered")
			}
			bob.awaitText(alice, sent[len(sent)-1])
			alice.awaitText(bob, back[len(back)-1])
			bob.expectTexts(alice, sent)
			alice.expectTexts(bob, back)
			for _, bad := range tt.bad {
				if bad.done() == 0 {
					t.Errorf("no packet went through the %T: this shows nothing", bad)
				}
			}

			// A packet may still be on its way to where it is counted: more
			// messages show that time passes.
			ok := func() bool {
				var sum relay.Stats
				for _, r := range honest {
					s := r.overlay.Stats()
					sum.Replayed += s.Replayed
					sum.Unreadable += s.Unreadable
				}
				return tt.check(t, tt.bad, sum, alice.node.Status().Dropped+bob.node.Status().Dropped)
			}
			for tries := 0; !ok(); tries++ {
				if tries == 20 {
					for _, r := range honest {
						t.Logf("an honest relay: %+v", r.overlay.Stats())
					}
					t.Fatalf("what should be dropped is not counted; hostile packets: %d; %s", tt.bad[0].done(), alice.last())
				}
				roundTripNamed(alice, bob, tries)
			}
		})
	}
}

func roundTripNamed(a, b *person, n int) {
	a.t.Helper()
	text := fmt.Sprintf("meanwhile %d", n)
	a.awaitState(a.send(b, text), "delivered")
	b.awaitText(a, text)
}

// bareRelay is a node that only relays, put together from the parts of package
// node's.
type bareRelay struct {
	t         testing.TB
	net       *network.Network
	key       ed25519.PrivateKey
	self      hashid.NodeID
	host      host.Host
	table     *dht.DHT
	directory *discovery.Directory
	overlay   *overlay.Overlay
	link      *link.Link
	bad       hostile // nil: it forwards what it should
	sequence  atomic.Uint64

	carrier  host.Host // what its link works on, unless set its host
	services map[string]overlay.Service
}

// Send, Get and Put are what the overlay needs of a link.
func (r *bareRelay) Send(to hashid.NodeID, p *onion.Packet) error {
	if r.bad == nil {
		return r.link.Send(to, p)
	}
	return r.bad.forward(r.link, to, p)
}

func (r *bareRelay) Get() *onion.Packet  { return r.link.Get() }
func (r *bareRelay) Put(p *onion.Packet) { r.link.Put(p) }

// newRelay joins a network with a relay that runs until the test ends. What is to
// be different about it may be changed once its host is there.
func newRelay(t testing.TB, net *network.Network, bad hostile, with ...func(*bareRelay)) *bareRelay {
	t.Helper()
	return newExit(t, net, bad, nil, nil, with...)
}

// newExit is newRelay with a tap on what its hash table is asked, and with other services
// for records than the honest ones; either may be nil.
func newExit(t testing.TB, net *network.Network, bad hostile, tap *tableTap, serve func(honest map[string]overlay.SlowService) map[string]overlay.SlowService, with ...func(*bareRelay)) *bareRelay {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r := &bareRelay{t: t, net: net, key: key, self: hashid.OfNode(public), bad: bad}
	bans := new(dht.Bans)
	r.host = newHost(t, key, net, libp2p.ConnectionGater(bans), libp2p.ListenAddrStrings(loopback))
	r.carrier = r.host
	for _, change := range with {
		change(r)
	}
	r.sequence.Store(uint64(time.Now().Unix()))
	log := slog.New(slog.DiscardHandler)
	r.directory = discovery.NewDirectory(r.self, net.ID(), time.Now, log)

	table, err := dht.New(dht.Config{
		Host: tapped{r.host, tap}, Bans: bans, Protocol: protocol.ID(net.Protocol("dht")), Log: log,
		Validator: record.Validator{Network: net.ID(), Now: time.Now},
		Bootstrap: func() []peer.AddrInfo {
			infos, err := peer.AddrInfosFromP2pAddrs(net.Bootstrap...)
			if err != nil {
				panic(err) // the invite came from a node
			}
			return infos
		},
		Stored: func(_ string, value []byte) { _, _ = r.directory.Learn(value) },
	})
	if err != nil {
		t.Fatal(err)
	}
	r.table = table
	topic, err := gossip.New(gossip.Config{
		Host: r.host, Protocol: protocol.ID(net.Protocol("gossip")), Name: net.Protocol("relays"),
		MaxSize: record.MaxDescriptor,
		Judge: func(data []byte) gossip.Verdict {
			if pass, err := r.directory.Heard(data); pass && err == nil {
				return gossip.Accept
			}
			return gossip.Ignore
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	finder, err := discovery.NewFinder(r.directory, table)
	if err != nil {
		t.Fatal(err)
	}
	r.link = link.New(link.Config{
		Host: r.carrier, Protocol: protocol.ID(net.Protocol("onion/x25519/1")),
		Resolve: func(ctx context.Context, to hashid.NodeID) (peer.AddrInfo, error) {
			desc, err := finder.Find(ctx, to)
			if err != nil {
				return peer.AddrInfo{}, err
			}
			return dht.AddrInfo(desc)
		},
		Receive:     func(from hashid.NodeID, p *onion.Packet) { r.overlay.Receive(from, p) },
		Unreachable: r.directory.Suspect,
	})
	services := overlay.RecordServices(table, record.Validator{Network: net.ID(), Now: time.Now})
	if serve != nil {
		services = serve(services)
	}
	r.overlay = overlay.New(overlay.Config{
		Self: r.self, Link: r, Paths: overlay.NewGuarded(r.directory, path.New(path.Rules{Self: r.self, Hops: net.Hops}), time.Now, nil), Finder: finder, Now: time.Now, Log: log,
		Services: r.services, Slow: services,
	})
	publisher := discovery.NewPublisher(table, time.Now, log, discovery.Publication{
		What: "relay descriptor", Keys: []string{record.DescriptorKey(r.self)}, Every: time.Hour,
		Sign:     r.descriptor,
		Announce: func(ctx context.Context, value []byte) { _ = topic.Publish(ctx, value) },
	})

	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, part := range []func(context.Context) error{
		r.link.Run, r.overlay.Run, table.Run, publisher.Run,
		func(ctx context.Context) error { return r.directory.Run(ctx, table) },
	} {
		wg.Go(func() {
			if err := part(ctx); err != nil {
				t.Errorf("a part of a relay ended: %v", err)
			}
		})
	}
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-table.Grown():
				r.directory.Grown()
				publisher.Grown()
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		// In the order of package node: connections first.
		if err := errors.Join(topic.Close(), r.host.Network().Close(), table.Close(), r.host.Close()); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
	return r
}

// descriptor signs what others are to know of the relay.
func (r *bareRelay) descriptor(now time.Time) ([]byte, error) {
	first, keys, err := r.overlay.Keys(now)
	if err != nil {
		return nil, err
	}
	d := &record.Descriptor{
		Node: [32]byte(r.key.Public().(ed25519.PublicKey)), Sequence: r.sequence.Add(1),
		Expires: now.Add(record.DescriptorLifetime), FirstEpoch: first,
		Flags: record.FlagRelay, Addrs: r.host.Addrs(),
	}
	for i, key := range keys {
		d.Keys[i] = key
	}
	return d.Sign(r.net.ID(), r.key)
}

func (r *bareRelay) awaitRelays(n int) {
	r.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		changed := r.directory.Changed()
		have := len(r.directory.Usable())
		if have >= n {
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			r.t.Fatalf("a relay waited in vain for %d usable relays: it has %d", n, have)
		}
	}
}

// newHost makes a libp2p host as package node does.
func newHost(t testing.TB, key ed25519.PrivateKey, net *network.Network, more ...libp2p.Option) host.Host {
	t.Helper()
	private, err := crypto.UnmarshalEd25519PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	opts := append([]libp2p.Option{
		libp2p.Identity(private), libp2p.Transport(tcp.NewTCPTransport), libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.DisableMetrics(), libp2p.Ping(false), libp2p.UserAgent("chatnt"),
	}, more...)
	if !net.Public {
		opts = append(opts, libp2p.PrivateNetwork(net.PSK[:]))
	}
	h, err := libp2p.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}
