// Package overlay carries requests to services at other nodes, and their
// answers, through relays that know only their neighbours.
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
package overlay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/overlay/onion"
	"chatnt/overlay/relay"
)

const (
	kindRequest = 1

	maxServiceName = 32
	maxPending     = 4096 // requests waiting for an answer at once

	// MaxRequest is the longest body of a request, in bytes, for a service name
	// of the longest kind.
	MaxRequest = onion.BodySize - 1 - onion.SURBSize - 1 - maxServiceName
)

var (
	// ErrBusy says that too many requests wait for their answers already.
	ErrBusy = errors.New("too many requests are under way")

	// ErrNoAnswer says that no answer came in time.
	ErrNoAnswer = errors.New("no answer came back in time")
)

// Link carries packets between neighbours (overlay/link: over libp2p, or in memory).
type Link interface {
	Send(to hashid.NodeID, p *onion.Packet) error // owns p from then on; never blocks
	Get() *onion.Packet
	Put(p *onion.Packet)
}

// Service answers a request at its end node. It is called on the goroutine that
// reads from a neighbour, so it must be quick; body is its own only until it
// returns.
type Service func(body []byte) (answer []byte)

// Config says what an Overlay works with.
type Config struct {
	Self      hashid.NodeID
	Hops      int // relays on a path, 1 to 3
	Link      Link
	Directory *discovery.Directory
	Finder    *discovery.Finder
	Services  map[string]Service // read-only
	Now       func() time.Time
	Log       *slog.Logger
}

// Overlay is one node's part of the overlay. Its methods may be called from any
// goroutine.
type Overlay struct {
	cfg   Config
	relay *relay.Relay

	mu      sync.Mutex
	pending map[onion.SURBID]*pending // guarded by mu
}

type pending struct {
	keys   *onion.ReplyKeys
	answer chan []byte // capacity 1
}

// New assembles an overlay. Packets that arrive are to be handed to Receive.
func New(cfg Config) *Overlay {
	o := &Overlay{cfg: cfg, pending: make(map[onion.SURBID]*pending)}
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

// Run relays until ctx ends.
func (o *Overlay) Run(ctx context.Context) error { return o.relay.Run(ctx) }

// Receive takes in a packet from a neighbour, and owns it from then on.
func (o *Overlay) Receive(from hashid.NodeID, p *onion.Packet) { o.relay.Handle(from, p) }

// Keys returns this node's onion keys, for its descriptor: that of the current
// epoch and the next seven.
func (o *Overlay) Keys(now time.Time) (first uint32, keys [record.Epochs]onion.PublicKey, err error) {
	return o.relay.Keys(now)
}

// Stats returns what the relay has done so far, in counts.
func (o *Overlay) Stats() relay.Stats { return o.relay.Stats() }

// Pending is the number of requests that wait for their answers.
func (o *Overlay) Pending() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.pending)
}

// Path is the way of one packet: its relays in order, and its end node.
type Path struct {
	Relays []hashid.NodeID
	End    hashid.NodeID

	hops []onion.Hop
}

// Draw draws a path to an end node: different relays, each choice equally
// likely, neither this node nor the end node among them. The error is a
// *discovery.ShortageError when there are too few.
func (o *Overlay) Draw(ctx context.Context, end hashid.NodeID) (*Path, error) {
	relays, err := o.cfg.Directory.Draw(o.cfg.Hops, o.cfg.Self, end)
	if err != nil {
		return nil, err
	}
	desc, err := o.cfg.Finder.Find(ctx, end)
	if err != nil {
		return nil, fmt.Errorf("the end node is not to be found: %w", err)
	}
	return o.path(relays, desc)
}

func (o *Overlay) path(relays []*record.Descriptor, end *record.Descriptor) (*Path, error) {
	p := &Path{End: end.ID()}
	var err error
	if p.hops, err = hops(append(relays, end), o.cfg.Now()); err != nil {
		return nil, err
	}
	for _, r := range relays {
		p.Relays = append(p.Relays, r.ID())
	}
	return p, nil
}

// hops are the steps of a path through nodes, under their keys of this epoch.
func hops(nodes []*record.Descriptor, now time.Time) ([]onion.Hop, error) {
	steps := make([]onion.Hop, 0, onion.Layers)
	for _, desc := range nodes {
		key, ok := desc.KeyAt(now)
		if !ok {
			return nil, errors.New("a node on the path has published no key for this hour yet")
		}
		steps = append(steps, onion.Hop{Node: desc.ID(), Key: key})
	}
	return steps, nil
}

