package link

import (
	"context"
	"errors"
	"net"
	"sync"

	"chatnt/discovery/hashid"
	"chatnt/overlay/onion"
)

// Memory is a network of links inside one process. Everything but the wire is
// the same as over libp2p; a stream is a [net.Pipe], which holds back a writer
// until its reader has taken the frame. It works in virtual time
// ([testing/synctest]). The zero value is a network without nodes.
type Memory struct {
	mu    sync.Mutex // guards nodes
	nodes map[hashid.NodeID]func(from hashid.NodeID, s stream)
}

// New adds a node's link to the network: the node is there while the link runs.
// Receive and unreachable are as in [Config]; unreachable may be nil.
func (m *Memory) New(self hashid.NodeID, receive func(from hashid.NodeID, p *onion.Packet), unreachable func(to hashid.NodeID)) *Link {
	return newLink(&memoryTransport{network: m, self: self}, receive, unreachable)
}

// memoryTransport is one node's access to the network.
type memoryTransport struct {
	network *Memory
	self    hashid.NodeID
}

func (t *memoryTransport) listen(accept func(hashid.NodeID, stream), _ func(hashid.NodeID)) func() {
	m := t.network
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.nodes == nil {
		m.nodes = make(map[hashid.NodeID]func(hashid.NodeID, stream))
	}
	m.nodes[t.self] = accept
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.nodes, t.self)
	}
}

func (t *memoryTransport) open(_ context.Context, to hashid.NodeID, _ *limits) (stream, error) {
	m := t.network
	m.mu.Lock()
	defer m.mu.Unlock()
	accept := m.nodes[to]
	if accept == nil || to == t.self {
		return nil, errors.New("the node is not on the network")
	}
	ours, theirs := net.Pipe()
	go accept(t.self, memoryStream{theirs})
	return memoryStream{ours}, nil
}

// memoryStream is one end of a pipe. A pipe holds nothing, so that there is
// nothing for Reset to discard.
type memoryStream struct{ net.Conn }

func (s memoryStream) Reset() error { return s.Close() }
