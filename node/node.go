// Package node is one person's node: it joins a network, relays for others,
// publishes its records, and sends and receives the person's messages.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	libp2pnetwork "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"

	"chatnt/discovery"
	"chatnt/discovery/dht"
	"chatnt/discovery/gossip"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/control"
	"chatnt/overlay"
	"chatnt/overlay/link"
)

const (
	descriptorEvery = 2 * time.Hour // a fresh descriptor, with the onion keys of the next hours
	keyRecordEvery  = 2 * time.Hour // half of all nodes leave within two hours: of twenty copies ten are left then
	cacheEvery      = time.Minute   // known relays are stored for the next start
	cachedRelays    = 64
	scrubEvery      = 10 * time.Second       // what was deleted does not stay in the profile's file for longer
	farewell        = 500 * time.Millisecond // for telling others that this node leaves
	relaysEvery     = 200 * time.Millisecond // between two events about the number of relays
)

// Config says how a node runs.
type Config struct {
	Profile *Profile // with a network; the caller closes it after Run
	Listen  []string // multiaddrs; empty: as the profile says, or any free port
	Log     *slog.Logger

	// Now is the wall clock; nil: time.Now.
	Now func() time.Time
}

// Node is a person's node. Its methods may be called from any goroutine, before
// and during Run.
type Node struct {
	profile *Profile
	log     *slog.Logger
	now     func() time.Time // the wall clock
	started time.Time        // by the monotonic clock

	addrs []multiaddr.Multiaddr // to listen on
	asked bool                  // for just these

	host      host.Host
	bans      *dht.Bans
	table     *dht.DHT
	directory *discovery.Directory
	finder    *discovery.Finder
	publisher *discovery.Publisher // of the node's own record
	records   *overlay.Records     // those of persons, through exits
	personal  *discovery.Publisher // of the person's, through them
	apart     apart
	began     uint64 // the last sequence of a record of the person, before this run
	topic     *gossip.Topic
	link      *link.Link
	paths     *overlay.Guarded
	overlay   *overlay.Overlay
	messenger *messenger
	feed      *feed
	clocks    *clocks
	local     interfaces
}

