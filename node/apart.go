package node

import (
	"context"
	"crypto/rand"
	"math/big"
	"time"
)

// How long nobody of a profile is to be seen when one identity takes the place of another:
// at least as long as the one that goes may need to take leave, and at most as long as a
// person waits without asking what is wrong.
const (
	apartLeast = 10 * time.Second
	apartMost  = 40 * time.Second
)

// Apart returns a random time, 10 to 40 seconds from now, before which the node of an identity
// that takes the place of another does nothing that others could see: it listens to
// nobody, dials nobody and publishes nothing.
//
// Otherwise who watches the network would see one node leave and the other come in one moment,
// each time. Others that come and go meanwhile stand between the two then; who watches for
// weeks, or sees that both have one address, is not kept from the conclusion.
func Apart(now time.Time) time.Time {
	more, err := rand.Int(rand.Reader, big.NewInt(int64(apartMost-apartLeast)))
	if err != nil { // never: the reader does not fail
		return now.Add(apartMost)
	}
	return now.Add(apartLeast + time.Duration(more.Int64()))
}

// Unseen returns for how long the node of the identity in use is not to be seen yet, 0 if it may be.
// A clock that was set back meanwhile makes it no longer than it can have been.
func (p *Profile) Unseen(now time.Time) time.Duration {
	return min(max(p.seen.Sub(now), 0), apartMost)
}

// comeLater waits until the node may be seen. It returns false if ctx ends first.
func (n *Node) comeLater(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
