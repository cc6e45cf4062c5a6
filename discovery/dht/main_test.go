package dht

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/mlkem"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	libp2precord "github.com/libp2p/go-libp2p-record"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-msgio"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testProtocol = protocol.ID("/chatnt-test")
	kadProtocol  = testProtocol + "/kad/1.0.0"
	patience     = time.Minute // far more than anything here takes
)

// clock is a virtual one: the real one, put forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

// node is a DHT on a real socket.
type node struct {
	*DHT
	host host.Host
	bans *Bans
}

// world is what the nodes of a test share.
type world struct {
	network [32]byte
	public  bool
	clock   clock
}

func newHost(t *testing.T, bans *Bans, opts ...libp2p.Option) host.Host {
	t.Helper()
	h, err := libp2p.New(append([]libp2p.Option{
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.ConnectionGater(bans),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.Ping(false),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

var loopback = libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0")

// start starts a node that knows others.
func (w *world) start(t *testing.T, known ...*node) *node {
	t.Helper()
	bans := new(Bans)
	return w.startOn(t, newHost(t, bans, loopback), bans, addrInfos(known))
}

// addrInfos returns what tells a node of those it knows.
func addrInfos(known []*node) func() []peer.AddrInfo {
	var infos []peer.AddrInfo
	for _, k := range known {
		infos = append(infos, info(k.host))
	}
	return func() []peer.AddrInfo { return slices.Clone(infos) }
}

func (w *world) startOn(t *testing.T, h host.Host, bans *Bans, known func() []peer.AddrInfo) *node {
	t.Helper()
	d, err := New(Config{
		Host: h, Bans: bans, Protocol: testProtocol, Public: w.public, Log: slog.New(slog.DiscardHandler),
		Validator: record.Validator{Network: w.network, Now: w.clock.now},
		Bootstrap: known,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if err := errors.Join(d.Close(), d.Close()); err != nil {
			t.Error(err)
		}
	})
	return &node{DHT: d, host: h, bans: bans}
}

// network starts n nodes and waits until all know each other.
func (w *world) nodes(t *testing.T, n int) []*node {
	t.Helper()
	began := time.Now()
	defer func() { t.Logf("%d nodes met in %v", n, time.Since(began).Round(time.Millisecond)) }()
	nodes := []*node{w.start(t)}
	for len(nodes) < n {
		nodes = append(nodes, w.start(t, nodes[0]))
	}
	for _, node := range nodes {
		until(t, "all nodes are in all tables", func() bool { return node.Size() == n-1 })
	}
	return nodes
}

// until waits for something that another goroutine brings about.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("it never happened that %s", what)
		}
	}
}

func info(h host.Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()} }

func x25519(t *testing.T) [32]byte {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return [32]byte(key.PublicKey().Bytes())
}

// relay is a node whose descriptors are published in a test.
type relay struct {
	key  ed25519.PrivateKey
	id   hashid.NodeID
	made time.Time
	t    *testing.T
	w    *world
}

func (w *world) relay(t *testing.T) *relay {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &relay{key: key, id: hashid.OfNode(pub), made: w.clock.now(), t: t, w: w}
}

// dhtKey is where its descriptors belong.
func (r *relay) dhtKey() string { return record.DescriptorKey(r.id) }

// sign returns a descriptor that is good now, with a sequence so much later than
// when the relay was made.
func (r *relay) sign(later int64) []byte {
	r.t.Helper()
	return r.signUntil(uint64(r.made.Unix()+later), r.w.clock.now().Add(record.DescriptorLifetime))
}

func (r *relay) signUntil(sequence uint64, expires time.Time) []byte {
	r.t.Helper()
	d := &record.Descriptor{
		Node: [32]byte(r.key.Public().(ed25519.PublicKey)), FirstEpoch: record.Epoch(expires.Add(-record.DescriptorLifetime)),
		Sequence: sequence, Expires: expires,
	}
	for i := range d.Keys {
		d.Keys[i] = x25519(r.t)
	}
	raw, err := d.Sign(r.w.network, r.key)
	if err != nil {
		r.t.Fatal(err)
	}
	return raw
}

