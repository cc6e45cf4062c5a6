package overlay

import (
	"context"

	"chatnt/discovery/hashid"
	"chatnt/overlay/onion"
)

// serviceLoop is the one service that every node offers: it answers with nothing.
const serviceLoop = "loop"

// Service answers a request at its end node. It is called on the goroutine that
// reads from a neighbour, so it must be quick; body is its own only until it
// returns. It may be called several times for one request. A nil answer is none at
// all: the sender hears nothing, as if the packet had been lost.
type Service func(body []byte) (answer []byte)

// SlowService is a Service that may take seconds. It is called on a goroutine of
// its own, a few at once, for the neighbours that requests come from in turn; ctx
// ends when its answer is no longer wanted. Body is its own.
type SlowService func(ctx context.Context, body []byte) (answer []byte)

// deliver is called when a packet ends here.
func (o *Overlay) deliver(from hashid.NodeID, payload []byte) {
	surb, service, body, err := parseRequest(payload)
	if err != nil {
		o.cfg.Log.Debug("a packet ended here that is no request")
		return
	}
	if service == serviceLoop {
		o.answer(surb, []byte{})
		return
	}
	if serve := o.cfg.Services[service]; serve != nil {
		o.answer(surb, serve(body))
		return
	}
	if serve := o.cfg.Slow[service]; serve != nil {
		body = append([]byte(nil), body...)
		o.pools[service].add(from, func(ctx context.Context) {
			if answer := serve(ctx, body); ctx.Err() == nil {
				o.answer(surb, answer)
			}
		})
	}
}

func (o *Overlay) answer(surb onion.SURB, body []byte) {
	if body == nil {
		return
	}
	if err := o.Push(surb, body); err != nil {
		o.cfg.Log.Debug("an answer could not be sent", "error", err)
	}
}

// Push sends body, at most [onion.BodySize] bytes, by a reply block that came in
// the body of a request. A block serves once: who keeps it is to keep it until its
// expiry at most, which its maker told.
func (o *Overlay) Push(block onion.SURB, body []byte) error {
	p, first := o.cfg.Link.Get(), block.First()
	if err := block.Use(p, body); err != nil {
		o.cfg.Link.Put(p)
		return err
	}
	return o.cfg.Link.Send(first, p)
}
