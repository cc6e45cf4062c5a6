package link

import (
	"context"
	"testing"
	"testing/synctest"

	"chatnt/discovery/hashid"
	"chatnt/overlay/onion"
)

// TestMemory runs the suite in virtual time, with the limits of production.
func TestMemory(t *testing.T) {
	for _, c := range suite {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.run(t, new(memoryWire)) })
		})
	}
}

type memoryWire struct{ network Memory }

func (w *memoryWire) add(t testing.TB, i byte, receive func(*Link, hashid.NodeID, *onion.Packet), tune func(*limits)) *node {
	n := &node{id: hashid.NodeID{i}, unreachable: make(chan hashid.NodeID, 100)}
	if receive == nil {
		receive = func(l *Link, _ hashid.NodeID, p *onion.Packet) { l.Put(p) }
	}
	n.Link = w.network.New(n.id,
		func(from hashid.NodeID, p *onion.Packet) { receive(n.Link, from, p) },
		func(to hashid.NodeID) { n.unreachable <- to })
	n.start(t, tune, func() {})
	return n
}

// start runs a node's link until stop is called or the test ends.
func (n *node) start(t testing.TB, tune func(*limits), after func()) {
	t.Helper()
	if tune != nil {
		tune(&n.limits)
	}
	ready := make(chan struct{})
	n.transport = announced{n.transport, ready}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	<-ready
	stopped := false
	n.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		after()
	}
	t.Cleanup(n.stop)
}

// announced is a transport that tells when it has begun to listen.
type announced struct {
	transport
	ready chan struct{}
}

func (t announced) listen(accept func(hashid.NodeID, stream), moved func(hashid.NodeID)) func() {
	stop := t.transport.listen(accept, moved)
	close(t.ready)
	return stop
}
