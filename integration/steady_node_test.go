package integration

import (
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/mlkem"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	libp2pnetwork "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"

	"chatnt/discovery"
	"chatnt/discovery/dht"
	"chatnt/discovery/gossip"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/overlay"
	"chatnt/overlay/link"
	"chatnt/overlay/onion"
	"chatnt/overlay/path"
)

// How often a node renews its records, as package node has it.
const (
	steadyDescriptor = 2 * time.Hour
	steadyKeyRecord  = 2 * time.Hour
)

// inhabitant is somebody who lives in a simulated network: what stays when the
// node stops and starts again.
type inhabitant struct {
	nodeKey, personKey ed25519.PrivateKey
	record             record.KeyRecord // but for inbox, sequence and expiry
	clock              time.Duration    // by which its clock is wrong

	mu                           sync.Mutex      // guards the fields below
	nodeSequence, personSequence uint64          // the last ones used
	relays                       []peer.AddrInfo // relays in use when last stored
}

func newInhabitant(t *testing.T, clock time.Duration) *inhabitant {
	t.Helper()
	r := &inhabitant{clock: clock}
	for _, key := range []*ed25519.PrivateKey{&r.nodeKey, &r.personKey} {
		var err error
		if _, *key, err = ed25519.GenerateKey(rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	agreement, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	kem, err := mlkem.GenerateKey768()
	if err != nil {
		t.Fatal(err)
	}
	r.record = record.KeyRecord{
		Identity: [32]byte(r.personKey.Public().(ed25519.PublicKey)), Agreement: [32]byte(agreement.PublicKey().Bytes()),
		Prekey: record.Prekey{Key: [32]byte(agreement.PublicKey().Bytes())},
	}
	copy(r.record.KEMPrekey.Key[:], kem.EncapsulationKey().Bytes())
	return r
}

func (r *inhabitant) now() time.Time { return time.Now().Add(r.clock) }
func (r *inhabitant) node() hashid.NodeID {
	return hashid.OfNode(r.nodeKey.Public().(ed25519.PublicKey))
}
func (r *inhabitant) person() hashid.ID { return r.record.Hashid() }

// steadyNode is an inhabitant's node while it runs: every part of a real one below
// its messages, wired as package node does it, on an ether in memory.
type steadyNode struct {
	*inhabitant
	t       *testing.T
	network [32]byte
	born    time.Time
	end     *etherEnd
	seeds   []peer.AddrInfo // what its invite names

	host      host.Host
	sockets   func() error
	table     *steadyTable
	topic     *gossip.Topic
	directory *discovery.Directory
	publisher *discovery.Publisher
	link      *link.Link
	overlay   *overlay.Overlay

	cancel context.CancelFunc
	parts  sync.WaitGroup
}

// steadyTable counts what is asked of a node's hash table.
type steadyTable struct {
	*dht.DHT
	walks, gets, puts, dials atomic.Int64
}

func (c *steadyTable) Walk(ctx context.Context) ([]hashid.NodeID, error) {
	c.walks.Add(1)
	return c.DHT.Walk(ctx)
}

func (c *steadyTable) Get(ctx context.Context, keys ...string) ([]byte, error) {
	c.gets.Add(1)
	return c.DHT.Get(ctx, keys...)
}

func (c *steadyTable) Put(ctx context.Context, key string, value []byte) (int, error) {
	c.puts.Add(1)
	return c.DHT.Put(ctx, key, value)
}

func (c *steadyTable) Dial(ctx context.Context, desc *record.Descriptor) error {
	c.dials.Add(1)
	return c.DHT.Dial(ctx, desc)
}

// startSteady starts an inhabitant's node at an address of an ether.
func startSteady(t *testing.T, w *ether, network [32]byte, who *inhabitant, addr netip.AddrPort, seeds ...peer.AddrInfo) *steadyNode {
	t.Helper()
	n := &steadyNode{inhabitant: who, t: t, network: network, born: time.Now(), seeds: seeds}
	identity, err := crypto.UnmarshalEd25519PrivateKey(who.nodeKey)
	if err != nil {
		t.Fatal(err)
	}
	bans := new(dht.Bans)
	var sockets libp2p.Option
	sockets, n.end, n.sockets = w.option(addr)
	n.host, err = libp2p.New(sockets, libp2p.Identity(identity), libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", addr.Addr(), addr.Port())),
		libp2p.Security(libp2ptls.ID, libp2ptls.New), libp2p.ConnectionGater(bans),
		libp2p.ResourceManager(&libp2pnetwork.NullResourceManager{}),
		libp2p.DisableIdentifyAddressDiscovery(), // it holds virtual time up
		libp2p.UDPBlackHoleSuccessCounter(nil), libp2p.IPv6BlackHoleSuccessCounter(nil),
		libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.Ping(false))
	if err != nil {
		t.Fatal(err)
	}
	n.assemble(bans)
	n.run()
	return n
}

// assemble wires the layers.
func (n *steadyNode) assemble(bans *dht.Bans) {
	must := func(err error) {
		if err != nil {
			n.t.Fatal(err)
		}
	}
	log := slog.New(slog.DiscardHandler)
	self := n.node()
	n.directory = discovery.NewDirectory(self, n.network, n.now, log)
	table, err := dht.New(dht.Config{
		Host: n.host, Bans: bans, Protocol: "/steady/dht", Log: log,
		Validator: record.Validator{Network: n.network, Now: n.now}, Bootstrap: n.bootstrap,
		Stored: func(_ string, value []byte) { _, _ = n.directory.Learn(value) },
	})
	must(err)
	n.table = &steadyTable{DHT: table}
	n.topic, err = gossip.New(gossip.Config{
		Host: n.host, Protocol: "/steady/gossip", Name: "relays", MaxSize: record.MaxDescriptor, Judge: n.judge, Ban: table.Ban,
	})
	must(err)
	finder, err := discovery.NewFinder(n.directory, n.table)
	must(err)
	n.link = link.New(link.Config{
		Host: n.host, Protocol: "/steady/onion",
		Resolve: func(ctx context.Context, to hashid.NodeID) (peer.AddrInfo, error) {
			desc, err := finder.Find(ctx, to)
			if err != nil {
				return peer.AddrInfo{}, err
			}
			return dht.AddrInfo(desc)
		},
		Receive:     func(from hashid.NodeID, p *onion.Packet) { n.overlay.Receive(from, p) },
		Unreachable: n.directory.Suspect,
	})
	n.overlay = overlay.New(overlay.Config{
		Self: self, Link: n.link, Paths: overlay.NewGuarded(n.directory, path.New(path.Rules{Self: self, Hops: onion.Relays}), n.now, nil), Finder: finder, Now: n.now, Log: log,
		Services: map[string]overlay.Service{
			"echo": func(body []byte) []byte { return body },
			"late": func(body []byte) []byte { time.Sleep(lateAnswer); return body },
		},
	})
	keys := record.KeyRecordKeys(n.person())
	n.publisher = discovery.NewPublisher(n.table, n.now, log,
		discovery.Publication{
			What: "relay descriptor", Keys: []string{record.DescriptorKey(self)}, Every: steadyDescriptor,
			Sign:     func(now time.Time) ([]byte, error) { return n.descriptor(now, false) },
			Announce: func(ctx context.Context, value []byte) { _ = n.topic.Publish(ctx, value) },
		},
		discovery.Publication{What: "key record", Keys: keys[:], Every: steadyKeyRecord, Sign: n.keyRecord})
}

func (n *steadyNode) judge(data []byte) gossip.Verdict {
	switch pass, err := n.directory.Heard(data); {
	case record.IsForged(err):
		return gossip.Reject
	case pass:
		return gossip.Accept
	}
	return gossip.Ignore
}

// bootstrap returns whom to dial: relays known from before, then the invite's.
func (n *steadyNode) bootstrap() []peer.AddrInfo {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append(slices.Clone(n.relays), n.seeds...)
}

func (n *steadyNode) descriptor(now time.Time, leaving bool) ([]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nodeSequence = record.NextSequence(n.nodeSequence, now)
	d := &record.Descriptor{
		Node: [32]byte(n.nodeKey.Public().(ed25519.PublicKey)), Sequence: n.nodeSequence, Expires: now.Add(record.DescriptorLifetime),
	}
	first, keys, err := n.overlay.Keys(now)
	if err != nil {
		return nil, err
	}
	d.FirstEpoch = first
	for i, key := range keys {
		d.Keys[i] = key
	}
	if leaving {
		d.Flags = record.FlagWithdrawn
	} else {
		d.Flags, d.Addrs = record.FlagRelay, n.host.Addrs()
	}
	return d.Sign(n.network, n.nodeKey)
}

func (n *steadyNode) keyRecord(now time.Time) ([]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.personSequence = record.NextSequence(n.personSequence, now)
	r := n.record
	r.Inbox, r.Sequence, r.Expires = record.Inbox{Node: n.node()}, n.personSequence, now.Add(record.KeyRecordLifetime)
	return r.Sign(n.network, n.personKey)
}

func (n *steadyNode) run() {
	var ctx context.Context
	ctx, n.cancel = context.WithCancel(context.Background())
	for _, part := range []func(context.Context) error{
		n.link.Run, n.overlay.Run, n.table.Run, n.publisher.Run,
		func(ctx context.Context) error { return n.directory.Run(ctx, n.table) },
	} {
		n.parts.Go(func() {
			if err := part(ctx); err != nil {
				n.t.Error(err)
			}
		})
	}
	n.parts.Go(func() { n.tend(ctx) })
}

// tend tells the layers of growth and of lost neighbours, and stores relays.
func (n *steadyNode) tend(ctx context.Context) {
	changed := make(chan peer.ID, 256) // have a connection more or less
	notice := func(_ libp2pnetwork.Network, c libp2pnetwork.Conn) {
		select {
		case changed <- c.RemotePeer():
		default:
		}
	}
	notify := &libp2pnetwork.NotifyBundle{ConnectedF: notice, DisconnectedF: notice}
	n.host.Network().Notify(notify)
	defer n.host.Network().StopNotify(notify)
	save := time.NewTicker(time.Minute)
	defer save.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.table.Grown():
			n.directory.Grown()
			n.publisher.Grown()
		case p := <-changed:
			id, ok := dht.NodeID(p)
			if !ok {
				continue
			}
			if n.host.Network().Connectedness(p) == libp2pnetwork.Connected {
				n.directory.Met(id)
			} else {
				n.directory.Suspect(id)
			}
		case <-save.C:
			n.store()
		}
	}
}