// back draws the path of an answer from end to this node.
func (o *Overlay) back(end hashid.NodeID) ([]onion.Hop, error) {
	relays, err := o.cfg.Directory.Draw(o.cfg.Hops, o.cfg.Self, end)
	if err != nil {
		return nil, err
	}
	now := o.cfg.Now()
	way, err := hops(relays, now)
	if err != nil {
		return nil, err
	}
	_, keys, err := o.relay.Keys(now)
	if err != nil {
		return nil, err
	}
	return append(way, onion.Hop{Node: o.cfg.Self, Key: keys[0]}), nil
}

// Request sends body to a service at the end of path and waits for its answer
// until ctx ends. The answer comes back by relays of its own.
func (o *Overlay) Request(ctx context.Context, path *Path, service string, body []byte) ([]byte, error) {
	hops, err := o.back(path.End)
	if err != nil {
		return nil, err
	}
	surb, id, keys, err := onion.NewSURB(hops)
	if err != nil {
		return nil, err
	}
	payload, err := appendRequest(nil, &surb, service, body)
	if err != nil {
		return nil, err
	}
	wait := &pending{keys: keys, answer: make(chan []byte, 1)}
	if !o.expect(id, wait) {
		return nil, ErrBusy
	}
	defer o.forget(id)

	p := o.cfg.Link.Get()
	if err := onion.Wrap(p, path.hops, payload); err != nil {
		o.cfg.Link.Put(p)
		return nil, err
	}
	if err := o.cfg.Link.Send(path.hops[0].Node, p); err != nil {
		return nil, err
	}
	select {
	case answer := <-wait.answer:
		return answer, nil
	case <-ctx.Done():
		return nil, ErrNoAnswer
	}
}

func (o *Overlay) expect(id onion.SURBID, wait *pending) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.pending) >= maxPending {
		return false
	}
	o.pending[id] = wait
	return true
}

func (o *Overlay) forget(id onion.SURBID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.pending, id)
}

// reply is called when a packet came back by a SURB of this node's.
func (o *Overlay) reply(id onion.SURBID, payload *[onion.PayloadSize]byte) {
	o.mu.Lock()
	wait := o.pending[id]
	delete(o.pending, id)
	o.mu.Unlock()
	if wait == nil {
		return // too late, or not ours: nobody waits
	}
	body, err := wait.keys.Open(payload)
	if err != nil {
		o.cfg.Log.Debug("an answer was damaged on its way")
		return
	}
	wait.answer <- append([]byte(nil), body...)
}

// deliver is called when a packet ends here.
func (o *Overlay) deliver(payload []byte) {
	surb, service, body, err := parseRequest(payload)
	if err != nil {
		o.cfg.Log.Debug("a packet ended here that is no request")
		return
	}
	serve := o.cfg.Services[service]
	if serve == nil {
		return
	}
	answer := serve(body)
	p := o.cfg.Link.Get()
	first := surb.First()
	if err := surb.Use(p, answer); err != nil {
		o.cfg.Link.Put(p)
		return
	}
	if err := o.cfg.Link.Send(first, p); err != nil {
		o.cfg.Log.Debug("an answer could not be sent", "error", err)
	}
}

func appendRequest(dst []byte, surb *onion.SURB, service string, body []byte) ([]byte, error) {
	if len(service) == 0 || len(service) > maxServiceName {
		return nil, fmt.Errorf("a service's name has 1 to %d bytes", maxServiceName)
	}
	dst = append(dst, kindRequest)
	dst = append(dst, surb[:]...)
	dst = append(dst, byte(len(service)))
	dst = append(dst, service...)
	dst = append(dst, body...)
	if len(dst) > onion.BodySize {
		return nil, fmt.Errorf("a request of %d bytes does not fit a packet", len(body))
	}
	return dst, nil
}

func parseRequest(payload []byte) (surb onion.SURB, service string, body []byte, err error) {
	var (
		s    = cryptobyte.String(payload)
		kind uint8
		name cryptobyte.String
		raw  []byte
	)
	if len(payload) > onion.BodySize || !s.ReadUint8(&kind) || kind != kindRequest || !s.ReadBytes(&raw, onion.SURBSize) ||
		!s.ReadUint8LengthPrefixed(&name) || len(name) == 0 || len(name) > maxServiceName {
		return surb, "", nil, errors.New("malformed request")
	}
	if surb, err = onion.ParseSURB(raw); err != nil {
		return surb, "", nil, err
	}
	return surb, string(name), s, nil
}
