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
// them some that are, which are all that a walk meets.
type slowTable struct {
	mu     sync.Mutex
	there  map[hashid.NodeID]bool // guarded by mu
	values map[string][]byte      // guarded by mu; the descriptors of those that a walk meets
	met    []hashid.NodeID        // guarded by mu
	dialed int                    // guarded by mu
}

func newSlowTable() *slowTable {
	return &slowTable{there: make(map[hashid.NodeID]bool), values: make(map[string][]byte)}
}

// add has a relay be there, and met.
func (s *slowTable) add(n *signer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.there[n.id] = true
	s.met = append(s.met, n.id)
	s.values[record.DescriptorKey(n.id)] = n.sign(time.Now())
}

func (s *slowTable) Walk(context.Context) ([]hashid.NodeID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.met, nil
}

func (s *slowTable) Get(_ context.Context, keys ...string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if value := s.values[keys[0]]; value != nil {
		return value, nil
	}
	return nil, errFake
}

func (s *slowTable) Ask(context.Context, hashid.NodeID) ([]byte, error) { return nil, errFake }
func (s *slowTable) Dial(ctx context.Context, desc *record.Descriptor) error {
	s.mu.Lock()
	s.dialed++
	there := s.there[desc.ID()]
	s.mu.Unlock()
	if there {
		return nil
	}
	select {
	case <-time.After(5 * time.Second):
	case <-ctx.Done():
	}
	return errFake
}

// set changes the table under its lock.
func (s *slowTable) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// flood has the directory learn of so many relays that nobody can reach.
func flood(t *testing.T, d *Directory, n int) {
	t.Helper()
	for range n {
		learn(t, d, newSigner(t).sign(time.Now()))
	}
}

func uses(d *Directory, id hashid.NodeID) bool {
	for _, r := range d.Usable() {
		if r.ID() == id {
			return true
		}
	}
	return false
}

// Descriptors that somebody made up by the thousand do not keep waiting a relay
// that the network knows.
func TestMadeUpRelaysDoNotHoldUpRealOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table := newTestDirectory(), newSlowTable()
		table.add(newSigner(t))
		flood(t, d, 2000)
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		// Those under way when the walk meets it, and no more.
		pass(6 * time.Second)
		if len(d.Usable()) != 1 {
			table.mu.Lock()
			defer table.mu.Unlock()
			t.Errorf("the relay is not in use after %d dials", table.dialed)
		}
	})
}

// Nor one that was in use and whose connection broke: with few others in use,
// and with so many that one is dialled at a time.
func TestMadeUpRelaysDoNotHoldUpLostOnes(t *testing.T) {
	for _, others := range []int{0, plenty + 8} {
		synctest.Test(t, func(t *testing.T) {
			d, table := newTestDirectory(), newSlowTable()
			lost := newSigner(t)
			table.add(lost)
			for range others {
				table.add(newSigner(t))
			}
			running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
			pass(time.Minute)
			if n := len(d.Usable()); n != 1+others {
				t.Fatalf("%d relays are in use, want %d", n, 1+others)
			}
			flood(t, d, 1000)
			pass(time.Second)
			d.Suspect(lost.id)
			// Those under way, twice: it may be the turn of who waits for longest.
			pass(11 * time.Second)
			if !uses(d, lost.id) {
				t.Errorf("with %d others in use, it is not in use again", others)
			}
		})
	}
}

// A relay that was told of, as the made-up ones are, and was not there at first
// has its turn when those that waited before it have had theirs, although others
// come faster than they can be dialled.
func TestFailedRelayHasItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table := newTestDirectory(), newSlowTable()
		late := newSigner(t)
		learn(t, d, late.sign(time.Now()))
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		pass(5 * time.Second) // its first dial has failed
		table.set(func() { table.there[late.id] = true })
		flood(t, d, 40)
		for range 60 {
			flood(t, d, 5*maxProbes)
			pass(5 * time.Second)
		}
		if !uses(d, late.id) {
			t.Error("it is not in use after five minutes")
		}
	})
}

// Relays that were in use and have gone do not hold up new ones for long.
func TestGoneRelaysDoNotHoldUpNewOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table := newTestDirectory(), newSlowTable()
		const gone = 200
		for range gone {
			table.add(newSigner(t))
		}
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		pass(time.Minute)
		if n := len(d.Usable()); n != gone {
			t.Fatalf("%d relays are in use, want %d", n, gone)
		}
		came := newSigner(t)
		table.set(func() { clear(table.there); table.met = nil })
		d.Redial()
		synctest.Wait()
		table.add(came)
		d.Grown()
		pass((2*gone/maxProbes + 2) * 5 * time.Second) // each of the others twice
		if !uses(d, came.id) {
			t.Error("it is not in use")
		}
	})
}

// Whose turn it is to be dialled.
func TestTurn(t *testing.T) {
	reached := time.Now()
	for _, test := range []struct {
		e    entry
		want int
	}{
		{entry{since: reached}, lost},
		{entry{since: reached, failures: 1, missed: true}, lost},
		{entry{since: reached, failures: 2}, failing},
		{entry{since: reached, up: true, met: true, failures: 3}, verified},
		{entry{met: true}, met},
		{entry{met: true, failures: 1}, failing},
		{entry{}, toldOf},
		{entry{failures: 1}, unlikely},
	} {
		if got := test.e.turn(); got != test.want {
			t.Errorf("%+v: %d, want %d", test.e, got, test.want)
		}
	}
}

// News of a relay does not make it wait for longer.
func TestNewsKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s := newTestDirectory(), newSigner(t)
		learn(t, d, s.sign(time.Now()))
		due := d.entries[s.id].due
		time.Sleep(time.Hour)
		learn(t, d, s.sign(time.Now()))
		if got := d.entries[s.id].due; !got.Equal(due) {
			t.Errorf("due %v later", got.Sub(due))
		}
	})
}
