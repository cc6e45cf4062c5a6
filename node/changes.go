package node

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
)

// changes are the neighbours with a connection more, or less, that nobody has
// looked at yet. None is lost, however many come at once, and noting one does not
// block: the host waits for whoever it tells.
type changes struct {
	some chan struct{} // capacity 1: there are some

	mu    sync.Mutex
	peers map[peer.ID]struct{} // guarded by mu
}

func newChanges() *changes {
	return &changes{some: make(chan struct{}, 1), peers: make(map[peer.ID]struct{})}
}

func (c *changes) note(p peer.ID) {
	c.mu.Lock()
	c.peers[p] = struct{}{}
	c.mu.Unlock()
	nudge(c.some)
}

// take returns those noted since it was last called, each once.
func (c *changes) take() map[peer.ID]struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.peers
	c.peers = make(map[peer.ID]struct{})
	return taken
}