// keyRecord returns a key record and the two keys it is kept under.
func (w *world) keyRecord(t *testing.T) (raw []byte, keys [2]string) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	kem, err := mlkem.GenerateKey768()
	if err != nil {
		t.Fatal(err)
	}
	now := w.clock.now()
	r := &record.KeyRecord{
		Identity: [32]byte(pub), Agreement: x25519(t), Prekey: record.Prekey{ID: 1, Key: x25519(t)},
		KEMPrekey: record.KEMPrekey{ID: 1}, Inbox: record.Inbox{Node: hashid.NodeID{1}},
		Sequence: uint64(now.Unix()), Expires: now.Add(record.KeyRecordLifetime),
	}
	copy(r.KEMPrekey.Key[:], kem.EncapsulationKey().Bytes())
	if raw, err = r.Sign(w.network, key); err != nil {
		t.Fatal(err)
	}
	return raw, record.KeyRecordKeys(hashid.Of(pub))
}

// outsider is a host that speaks the table's protocol by hand.
type outsider struct {
	host host.Host
	t    *testing.T
}

func newOutsider(t *testing.T, to ...*node) *outsider {
	t.Helper()
	o := &outsider{host: newHost(t, new(Bans), loopback), t: t}
	for _, n := range to {
		if err := o.host.Connect(t.Context(), info(n.host)); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// ask sends a message to a node and returns its answer, nil if it is refused.
func (o *outsider) ask(n *node, req *pb.Message) *pb.Message {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), patience)
	defer cancel()
	s, err := o.host.NewStream(ctx, n.host.ID(), kadProtocol)
	if err != nil {
		o.t.Fatal(err)
	}
	defer func() { _ = s.Reset() }()
	frame, err := proto.Marshal(req)
	if err != nil {
		o.t.Fatal(err)
	}
	if err := msgio.NewVarintWriter(s).WriteMsg(frame); err != nil {
		return nil
	}
	if frame, err = msgio.NewVarintReaderSize(s, 1<<20).ReadMsg(); err != nil {
		return nil
	}
	answer := new(pb.Message)
	if err := proto.Unmarshal(frame, answer); err != nil {
		o.t.Fatal(err)
	}
	return answer
}

// put asks a node to store a value and reports whether it says that it did.
func (o *outsider) put(n *node, key string, value []byte) bool {
	o.t.Helper()
	req := pb.NewMessage(pb.Message_PUT_VALUE, []byte(key), 0)
	req.Record = libp2precord.MakePutRecord(key, value)
	rec := o.ask(n, req).GetRecord()
	return rec != nil && bytes.Equal(rec.GetValue(), value)
}

// get returns what a node itself holds.
func (o *outsider) get(n *node, key string) []byte {
	o.t.Helper()
	return o.ask(n, pb.NewMessage(pb.Message_GET_VALUE, []byte(key), 0)).GetRecord().GetValue()
}

// answer has a host answer the table's requests by hand.
func answer(h host.Host, with func(req *pb.Message) *pb.Message) {
	h.SetStreamHandler(kadProtocol, func(s network.Stream) {
		defer func() { _ = s.Close() }()
		frame, err := msgio.NewVarintReaderSize(s, 1<<20).ReadMsg()
		if err != nil {
			return
		}
		req := new(pb.Message)
		if err := proto.Unmarshal(frame, req); err != nil {
			return
		}
		if frame, err = proto.Marshal(with(req)); err != nil {
			return
		}
		_ = msgio.NewVarintWriter(s).WriteMsg(frame)
	})
}

// serve has a host answer as a node that knows nobody and holds one value
// under every key.
func serve(h host.Host, value []byte) {
	answer(h, func(req *pb.Message) *pb.Message {
		resp := pb.NewMessage(req.GetType(), req.GetKey(), 0)
		if req.GetType() == pb.Message_GET_VALUE {
			resp.Record = libp2precord.MakePutRecord(string(req.GetKey()), value)
		}
		return resp
	})
}

// mute has a node read what it is asked and never answer.
func (n *node) mute() {
	n.host.SetStreamHandler(kadProtocol, func(s network.Stream) {
		_, _ = io.Copy(io.Discard, s)
		// The stream stays open until the other side gives up.
	})
}

func publicKey(t *testing.T, h host.Host) crypto.PubKey {
	t.Helper()
	pub, err := h.ID().ExtractPublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return pub
}
