// Package dht finds and keeps signed records in a Kademlia table that only the
// nodes of one network share (Maymounkov and Mazières, "Kademlia", 2002;
// go-libp2p-kad-dht).
//
// The library's table is used for routing. What it leaves open is done here:
//
//   - every request has a deadline of its own, so a mute peer costs a moment,
//     not the look-up, and is then left alone for a while (request.go, mute.go);
//   - what others ask of this node is bounded in size, number and time, each
//     peer's by itself (gate.go, view.go);
//   - only peers that answer count as near to a key, and an alarm is raised when
//     too many of them stand round this node's own (lookup.go, density.go,
//     crowds.go);
//   - an answer is judged where it is still known who gave it, and whoever
//     serves a forged record is banned (request.go, ban.go);
//   - what others store here is bounded in number and size and dropped when it
//     expires; the records nearest to this node stay (store.go);
//   - a put counts who confirmed that it holds the value: the library's own says
//     nil even when every peer refused (lookup.go);
//   - a node counts as reached when this one has opened a connection to an
//     address it publishes, not because it has come here itself (reach.go);
//   - nothing is republished by the library: the owner of a record does that
//     (discovery.Publisher).
package dht

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	kad "github.com/libp2p/go-libp2p-kad-dht"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
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
	maxTries      = 3  // of a look-up in which nobody answers
	checksAtOnce  = 8  // peers asked whether they belong in the routing table; a small table has all asked again and again

	// refreshEvery is how often the routing table looks for what it lacks. The
	// library's ten minutes would be most of what a silent node sends; walks,
	// look-ups and puts keep the table fresh besides.
	refreshEvery = time.Hour

	maxProofs = 1024 // nodes that were reached, remembered while they are connected

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
	gate      *gate
	mutes     *mutes
	proofs    *lru.Cache[peer.ID, proof]
	crowds    *crowds
	arrivals  *network.NotifyBundle // of peers
	ready     chan struct{}         // closed when the fields above are set
	grown     chan struct{}         // capacity 1: a peer entered the routing table
	retry     chan struct{}         // capacity 1: make contact at once
}

// New assembles a DHT and begins to answer others at once. Run keeps it
// connected, Close ends it.
func New(cfg Config) (*DHT, error) {
	if cfg.Validator.Now == nil {
		cfg.Validator.Now = time.Now
	}
	mutes, err := newMutes()
	if err != nil {
		return nil, fmt.Errorf("starting the distributed hash table: %w", err)
	}
	proofs, err := lru.New[peer.ID, proof](maxProofs)
	if err != nil {
		return nil, fmt.Errorf("starting the distributed hash table: %w", err)
	}
	d := &DHT{
		cfg: cfg, gate: newGate(), mutes: mutes, proofs: proofs, crowds: newCrowds(),
		ready: make(chan struct{}), grown: make(chan struct{}, 1), retry: make(chan struct{}, 1),
	}
	d.store = newStore(cfg.Host.ID(), cfg.Validator.Now, cfg.Stored)
	var sender *requests
	opts := []kad.Option{
		kad.ProtocolPrefix(cfg.Protocol),
		kad.Mode(kad.ModeServer),
		kad.Validator(cfg.Validator),
		kad.BucketSize(bucketSize),
		kad.LookupCheckConcurrency(checksAtOnce),
		kad.RoutingTableRefreshPeriod(refreshEvery),
		kad.DisableProviders(),
		kad.Datastore(d.store),
		kad.MaxRecordAge(record.KeyRecordLifetime),
		kad.WithCustomMessageSender(func(h host.Host, protocols []protocol.ID) pb.MessageSenderWithDisconnect {
			sender = &requests{
				host: h, protocols: protocols, validator: cfg.Validator, mutes: mutes, answered: d.answered, ban: d.Ban,
			}
			return sender
		}),
	}
	if cfg.Public {
		opts = append(opts,
			kad.RoutingTablePeerDiversityFilter(newDiversity(cfg.Host)),
			kad.AddressFilter(func(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
				return multiaddr.FilterAddrs(addrs, d.mayDial)
			}))
		cfg.Bans.dialOnly(d.mayDial)
	}
	host := &view{Host: cfg.Host, gate: d.gate, mutes: mutes}
	if d.kad, err = kad.New(context.Background(), host, opts...); err != nil {
		return nil, fmt.Errorf("starting the distributed hash table: %w", err)
	}
	if d.messenger, err = pb.NewProtocolMessenger(sender); err != nil {
		return nil, fmt.Errorf("starting the distributed hash table: %w", errors.Join(err, d.kad.Close()))
	}
	d.arrivals = &network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) { mutes.returned(c.RemotePeer()) }}
	cfg.Host.Network().Notify(d.arrivals)
	close(d.ready)
	return d, nil
}

// Run keeps the node connected to its network and drops expired records until
// ctx ends.
func (d *DHT) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { d.store.sweep(ctx) })
	wg.Go(func() { d.watch(ctx) })
	d.bootstrap(ctx)
	wg.Wait()
	return nil
}

// Close ends the table, once Run has returned. Closing twice is harmless.
func (d *DHT) Close() error {
	d.gate.close()
	d.cfg.Host.Network().StopNotify(d.arrivals)
	return d.kad.Close()
}

// Size is the number of peers in the routing table.
func (d *DHT) Size() int { return d.kad.RoutingTable().Size() }

// Grown has a value after peers entered the routing table.
func (d *DHT) Grown() <-chan struct{} { return d.grown }

// Held is the number of records kept here for others, and their size in bytes.
func (d *DHT) Held() (records, size int) { return d.store.held() }

// answered is called for every peer that answered a request: that is what lets
// it into the routing table, right afterwards.
func (d *DHT) answered(p peer.ID) {
	select {
	case <-d.ready:
	default:
		return
	}
	// The library lets newcomers take the places of peers that it met in its first
	// minutes, however well those answer: whoever grinds ids for a victim's bucket
	// would drive it out.
	table := d.kad.RoutingTable()
	table.MarkAllPeersIrreplaceable()
	if !table.UsefulNewPeer(p) {
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

// NodeID returns the node id of a libp2p peer; false if its key is not Ed25519, or
// if the same key has another peer id: the library reads ids that it would not write.
func NodeID(p peer.ID) (hashid.NodeID, bool) {
	pub, err := p.ExtractPublicKey()
	if err != nil || pub.Type() != crypto.Ed25519 || !p.MatchesPublicKey(pub) {
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
