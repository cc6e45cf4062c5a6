package node

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery"
	"chatnt/discovery/record"
)

// Who is not listed any more does not have the node's descriptor signed in the second of the withdrawal.
func TestRelistingLeavesTheDescriptor(t *testing.T) {
	p := testProfile(t)
	n, table, signed := &Node{profile: p, now: time.Now, feed: newFeed(), log: slog.New(slog.DiscardHandler), messenger: messengerOf(t, p)}, new(keptKeys), 0
	synctest.Test(t, func(t *testing.T) {
		n.publisher = discovery.NewPublisher(table, n.now, n.log, discovery.Publication{
			What: "relay descriptor", Keys: []string{"descriptor"}, Every: descriptorEvery,
			Sign: func(time.Time) ([]byte, error) { signed++; return nil, nil },
		})
		n.personal = discovery.NewPublisher(table, n.now, n.log, personal(n)...)
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error, 2)
		for _, p := range []*discovery.Publisher{n.publisher, n.personal} {
			go func() { over <- p.Run(ctx) }()
		}
		synctest.Wait()
		before := len(table.keys)
		for _, listed := range []bool{false, true} {
			if err := n.SetListed(listed); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		cancel()
		for range 2 {
			if err := <-over; err != nil {
				t.Error(err)
			}
		}
		if anew := table.keys[before:]; signed != 1 || slices.Contains(anew, "descriptor") || !slices.Contains(anew, record.KeyRecordKeys(p.Hashid())[0]) {
			t.Errorf("the descriptor was signed %d times; put anew %q", signed, anew)
		}
	})
}
