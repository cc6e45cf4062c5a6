// Package dht finds and keeps signed records in a Kademlia table that only the
// nodes of one network share (Maymounkov and Mazières, "Kademlia", 2002;
// go-libp2p-kad-dht).
//
// The library's table is used for routing. What it leaves open is done here:
//
//   - every request has a deadline of its own, so a mute peer costs a moment,
//     not the look-up (request.go);
//   - an answer is judged where it is still known who gave it, and whoever
//     serves a forged record is banned (request.go, ban.go);
//   - what others store here is bounded in number and size and dropped when it
//     expires; the records nearest to this node stay (store.go);
//   - a put counts who confirmed that it holds the value: the library's own says
//     nil even when every peer refused (Put);
//   - a node counts as reached when this one has opened a connection to an
//     address it publishes, not because it has come here itself (reach.go);
//   - nothing is republished by the library: the owner of a record does that
//     (discovery.Publisher).
package dht

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	kad "github.com/libp2p/go-libp2p-kad-dht"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	libp2precord "github.com/libp2p/go-libp2p-record"
	recpb "github.com/libp2p/go-libp2p-record/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

const (
	lookupTimeout = 8 * time.Second
	dialTimeout   = 5 * time.Second
	bucketSize    = 20 // peers in a bucket and copies of a record (Kademlia's k)

	// grace is how long a look-up goes on after its first valid answer, so that
	// a newer record held by a slower peer still wins.
	grace = 250 * time.Millisecond
)

var (
	// ErrNotFound says that nobody who was asked holds a valid record.
	ErrNotFound = errors.New("no valid record found")

	// ErrNotStored says that no other node took a record.
	ErrNotStored = errors.New("no other node stored the record")
)

// Config says what a DHT works with.
type Config struct {
	Host      host.Host        // with Bans as its connection gater
	Bans      *Bans            // shared with the host
	Protocol  protocol.ID      // prefix that keeps networks apart, such as /chatnt/<id>
	Validator record.Validator // judges every record, ours and others'
	Public    bool             // dial public addresses only, limit peers of one IP group in the routing table
	Bootstrap func() []peer.AddrInfo
	Stored    func(key string, value []byte) // told of each record stored here; may be nil
	Log       *slog.Logger
}

// DHT is this node's part of the table. Its methods may be called from any
// goroutine, before, during and after Run.
type DHT struct {
	cfg       Config
	kad       *kad.IpfsDHT
	store     *store
	messenger *pb.ProtocolMessenger
	ready     chan struct{} // closed when the fields above are set
	grown     chan struct{} // capacity 1: a peer entered the routing table
}

// New assembles a DHT and begins to answer others at once. Run keeps it
// connected, Close ends it.
func New(cfg Config) (*DHT, error) {
	if cfg.Validator.Now == nil {
		cfg.Validator.Now = time.Now
	}
	d := &DHT{cfg: cfg, ready: make(chan struct{}), grown: make(chan struct{}, 1)}
	d.store = newStore(cfg.Host.ID(), cfg.Validator.Now, cfg.Stored)
	var sender *requests
	opts := []kad.Option{
		kad.ProtocolPrefix(cfg.Protocol),
		kad.Mode(kad.ModeServer),
		kad.Validator(cfg.Validator),
		kad.BucketSize(bucketSize),
		kad.DisableProviders(),
		kad.Datastore(d.store),
		kad.MaxRecordAge(record.KeyRecordLifetime),
		kad.WithCustomMessageSender(func(h host.Host, protocols []protocol.ID) pb.MessageSenderWithDisconnect {
			sender = &requests{host: h, protocols: protocols, validator: cfg.Validator, answered: d.answered, ban: d.Ban}
			return sender
		}),
	}
	if cfg.Public {
		opts = append(opts,
			kad.RoutingTablePeerDiversityFilter(kad.NewRTPeerDiversityFilter(cfg.Host, 2, 3)),
			kad.AddressFilter(func(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
				return multiaddr.FilterAddrs(addrs, d.mayDial)
			}))
		cfg.Bans.dialOnly(d.mayDial)
	}
	var err error
	if d.kad, err = kad.New(context.Background(), cfg.Host, opts...); err != nil {
		return nil, fmt.Errorf("starting the distributed hash table: %w", err)
	}
	if d.messenger, err = pb.NewProtocolMessenger(sender); err != nil {
		return nil, fmt.Errorf("starting the distributed hash table: %w", errors.Join(err, d.kad.Close()))
	}
	close(d.ready)
	return d, nil
}

// Run keeps the node connected to its network and drops expired records until
// ctx ends.
func (d *DHT) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { d.store.sweep(ctx) })
	d.bootstrap(ctx)
	wg.Wait()
	return nil
}

// Close ends the table, once Run has returned. Closing twice is harmless.
func (d *DHT) Close() error { return d.kad.Close() }

// Size is the number of peers in the routing table.
func (d *DHT) Size() int { return d.kad.RoutingTable().Size() }

// Grown has a value after peers entered the routing table.
func (d *DHT) Grown() <-chan struct{} { return d.grown }

// Held is the number of records kept here for others, and their size in bytes.
func (d *DHT) Held() (records, size int) { return d.store.held() }