// New assembles a node. Run must be called then, for it also releases what New made.
func New(cfg Config) (*Node, error) {
	if cfg.Profile.Network() == nil {
		return nil, ErrNoNetwork
	}
	n := &Node{profile: cfg.Profile, log: cfg.Log, now: cfg.Now, started: time.Now(), bans: new(dht.Bans), feed: newFeed()}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if n.now == nil {
		n.now = time.Now
	}
	if err := n.setListen(cfg.Listen); err != nil {
		return nil, err
	}
	var err error
	if n.host, err = newHost(cfg.Profile, n.bans, n.addrs); err != nil {
		return nil, fmt.Errorf("starting the node: %w", err)
	}
	if err := n.assemble(); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// setListen decides where to listen. Port 0 in a request means any port: the one
// that the profile's invites name, if there is one for that interface.
func (n *Node) setListen(asked []string) error {
	stored := n.profile.Listen()
	want := asked
	if len(want) == 0 {
		want = stored
	}
	n.asked = len(want) > 0
	addrs, err := listenAddrs(n.profile.Network(), want)
	if err != nil {
		return err
	}
	for i, a := range addrs {
		for _, s := range stored {
			if known, err := ParseListen(s); err == nil && sameButPort(a, known) {
				addrs[i] = known
			}
		}
	}
	n.addrs = addrs
	return nil
}

// assemble wires the layers, from the bottom up.
func (n *Node) assemble() error {
	net := n.profile.Network()
	self, id := n.profile.Node(), [32]byte(net.ID())
	validator := record.Validator{Network: id, Now: n.now}
	n.directory = discovery.NewDirectory(self, id, n.now, n.log)

	var err error
	n.table, err = dht.New(dht.Config{
		Host: n.host, Bans: n.bans, Protocol: protocol.ID(net.Protocol("dht")), Public: net.Public, Log: n.log,
		Validator: validator,
		Bootstrap: n.bootstrapPeers,
		Stored:    func(_ string, value []byte) { _, _ = n.directory.Learn(value) }, // no news unless a descriptor
	})
	if err != nil {
		return err
	}
	n.topic, err = gossip.New(gossip.Config{
		Host: n.host, Protocol: protocol.ID(net.Protocol("gossip")), Name: net.Protocol("relays"),
		MaxSize: record.MaxDescriptor, Judge: n.judge, Ban: n.table.Ban,
	})
	if err != nil {
		return err
	}
	n.finder, err = discovery.NewFinder(n.directory, n.table)
	if err != nil {
		return err
	}
	n.clocks, err = newClocks(n.host, protocol.ID(net.Protocol("clock/1")), n.now, n.tellClock)
	if err != nil {
		return err
	}
	n.link = link.New(link.Config{
		Host: n.host, Protocol: protocol.ID(net.Protocol("onion/x25519/1")),
		Resolve: func(ctx context.Context, to hashid.NodeID) (peer.AddrInfo, error) {
			desc, err := n.finder.Find(ctx, to)
			if err != nil {
				return peer.AddrInfo{}, err
			}
			return dht.AddrInfo(desc)
		},
		Receive:     func(from hashid.NodeID, p *onionPacket) { n.overlay.Receive(from, p) },
		Unreachable: n.directory.Suspect,
	})
	if n.paths, err = n.newPaths(); err != nil {
		return err
	}
	n.overlay = overlay.New(overlay.Config{
		Self: self, Link: n.link, Paths: n.paths, Loops: n.paths, Finder: n.finder, Now: n.now, Log: n.log,
		Services: map[string]overlay.Service{
			serviceMailboxPut: func(body []byte) []byte { return n.messenger.mailboxPut(body) },
		},
		Slow: overlay.RecordServices(onBehalf{n.table}, validator),
	})
	n.records = n.overlay.Records(n.paths, validator, n.profile.ofLookUps)
	find := func(ctx context.Context, who record.Locator) (*record.KeyRecord, []byte, error) {
		return discovery.Person(ctx, n.records, id, n.now(), who)
	}
	who, err := newPeople(id, n.profile.vault, n.now, find, n.records.Ready)
	if err != nil {
		return err
	}
	where, err := newEndsOf(n.directory, n.records.Get)
	if err != nil {
		return err
	}
	n.messenger, err = newMessenger(n.profile, n.now, n.feed, n.log, who, where, n.overlay, n.directory)
	if err != nil {
		return n.profile.orAnother(err)
	}
	n.publisher = discovery.NewPublisher(n.table, n.now, n.log, discovery.Publication{
		What: "relay descriptor", Keys: []string{record.DescriptorKey(self)}, Every: descriptorEvery,
		Sign:     func(now time.Time) ([]byte, error) { return n.descriptor(now, false) },
		Outdated: n.olderDescriptor,
		Announce: n.announce,
	})
	n.personal = discovery.NewPublisher(n.records, n.now, n.log, n.keyRecordPublications()...)
	if n.began, err = n.profile.sequence(sequencePerson); err != nil {
		return fmt.Errorf("reading what was signed last: %w", err)
	}
	return nil
}

// Run listens, joins the network, relays, sends and receives until ctx ends. It
// returns when all its goroutines have, and releases what New made.
func (n *Node) Run(ctx context.Context) error {
	// A node that can store nothing could not be found, and would lose what it is told.
	first, err := n.profile.started(n.now())
	if err != nil {
		n.close()
		return fmt.Errorf("the profile cannot be written: %w", err)
	}
	if wait := n.profile.Unseen(n.now()); wait > 0 {
		n.tellReady(first, wait)
		first = false
		if !n.comeLater(ctx, wait) {
			n.close() // and nobody is told that it leaves
			return nil
		}
	}
	if err := listen(n.host, n.addrs, n.asked); err != nil {
		n.close()
		return err
	}
	n.tellReady(first, 0) // before anything else is told
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	// A neighbour that stopped reading would hold the parts up: connections end first.
	defer n.close()
	defer cancel()
	failed := make(chan error, 1)
	run := func(part func(context.Context) error) {
		wg.Go(func() {
			if err := part(ctx); err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	run(n.link.Run)
	run(n.overlay.Run)
	run(n.table.Run)
	run(n.publisher.Run)
	run(n.personal.Run)
	run(func(ctx context.Context) error { return n.directory.Run(ctx, n.table) })
	wg.Go(func() { n.meetStored(ctx) })
	wg.Go(func() { n.messenger.run(ctx) })
	wg.Go(func() { n.tellRelays(ctx) })
	wg.Go(func() { n.tend(ctx) })
	wg.Go(func() { n.watch(ctx) })
	wg.Go(func() { n.clocks.run(ctx) })

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	n.saveRelays()
	n.leave()
	// The profile has worked: what an older version of this program left can go.
	if err := n.profile.vault.DropOld(); err != nil {
		n.log.Error("an old profile is still there", "error", err)
	}
	return nil
}

// tellReady says that the node listens, or will after a while.
func (n *Node) tellReady(first bool, wait time.Duration) {
	n.feed.emit(control.Ready{
		Hashid: n.profile.Hashid().String(), Node: n.profile.Node().String(),
		Listen: texts(n.host.Network().ListenAddresses()), Network: n.profile.Network().Name,
		Identity: n.profile.shownName(), First: first, Unseen: seconds(wait),
	})
}

// seconds rounds up.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// close releases what New made, as far as it came; twice is harmless.
// Connections end before the host does: as it goes,
// libp2p (v0.51.0) stops reading one of its subscriptions to its own events, and
// neighbours that identify themselves meanwhile would block its end for good.
func (n *Node) close() {
	var errs []error
	if n.topic != nil {
		errs = append(errs, n.topic.Close())
	}
	errs = append(errs, n.host.Network().Close())
	if n.table != nil {
		errs = append(errs, n.table.Close())
	}
	if errors.Join(append(errs, n.host.Close())...) != nil {
		n.log.Debug("the network did not close in order")
	}
}

// tend does what is due now and then: it tells the layers that the network has
// grown, that this node's addresses have changed and that a neighbour has come or gone,
// stores known relays and scrubs the profile.
func (n *Node) tend(ctx context.Context) {
	changed := newChanges()
	notice := func(_ libp2pnetwork.Network, c libp2pnetwork.Conn) { changed.note(c.RemotePeer()) }
	notify := &libp2pnetwork.NotifyBundle{ConnectedF: notice, DisconnectedF: notice}
	n.host.Network().Notify(notify)
	defer n.host.Network().StopNotify(notify)
	moved, err := n.host.EventBus().Subscribe(new(event.EvtLocalAddressesUpdated))
	if err != nil {
		n.log.Error("changes of address go unnoticed", "error", err)
		return
	}
	defer func() { _ = moved.Close() }()
	save := time.NewTicker(cacheEvery)
	defer save.Stop()
	scrub := time.NewTicker(scrubEvery)
	defer scrub.Stop()
	n.local.tell(texts(n.published()))
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.table.Grown():
			n.directory.Grown()
			n.publisher.Grown()
			n.personal.Grown()
			n.clocks.grown()
		case <-moved.Out():
			n.renewIfMoved()
		case <-changed.some:
			for p := range changed.take() {
				n.metOrLost(p)
			}
		case <-save.C:
			n.saveRelays()
		case <-scrub.C:
			if err := n.profile.vault.Scrub(); err != nil {
				n.log.Error("what was deleted is still in the profile's file", "error", err)
			}
		}
	}
}

// metOrLost has a relay dialled again before it is used again, when its connection
// broke while none needed to be closed for want of room; and sooner, when one
// stands with a relay that could not be reached.
func (n *Node) metOrLost(p peer.ID) {
	id, ok := dht.NodeID(p)
	network := n.host.Network()
	switch {
	case !ok:
	case network.Connectedness(p) == libp2pnetwork.Connected:
		n.directory.Met(id)
	case len(network.Peers()) < connsLow:
		n.directory.Suspect(id)
	}
}

// tellRelays emits an event when the number of relays changes.
func (n *Node) tellRelays(ctx context.Context) {
	last := control.RelaysChanged{Known: -1}
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		changed := n.directory.Changed()
		now := control.RelaysChanged{Known: n.directory.Known(), Usable: len(n.directory.Usable())}
		if now != last {
			last = now
			n.feed.emit(now)
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		pause.Reset(relaysEvery)
	}
}

// tellClock says how far this machine's clock is off, or that it no longer is.
func (n *Node) tellClock(off time.Duration, answers int) {
	w := control.Warning{About: "clock", Text: clockRight, Over: off == 0}
	if !w.Over {
		w.Text = clockWarning(off, answers)
	}
	n.feed.emit(w)
}

func texts(addrs []multiaddr.Multiaddr) []string {
	list := make([]string, 0, len(addrs))
	for _, a := range addrs {
		list = append(list, a.String())
	}
	return list
}

// sameButPort reports whether a asks for any port where b names one.
func sameButPort(a, b multiaddr.Multiaddr) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Protocol().Code != b[i].Protocol().Code {
			return false
		}
		code := a[i].Protocol().Code
		port := code == multiaddr.P_TCP || code == multiaddr.P_UDP
		if port && a[i].Value() != "0" || !port && a[i].Value() != b[i].Value() {
			return false
		}
	}
	return true
}
