package discovery

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

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