// Get looks one record up under all its keys at once and returns the newest of
// the first valid answers, or ErrNotFound. It never waits longer than eight
// seconds. The table may go on for a moment to hand what was found to nearer
// nodes that lack it.
func (d *DHT) Get(ctx context.Context, keys ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	values := make(chan []byte)
	var wg sync.WaitGroup
	for _, key := range keys {
		wg.Go(func() {
			found, err := d.kad.SearchValue(ctx, key)
			if err != nil {
				return
			}
			for value := range found {
				select {
				case values <- value:
				case <-ctx.Done():
				}
			}
		})
	}
	go func() { wg.Wait(); close(values) }()
	defer func() {
		cancel()
		for range values { // ends when the last look-up has: nothing is left behind
		}
	}()

	var best []byte
	var enough <-chan time.Time
	for {
		select {
		case value, ok := <-values:
			if !ok {
				return found(best)
			}
			if best == nil || record.Newer(value, best) { // both valid: the table has judged them
				best = value
			}
			if enough == nil {
				enough = time.After(grace)
			}
		case <-enough:
			return found(best)
		case <-ctx.Done():
			return found(best)
		}
	}
}

func found(best []byte) ([]byte, error) {
	if best == nil {
		return nil, ErrNotFound
	}
	return best, nil
}

// Put stores value under key at the nodes nearest to it and returns how many
// other nodes confirmed that they hold it: ErrNotStored when none did. It never
// waits longer than eight seconds.
//
// This node keeps a copy only if it is among the nearest itself. It must not
// otherwise: who asks around could tell from a copy out of place whose node has
// published a person's record.
func (d *DHT) Put(ctx context.Context, key string, value []byte) (int, error) {
	if err := d.cfg.Validator.Validate(key, value); err != nil {
		return 0, err
	}
	// Whoever was found when time is up will do.
	lookup, cancel := context.WithTimeout(ctx, lookupTimeout-requestTimeout)
	defer cancel()
	nearest, _ := d.kad.GetClosestPeers(lookup, key)

	rec := libp2precord.MakePutRecord(key, value)
	if len(nearest) < bucketSize || d.store.nearer(key, nearest[len(nearest)-1]) {
		if err := d.store.keep(key, value); err != nil {
			d.cfg.Log.Debug("no copy of a record was kept here", "error", err)
		}
	} else {
		d.store.drop(key)
	}
	stored := d.putAt(ctx, nearest, rec)
	if stored == 0 {
		return 0, ErrNotStored
	}
	return stored, nil
}

// putAt asks each peer to store rec and counts those that echoed it back.
func (d *DHT) putAt(ctx context.Context, peers []peer.ID, rec *recpb.Record) int {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		stored int
	)
	for _, p := range peers {
		wg.Go(func() {
			if d.messenger.PutValue(ctx, p, rec) == nil {
				mu.Lock()
				stored++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return stored
}

// Walk looks up a random key and returns the nodes met near it.
func (d *DHT) Walk(ctx context.Context) ([]hashid.NodeID, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	peers, err := d.kad.GetClosestPeers(ctx, "/walk/"+string(key[:]))
	if len(peers) == 0 {
		return nil, err
	}
	var nodes []hashid.NodeID
	for _, p := range peers {
		if id, ok := NodeID(p); ok {
			nodes = append(nodes, id)
		}
	}
	return nodes, nil
}

// answered is called for every peer that answered a request: that is what lets
// it into the routing table, right afterwards.
func (d *DHT) answered(p peer.ID) {
	select {
	case <-d.ready:
	default:
		return
	}
	if !d.kad.RoutingTable().UsefulNewPeer(p) {
		return // in it already, or no room
	}
	select {
	case d.grown <- struct{}{}:
	default:
	}
}

// Ban refuses a node that served something forged from now on, for an hour.
func (d *DHT) Ban(p peer.ID) {
	d.cfg.Bans.Add(p)
	<-d.ready
	d.kad.RoutingTable().RemovePeer(p)
	d.cfg.Log.Warn("banned a node that served a forged record")
	if err := d.cfg.Host.Network().ClosePeer(p); err != nil {
		d.cfg.Log.Debug("a banned connection did not close in order")
	}
}

func (d *DHT) dial(ctx context.Context, info peer.AddrInfo) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	// Those who call space their attempts themselves. The library would refuse
	// to dial again for five seconds and more, in which the node may be back.
	if s, ok := d.cfg.Host.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(info.ID)
	}
	return d.cfg.Host.Connect(ctx, info)
}

// NodeID returns the node id of a libp2p peer; false if its key is not Ed25519.
func NodeID(p peer.ID) (hashid.NodeID, bool) {
	pub, err := p.ExtractPublicKey()
	if err != nil || pub.Type() != crypto.Ed25519 {
		return hashid.NodeID{}, false
	}
	raw, err := pub.Raw()
	if err != nil {
		return hashid.NodeID{}, false
	}
	return hashid.OfNode(ed25519.PublicKey(raw)), true
}

// AddrInfo returns where libp2p reaches the node a descriptor describes, host
// names left out: whoever made up a name would learn from its look-up who is
// about to dial.
func AddrInfo(desc *record.Descriptor) (peer.AddrInfo, error) {
	pub, err := crypto.UnmarshalEd25519PublicKey(desc.Node[:])
	if err != nil {
		return peer.AddrInfo{}, fmt.Errorf("the descriptor's node key is unusable: %w", err)
	}
	id, err := peer.IDFromPublicKey(pub)
	if err != nil {
		return peer.AddrInfo{}, fmt.Errorf("the descriptor's node key is unusable: %w", err)
	}
	return peer.AddrInfo{ID: id, Addrs: multiaddr.FilterAddrs(desc.Addrs, hasIP)}, nil
}

// connected reports whether a live connection to p exists.
func connected(h host.Host, p peer.ID) bool {
	return h.Network().Connectedness(p) == network.Connected
}
