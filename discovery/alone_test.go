package discovery

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/hashid"
)

// offline is a directory of so many relays, none of which could be reached for
// half an hour. It is to be called in a bubble of synctest.
func offline(t *testing.T, relays int) (*Directory, *fakeTable, []*signer) {
	t.Helper()
	d, table := newTestDirectory(), newFakeTable()
	var signers []*signer
	for range relays {
		s := newSigner(t)
		table.down[s.id] = true
		learn(t, d, s.sign(time.Now()))
		signers = append(signers, s)
	}
	running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
	pass(30 * time.Minute)
	return d, table, signers
}

// The first connection after a time without a network has all relays dialled
// again, which by then are dialled every five minutes.
func TestFirstContactHasAllRelaysDialled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table, relays := offline(t, 20)
		table.set(func() { clear(table.down) })
		d.Met(relays[3].id)
		pass(time.Second)
		if n := len(d.Usable()); n != len(relays) {
			t.Errorf("%d of %d relays are in use again", n, len(relays))
		}
	})
}

// With other relays in use, a connection says something about its own node alone.
func TestContactHasItsRelayDialled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table, relays := offline(t, 3)
		table.set(func() { delete(table.down, relays[0].id) })
		d.Met(relays[0].id)
		pass(10 * time.Second) // the others, dialled too, are still not there
		table.set(func() { clear(table.down) })
		d.Met(relays[1].id)
		pass(time.Second)
		up := map[hashid.NodeID]bool{}
		for _, r := range d.Usable() {
			up[r.ID()] = true
		}
		if len(up) != 2 || !up[relays[1].id] {
			t.Errorf("%d relays are in use", len(up))
		}
	})
}

// A relay that comes again and again is dialled once in a second at the most.
func TestContactDoesNotResetTheBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table, relays := offline(t, 1)
		before := len(table.dialled(relays[0].id))
		for range 600 {
			d.Met(relays[0].id)
			pass(100 * time.Millisecond)
		}
		if n := len(table.dialled(relays[0].id)) - before; n > 65 {
			t.Errorf("dialled %d times in a minute: %v", n, table.dialled(relays[0].id))
		}
		d.Met(hashid.NodeID{1}) // not known: nothing
	})
}

// What fails those who use it, although it can be dialled, is not in use sooner
// for connecting anew.
func TestContactDoesNotClearSuspicion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table := newTestDirectory(), newFakeTable()
		s := newSigner(t)
		learn(t, d, s.sign(time.Now()))
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		for range 5 {
			d.Suspect(s.id)
			pass(20 * time.Second)
		}
		before := table.dialled(s.id)
		d.Suspect(s.id)
		d.Met(s.id)
		pass(5 * time.Second)
		if after := table.dialled(s.id); !slices.Equal(before, after) {
			t.Errorf("dialled at %v, then at %v", before, after)
		}
	})
}
