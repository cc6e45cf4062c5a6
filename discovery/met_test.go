package discovery

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// slowTable has relays that take five seconds to turn out not to be there, among
// them one that is, which is all that a walk meets.
type slowTable struct {
	real *signer
	raw  []byte

	mu     sync.Mutex
	dialed int // guarded by mu
}

func (s *slowTable) Walk(context.Context) ([]hashid.NodeID, error) {
	return []hashid.NodeID{s.real.id}, nil
}
func (s *slowTable) Get(context.Context, ...string) ([]byte, error) { return s.raw, nil }
func (s *slowTable) Dial(ctx context.Context, desc *record.Descriptor) error {
	s.mu.Lock()
	s.dialed++
	s.mu.Unlock()
	if desc.ID() == s.real.id {
		return nil
	}
	select {
	case <-time.After(5 * time.Second):
	case <-ctx.Done():
	}
	return errFake
}

// Descriptors that somebody made up by the thousand do not keep waiting a relay
// that the network knows.
func TestMadeUpRelaysDoNotHoldUpRealOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		real := newSigner(t)
		d, table := newTestDirectory(), &slowTable{real: real, raw: real.sign(time.Now())}
		for range 2000 {
			if news, err := d.Learn(newSigner(t).sign(time.Now())); err != nil || !news {
				t.Fatal("a made-up relay was not taken in:", err)
			}
		}
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		// Those under way when the walk meets it, and no more.
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if len(d.Usable()) != 1 {
			table.mu.Lock()
			defer table.mu.Unlock()
			t.Errorf("the relay is not in use after %d dials", table.dialed)
		}
	})
}
