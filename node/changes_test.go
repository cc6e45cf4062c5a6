package node

import (
	"fmt"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
)

// However many connections end while nobody looks, each neighbour is looked at.
func TestNoChangeIsLost(t *testing.T) {
	c := newChanges()
	for round := range 2 {
		const many = 3 * hostConns
		for range 2 { // those that come and go are looked at once
			for i := range many {
				c.note(peer.ID(fmt.Sprint(round, i)))
			}
		}
		<-c.some
		taken := c.take()
		for i := range many {
			if _, ok := taken[peer.ID(fmt.Sprint(round, i))]; !ok {
				t.Fatalf("round %d: neighbour %d of %d is forgotten", round, i, many)
			}
		}
		if len(taken) != many || len(c.take()) != 0 {
			t.Errorf("round %d: %d neighbours were taken, want %d, and then none", round, len(taken), many)
		}
	}
}
