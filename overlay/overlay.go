// Package overlay carries requests to services at other nodes, and their
// answers, through relays that know only their neighbours.
//
//	Request ─► Paths.Draw ─► onion.NewSURB, onion.Wrap ─► Link
//	   ▲  every 2 s .. 10 s, over new paths   three relays │
//	   │                                                   ▼
//	 answer ◄─ ReplyKeys.Open ◄─ a guard and two others ◄─ SURB.Use ◄─ Service
//
// A request may reach its service more than once, and in any order with others:
// services are idempotent. What an attempt has come to is told to [Paths], which
// finds the relays that lose packets.
//
// What the end node of a path finds in a packet's body:
//
//	offset  size  field
//	0       1     kind, 1: a request
//	1       400   SURB for the answer
//	401     1     length of the service's name, 1 to 32
//	402     n     name of the service
//	402+n   ...   body of the request, to the end
//
// The answer travels back through the SURB as the body of its packet. Only
// services answer this way; a person never does, because the first relay of a
// SURB is its creator's choice.
//
// # Records through exits
//
// A node looks up and publishes persons' records at others, the exits, by two
// services. The body of a request to record.get:
//
//	0       ...   DHT key of a person's record, to the end
//
// of its answer:
//
//	0       1     1 found, 2 none, 3 refused
//	1       ...   found: the record, to the end, 1 to 2,600 bytes
//
// of a request to record.put:
//
//	0       1     length n of the key, 1 to 64
//	1       n     DHT key of a person's record
//	1+n     ...   the record, to the end, 1 to 2,600 bytes
//
// and of its answer:
//
//	0       1     1 stored, 2 nobody took it, 3 refused
package overlay

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/overlay/onion"
	"chatnt/overlay/relay"
)

var (
	// ErrBusy says that too many requests of one caller, or of all, wait for their
	// answers already.
	ErrBusy = errors.New("too many requests are under way")

	// ErrNoAnswer says that no answer came in time.
	ErrNoAnswer = errors.New("no answer came back in time")

	errStopped = errors.New("the overlay has stopped")
)

// Link carries packets between neighbours (overlay/link: over libp2p, or in memory).
type Link interface {
	Send(to hashid.NodeID, p *onion.Packet) error // owns p from then on; never blocks
	Get() *onion.Packet
	Put(p *onion.Packet)
}

// Config says what an Overlay works with.
type Config struct {
	Self     hashid.NodeID
	Link     Link
	Paths    Paths
	Finder   *discovery.Finder
	Services map[string]Service     // by name; read-only
	Slow     map[string]SlowService // by name, other names; read-only
	Loops    Ends                   // the relays that loops go to; nil: none are sent
	Now      func() time.Time       // the wall clock
	Log      *slog.Logger
}

// Overlay is one node's part of the overlay. Its methods may be called from any
// goroutine.
type Overlay struct {
	cfg     Config
	relay   *relay.Relay
	awaited *awaiting
	loops   *loops
	pools   map[string]*pool // of slow services, by name; read-only
	draw    func() uint64    // random bits, for the delays
}

// New assembles an overlay. Packets that arrive are to be handed to Receive.
func New(cfg Config) *Overlay {
	o := &Overlay{cfg: cfg, pools: make(map[string]*pool, len(cfg.Slow)), draw: randomBits}
	for name := range cfg.Slow {
		o.pools[name] = newPool(limitsOf(name))
	}
	o.awaited = newAwaiting(o.report)
	o.loops = newLoops(o)
	o.relay = relay.New(relay.Config{
		Self:    cfg.Self,
		Now:     cfg.Now,
		Send:    cfg.Link.Send,
		Free:    cfg.Link.Put,
		Deliver: o.deliver,
		Reply:   o.reply,
	})
	return o
}

// Run relays, answers and waits for answers until ctx ends, and returns when all
// its goroutines have. Whoever waits for an answer then does so until its own
// time is up.
func (o *Overlay) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { o.awaited.run(ctx) })
	for _, p := range o.pools {
		wg.Go(func() { p.run(ctx) })
	}
	if o.cfg.Loops != nil {
		wg.Go(func() { o.loops.run(ctx) })
	}
	return o.relay.Run(ctx)
}

// Receive takes in a packet from a neighbour, and owns it from then on.
func (o *Overlay) Receive(from hashid.NodeID, p *onion.Packet) { o.relay.Handle(from, p) }

// Keys returns this node's onion keys, for its descriptor: that of the current
// epoch and the next seven.
func (o *Overlay) Keys(now time.Time) (first uint32, keys [record.Epochs]onion.PublicKey, err error) {
	return o.relay.Keys(now)
}

// Stats returns what the relay has done so far, in counts.
func (o *Overlay) Stats() relay.Stats { return o.relay.Stats() }

// Served returns what became of requests to this node's slow services, in counts.
func (o *Overlay) Served() (all Served) {
	for _, p := range o.pools {
		all = all.plus(p.stats())
	}
	return all
}

// Pending is the number of attempts whose answers may still come in time.
func (o *Overlay) Pending() int { return o.awaited.waiting() }
