// Package link carries onion packets between neighbours, one hop at a time.
//
// A frame is exactly one packet, [onion.Size] bytes, with no header: the stream
// is a row of packets and nothing else, so that all frames on a wire are equal.
// A stream carries one way. Whoever has something to send opens a stream and
// writes; the other side only reads; two nodes that talk to each other use two.
// A node that cannot be dialled is reached over the connection it opened itself.
//
//	Send ─► queue ─► goroutine of the neighbour ─► stream ═► reader ─► Receive
//	         64          opens, writes, retries               the time Receive takes
//	                                                          holds the sender back
//
// Nothing here blocks on a neighbour but the neighbour's own goroutine, so a
// slow, dead or hostile one loses its own packets and nobody else's. A frame
// may be lost or doubled when a stream breaks: relays refuse replays, and the
// ends repeat what is not acknowledged.
//
// [New] makes a link over libp2p, [Memory] one inside the process, with the
// same queues, limits and deadlines, for tests in virtual time.
package link

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/overlay/onion"
)

// Why Send refuses a packet.
var (
	ErrQueueFull         = errors.New("the neighbour is slower than what is sent to it")
	ErrUnreachable       = errors.New("the neighbour could not be reached a moment ago")
	ErrTooManyNeighbours = errors.New("too many neighbours are in use at once")
	ErrClosed            = errors.New("the link is not running")
)

// Link sends packets to neighbours and receives theirs. Its methods are safe
// for concurrent use.
type Link struct {
	transport   transport
	receive     func(from hashid.NodeID, p *onion.Packet)
	unreachable func(to hashid.NodeID)
	limits      limits // read-only once Run has begun

	packets sync.Pool // of *onion.Packet
	count   counters
	queued  atomic.Int64 // packets in all queues
	tasks   sync.WaitGroup

	mu         sync.Mutex // guards the fields below
	running    bool
	ctx        context.Context // of Run
	neighbours map[hashid.NodeID]*neighbour
	connecting int // neighbours in that state
	inbound    map[hashid.NodeID]*inbound
}

func newLink(t transport, receive func(hashid.NodeID, *onion.Packet), unreachable func(hashid.NodeID)) *Link {
	if unreachable == nil {
		unreachable = func(hashid.NodeID) {}
	}
	return &Link{
		transport:   t,
		receive:     receive,
		unreachable: unreachable,
		limits:      defaultLimits(),
		packets:     sync.Pool{New: func() any { return new(onion.Packet) }},
		neighbours:  make(map[hashid.NodeID]*neighbour),
		inbound:     make(map[hashid.NodeID]*inbound),
	}
}

// Run sends and receives until ctx ends, and returns nil when every goroutine
// it started has ended. It may be called once. Packets still queued are dropped.
//
// A neighbour that stopped reading its socket can hold Run back for as long as
// the multiplexer takes to give up (10 seconds); closing the host ends that at once.
func (l *Link) Run(ctx context.Context) error {
	l.mu.Lock()
	if l.ctx != nil {
		l.mu.Unlock()
		return errors.New("a link runs once")
	}
	l.ctx, l.running = ctx, true
	l.mu.Unlock()

	stop := l.transport.listen(l.accept, l.moved)
	<-ctx.Done()
	stop()

	l.mu.Lock()
	l.running = false // nothing is added to tasks from here on
	for _, n := range l.neighbours {
		n.halt()
	}
	for _, in := range l.inbound {
		in.expire(0)
	}
	l.mu.Unlock()
	l.tasks.Wait()
	return nil
}

// Send queues p for a neighbour and never blocks. It takes ownership of p,
// also when it returns an error, which says why p was dropped.
func (l *Link) Send(to hashid.NodeID, p *onion.Packet) error {
	l.mu.Lock()
	err := l.enqueue(to, p)
	l.mu.Unlock()
	if err != nil {
		l.count.refused(err)
		l.Put(p)
	}
	return err
}

// enqueue is called with mu held, which makes it the only one to fill a queue.
func (l *Link) enqueue(to hashid.NodeID, p *onion.Packet) error {
	if !l.running {
		return ErrClosed
	}
	n := l.neighbours[to]
	if n == nil {
		if !l.makeRoom() {
			return ErrTooManyNeighbours
		}
		n = l.addNeighbour(to)
	}
	if n.state == resting {
		return ErrUnreachable
	}
	// Dynamic thresholds (Choudhury and Hahne, IEEE/ACM ToN 6(2), 1998): a queue
	// may be as long as what is left of the shared room, so that many slow
	// neighbours together cannot take the last of it from the others.
	room := l.limits.queued - int(l.queued.Load())
	if len(n.queue) >= min(cap(n.queue), room) {
		return ErrQueueFull
	}
	l.queued.Add(1)
	n.used = time.Now()
	n.queue <- p
	return nil
}

// Get returns a packet to fill; its content is unspecified but never another
// packet's. Give it back with Send or Put.
func (l *Link) Get() *onion.Packet { return l.packets.Get().(*onion.Packet) }

// Put wipes p, which may hold what an end node decrypted, and keeps it for reuse.
func (l *Link) Put(p *onion.Packet) {
	clear(p[:])
	l.packets.Put(p)
}
