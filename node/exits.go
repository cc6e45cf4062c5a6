package node

import (
	"context"
	"sync/atomic"
	"time"

	"chatnt/discovery"
	"chatnt/discovery/dht"
	"chatnt/overlay"
)

// What leaves this node for its person is kept apart from what it sends for itself, as
// whoever keeps records of both sees when each is put: the person's go through exits
// (overlay.Records), each copy after a time drawn for it alone, and are renewed by a clock
// of their own. What is put soon can still be told by its time, when little else is.

const (
	apartSoon = 2 * time.Second  // at most, before a copy of this person's record is put ...
	apartLong = 30 * time.Second // ... and when the node starts over, as after a sleep: it is still there

	overFor = time.Minute // after starting over
)

// apart draws how long copies of this person's records wait, which are there already or not. The zero value is for a
// node that starts.
type apart struct{ over atomic.Pointer[time.Time] }

func (a *apart) startOver(now time.Time) { a.over.Store(&now) }

func (a *apart) wait(there bool) time.Duration {
	if at := a.over.Load(); there && at != nil && time.Since(*at) < overFor {
		return upTo(apartLong)
	}
	return upTo(apartSoon)
}

// exitsReady waits until records can be put through exits, or ctx ends.
func exitsReady(ctx context.Context, records *overlay.Records, relays *discovery.Directory) error {
	for {
		changed := relays.Changed()
		err := records.Ready()
		if err == nil {
			return nil
		}
		select {
		case <-changed:
		case <-time.After(askAgain(err, planEvery)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// onBehalf is the hash table as this node asks it for others.
type onBehalf struct{ *dht.DHT }

// Put stores a record of somebody else's.
func (t onBehalf) Put(ctx context.Context, key string, value []byte) (int, error) {
	return t.PutForOthers(ctx, key, value)
}