// store keeps the relays in use for the next start, unless there are none.
func (n *steadyNode) store() {
	var relays []peer.AddrInfo
	for _, d := range n.directory.Usable() {
		if info, err := dht.AddrInfo(d); err == nil {
			relays = append(relays, info)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(relays) > 0 {
		n.relays = relays
	}
}

// stop ends the node, with a farewell or as if its power had failed.
func (n *steadyNode) stop(farewell bool) {
	if farewell {
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		withdrawn, err := n.descriptor(n.now(), true)
		if err != nil {
			n.t.Fatal(err)
		}
		_ = n.topic.Publish(ctx, withdrawn)
		_, _ = n.table.Put(ctx, record.DescriptorKey(n.node()), withdrawn)
	} else {
		n.end.cut.Store(true)
	}
	n.cancel()
	_ = n.topic.Close()
	_ = n.host.Network().Close()
	_ = n.table.Close()
	_ = n.host.Close()
	_ = n.sockets()
	_ = n.end.Close()
	n.parts.Wait()
}

// info is where the node is reached.
func (n *steadyNode) info() peer.AddrInfo {
	return peer.AddrInfo{ID: n.host.ID(), Addrs: n.host.Addrs()}
}

// age is how long ago a record was signed, by the clock of whoever signed it.
func (r *inhabitant) age(raw []byte) time.Duration {
	return r.now().Sub(time.Unix(int64(binary.BigEndian.Uint64(raw[33:41])), 0))
}
