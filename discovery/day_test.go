package discovery

import (
	"context"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// honestTable reaches a few relays and no other.
type honestTable struct{ there map[hashid.NodeID]bool }

func (h honestTable) Walk(context.Context) ([]hashid.NodeID, error)      { return nil, errFake }
func (h honestTable) Get(context.Context, ...string) ([]byte, error)     { return nil, errFake }
func (h honestTable) Ask(context.Context, hashid.NodeID) ([]byte, error) { return nil, errFake }
func (h honestTable) Dial(_ context.Context, desc *record.Descriptor) error {
	if h.there[desc.ID()] {
		return nil
	}
	return errFake
}

// Descriptors of relays that nobody can reach come in all day, each a valid one:
// the directory stays within its bounds, goes on using those that can be
// reached, and has forgotten the others a lifetime after the last has come.
func TestDayOfMadeUpRelays(t *testing.T) {
	madeUp := 300
	if os.Getenv("CHATNT_LONG") == "1" {
		madeUp = 4000
	}
	synctest.Test(t, func(t *testing.T) {
		d, table := newTestDirectory(), honestTable{make(map[hashid.NodeID]bool)}
		var honest []*signer
		for range 5 {
			s := newSigner(t)
			table.there[s.id] = true
			honest = append(honest, s)
		}
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		held := func() int {
			d.mu.Lock()
			defer d.mu.Unlock()
			return len(d.entries)
		}
		most := 0
		renew := func() {
			for _, s := range honest {
				_, _ = d.Learn(s.sign(time.Now()))
			}
			synctest.Wait()
		}
		for i := range madeUp {
			if i%(madeUp/24) == 0 { // an hour
				renew()
			}
			_, _ = d.Learn(newSigner(t).sign(time.Now())) // it may be full
			time.Sleep(24 * time.Hour / time.Duration(madeUp))
			if i%100 == 0 {
				most = max(most, held())
				if n := len(d.Usable()); n != len(honest) {
					t.Fatalf("%d relays are in use after %d made-up ones", n, i)
				}
			}
		}
		if most > maxKnown || most < min(madeUp/5, maxKnown/2) {
			t.Errorf("%d were held at the most", most)
		}
		for range 7 {
			renew()
			pass(time.Hour)
		}
		if n := held(); n != len(honest) {
			t.Errorf("%d are held when the made-up ones have expired", n)
		}
	})
}
