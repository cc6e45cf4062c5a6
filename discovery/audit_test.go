package discovery

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// A relay that goes without a word is found out by dialling it again, and stays
// in use until then.
func TestVerify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table, s := newTestDirectory(), newFakeTable(), newSigner(t)
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		learn(t, d, s.sign(time.Now()))
		synctest.Wait()
		for range 2 {
			pass(verifyEvery - time.Second)
			if len(d.Usable()) != 1 {
				t.Fatal("a relay that answers every dial is not in use")
			}
			pass(time.Second)
		}
		if n := len(table.dialled(s.id)); n != 3 {
			t.Errorf("it was dialled %d times in %v, want 3", n, 2*verifyEvery)
		}
		table.set(func() { table.down[s.id] = true })
		pass(verifyEvery)
		if len(d.Usable()) != 0 {
			t.Error("a relay that is gone is still in use")
		}
	})
}

// News that gossip did not bring is found by a walk.
func TestAudit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table, s := newTestDirectory(), newFakeTable(), newSigner(t)
		table.nodes = append(table.nodes, s.id)
		first := s.sign(time.Now())
		table.values[record.DescriptorKey(s.id)] = first
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		pass(time.Minute)
		if n := table.looked(s.id); n > 1 {
			t.Errorf("it was looked up %d times within a minute of its news", n)
		}
		table.set(func() { table.values[record.DescriptorKey(s.id)] = s.sign(time.Now(), later(1)) })
		pass(auditEvery + 2*walkLast)
		desc, ok := d.Lookup(s.id)
		if before, err := record.ParseDescriptor(testNetwork, first); err != nil || !ok || desc.Sequence <= before.Sequence {
			t.Error("no walk found the newer descriptor")
		}
	})
}

// newKeys has a relay's newest descriptor be another, which only the table tells
// of, and returns whether the directory has it.
func newKeys(table *fakeTable, s *signer) func(d *Directory) bool {
	raw := s.sign(time.Now(), later(1))
	table.set(func() { table.values[record.DescriptorKey(s.id)] = raw })
	return func(d *Directory) bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		e := d.entries[s.id]
		return e != nil && slices.Equal(e.raw, raw)
	}
}

// settled is a directory with so many relays in use, half an hour after it was
// begun. It is to be called in a bubble of synctest.
func settled(t *testing.T, relays int) (*Directory, *fakeTable, []*signer) {
	t.Helper()
	d, table := newTestDirectory(), newFakeTable()
	var signers []*signer
	for range relays {
		s := newSigner(t)
		learn(t, d, s.sign(time.Now()))
		table.nodes = append(table.nodes, s.id)
		signers = append(signers, s)
	}
	running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
	pass(30 * time.Minute)
	if n := len(d.Usable()); n != relays {
		t.Fatalf("%d of %d relays are in use", n, relays)
	}
	return d, table, signers
}

// While a node has no network, relays may start anew with other keys. Once they
// can be reached it asks for them, met by its walks or not: the news has gone by.
func TestOutageAsksForNews(t *testing.T) {
	for name, test := range map[string]struct {
		met   bool // by the walks after the outage
		again func(d *Directory, first hashid.NodeID)
	}{
		"a connection":             {true, func(d *Directory, first hashid.NodeID) { d.Met(first) }},
		"none, and it is dialled":  {true, func(*Directory, hashid.NodeID) { time.Sleep(probeLast) }},
		"in a network of many":     {false, func(d *Directory, first hashid.NodeID) { d.Met(first) }},
		"many, and it was no move": {false, func(*Directory, hashid.NodeID) { time.Sleep(probeLast) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, table, relays := settled(t, walkFetches)
				table.set(func() { // walks meet them still, but do not find their descriptors
					for _, s := range relays {
						table.down[s.id] = true
					}
				})
				for _, s := range relays {
					d.Suspect(s.id)
				}
				pass(30 * time.Minute)
				if len(d.Usable()) != 0 {
					t.Fatal("there is no outage")
				}
				has := newKeys(table, relays[2])
				table.set(func() {
					if clear(table.down); !test.met {
						table.nodes = []hashid.NodeID{{1}}
					}
				})
				test.again(d, relays[0].id)
				pass(5 * time.Second)
				if len(d.Usable()) != len(relays) || !has(d) {
					t.Errorf("%d relays are in use; the new keys are known: %v", len(d.Usable()), has(d))
				}
			})
		})
	}
}

// A relay that breaks its connections may have started anew.
func TestSuspectIsAskedForNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table, relays := settled(t, 3)
		has := newKeys(table, relays[1])
		pass(time.Minute)
		if has(d) {
			t.Fatal("it was asked for without cause")
		}
		d.Suspect(relays[1].id)
		pass(time.Second)
		if !has(d) {
			t.Error("its new keys are not known")
		}
	})
}

// So may one that could not be reached for a while, although
// others could.
func TestMissedIsAskedForNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table, relays := settled(t, 3)
		s := relays[1]
		table.set(func() { table.down[s.id] = true })
		d.Suspect(s.id)
		pass(10 * time.Minute)
		d.mu.Lock()
		d.entries[s.id].checked = time.Now() // a walk has just asked
		d.mu.Unlock()
		has := newKeys(table, s)
		table.set(func() { delete(table.down, s.id); table.nodes = []hashid.NodeID{{1}} })
		pass(probeLast + walkGrowing)
		if !has(d) {
			t.Error("its new keys are not known")
		}
	})
}

// Look-ups that were called off, because the network they went to is gone, are
// made again, and so are those that they kept waiting.
func TestCalledOffLookUpsAreMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table, relays := settled(t, 3*walkFetches)
		var have []func(*Directory) bool
		for _, s := range relays {
			have = append(have, newKeys(table, s))
		}
		values := table.values
		table.set(func() {
			table.hold = func(ctx context.Context) { <-ctx.Done() }
			table.values = nil
		})
		d.Redial()
		pass(time.Second)
		table.set(func() { table.hold = func(context.Context) { time.Sleep(time.Millisecond) } })
		d.Redial()
		synctest.Wait()
		table.set(func() { table.values = values })
		pass(5 * time.Second)
		for i, has := range have {
			if !has(d) {
				t.Errorf("the new keys of relay %d are not known", i)
			}
		}
	})
}
