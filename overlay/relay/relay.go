// Package relay is what a node does with an onion packet that reaches it:
//
//	Handle   take a tag from the neighbour's budget        else drop
//	         open the header with the key of the epoch     else drop
//	         test and insert the replay tag                else drop
//	         take a layer off the payload
//	Forward  wait as long as the sender chose, send on
//	Deliver  hand the body over
//	Reply    hand the payload over, with the reply block's id
//
// It follows Sphinx (Danezis and Goldberg, IEEE S&P 2009, section 3.6) for the
// first part and Loopix (Piotrowska et al., USENIX Security 2017, section 4.1)
// for the delays, which the sender draws.
//
// A packet that is dropped is dropped in silence: an answer would tell whoever
// sent it which of its guesses was right. The causes are counted locally.
//
// What a packet costs its relay is shared out among the neighbours it may come
// from, so that one that floods, or twenty that do, take nothing from the others
// but what these do not use: processor time by turns, of one opening each; replay
// tags by budget; places to wait by shares. A neighbour is never blamed, let alone
// cut off, for what it sends: whoever made a packet chose what an honest relay
// passes on, so that garbage and replays say nothing about the one they came from.
//
// Onion keys and replay tags live in memory only, and go together: a node that
// starts anew has new keys, so that no packet it has seen can be played again.
package relay

import (
	"context"
	"runtime"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/overlay/fair"
	"chatnt/overlay/onion"
)

// Config says what a relay works with. All fields are needed.
type Config struct {
	// Self is this node. Packets that would go from it to itself are dropped.
	Self hashid.NodeID

	// Now is the wall clock, which says what epoch it is.
	Now func() time.Time

	// Send passes a packet on and owns it from then on. It does not block.
	Send func(to hashid.NodeID, p *onion.Packet) error

	// Free takes back a packet that goes no further.
	Free func(p *onion.Packet)

	// Deliver gets the body of a packet for this node, and the neighbour that the
	// packet came from, which is not its sender. Body is valid during the call,
	// which holds that neighbour back: all its packets, also those of others that
	// it only passes on. So it must be quick.
	Deliver func(from hashid.NodeID, body []byte)

	// Reply gets the payload of a packet that came by a reply block of this
	// node's, for ReplyKeys.Open. Payload is valid during the call, and what is
	// said of Deliver holds for it too.
	Reply func(id onion.SURBID, payload *[onion.PayloadSize]byte)
}

// Relay handles the packets that reach a node. Its methods are safe for
// concurrent use.
type Relay struct {
	cfg   Config
	keys  keyring
	room  waitingRoom
	tags  *fair.Budget[hashid.NodeID]
	count counters

	// cpu holds as many as may do cryptography at once. Who waits for a turn gets
	// it in the order of asking. Since a neighbour asks for one at a time, this is
	// round robin among those that are busy.
	cpu chan struct{}
}

// New returns a relay without keys: the first call of Keys makes them.
func New(cfg Config) *Relay {
	r := &Relay{cfg: cfg, tags: newTags(), cpu: make(chan struct{}, runtime.GOMAXPROCS(0))}
	r.room.init()
	return r
}

// Run sends delayed packets on as their time comes, and forgets old keys, until
// ctx ends; it returns nil when it has stopped. Packets still waiting are
// dropped, as is whatever Handle gets from then on. It may be called once.
func (r *Relay) Run(ctx context.Context) error {
	defer r.stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.room.sooner:
		case <-timer.C:
		}
		now := time.Now()
		r.keys.forget(r.cfg.Now())
		for {
			next, ok := r.room.take(now)
			if !ok {
				break
			}
			r.forward(next.to, next.packet)
		}
		wait := untilNextEpoch(r.cfg.Now())
		if due, ok := r.room.due(); ok {
			wait = min(wait, due.Sub(now))
		}
		timer.Reset(wait)
	}
}

func (r *Relay) stop() {
	for _, w := range r.room.close() {
		r.count.stopped.Add(1)
		r.cfg.Free(w.packet)
	}
}

// Handle does with p what its header says, and owns p. It is called on the
// goroutine that reads from the neighbour p came from, and does all the work
// there: a neighbour can keep one core busy and no more.
func (r *Relay) Handle(from hashid.NodeID, p *onion.Packet) {
	h, body, cause := r.unwrap(from, p)
	if cause != nil {
		cause.Add(1)
		r.cfg.Free(p)
		return
	}
	switch h.Kind {
	case onion.Forward:
		r.wait(from, &h, p)
	case onion.Deliver:
		r.count.delivered.Add(1)
		r.cfg.Deliver(from, body)
		r.cfg.Free(p)
	case onion.Reply:
		r.count.replies.Add(1)
		r.cfg.Reply(h.Reply, p.Payload())
		r.cfg.Free(p)
	}
}

// unwrap takes this node's layer off p. Where p is to be dropped it returns the
// counter of the cause.
func (r *Relay) unwrap(from hashid.NodeID, p *onion.Packet) (h onion.Header, body []byte, cause *counter) {
	now := time.Now()
	if !r.tags.Take(now, from) {
		// It would have to be dropped whatever is in it: no cryptography for that.
		return h, nil, &r.count.limited
	}
	cause = &r.count.unreadable
	for _, key := range r.keys.candidates(r.cfg.Now()) {
		if key == nil {
			continue
		}
		// A turn for each key: a packet that none opens costs two or three times
		// what a good one does, and must not take as much in one turn.
		r.cpu <- struct{}{}
		h, body, cause = r.try(key, p)
		<-r.cpu
		if cause != &r.count.unreadable {
			break
		}
	}
	if cause == &r.count.unreadable || cause == &r.count.replayed {
		r.tags.GiveBack(now, from)
	}
	return h, body, cause
}

// try takes off p the layer that was made for key, if it was. The replay tag is
// tested before the payload is touched, since what happens to a payload must
// happen once.
func (r *Relay) try(key *epochKey, p *onion.Packet) (h onion.Header, body []byte, cause *counter) {
	h, err := key.private.Open(p)
	if err != nil {
		return h, nil, &r.count.unreadable
	}
	if !key.seen.Insert(h.Tag) {
		return h, nil, &r.count.replayed
	}
	switch h.Kind {
	case onion.Forward:
		if h.Next == r.cfg.Self {
			return h, nil, &r.count.toSelf
		}
		h.Strip(p)
	case onion.Deliver:
		if body, err = h.Deliver(p); err != nil {
			return h, nil, &r.count.tampered
		}
	}
	return h, body, nil
}

// wait sends p on, now or when its delay is over.
func (r *Relay) wait(from hashid.NodeID, h *onion.Header, p *onion.Packet) {
	if h.Delay <= 0 {
		r.forward(h.Next, p)
		return
	}
	out, ok := r.room.add(waiting{due: time.Now().Add(h.Delay), from: from, to: h.Next, packet: p})
	if !ok {
		out = p
	}
	if out != nil {
		r.count.noRoom.Add(1)
		r.cfg.Free(out)
	}
}

func (r *Relay) forward(to hashid.NodeID, p *onion.Packet) {
	if err := r.cfg.Send(to, p); err != nil {
		r.count.unsent.Add(1)
		return
	}
	r.count.forwarded.Add(1)
}
