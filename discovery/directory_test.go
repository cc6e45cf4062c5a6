package discovery

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multiformats/go-multiaddr"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

func TestLearn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s, now := newTestDirectory(), newSigner(t), time.Now()
		self := newSigner(t)
		d.self = self.id
		forged := s.sign(now, later(9))
		forged[100] ^= 1
		same, other := s.sign(now, later(1)), s.sign(now, later(1), noRelay)
		if !record.Newer(other, same) {
			same, other = other, same
		}
		for _, step := range []struct {
			name string
			raw  []byte
			news bool
			err  func(error) bool
		}{
			{"the first", s.sign(now), true, nil},
			{"older", s.sign(now.Add(-time.Minute)), false, nil},
			{"newer", same, true, nil},
			{"the same again", same, false, nil},
			{"of equal sequence, with greater bytes", other, true, nil},
			{"of equal sequence, with lesser bytes", same, false, nil},
			{"forged", forged, false, record.IsForged},
			{"cut short", s.sign(now, later(9))[:300], false, record.IsForged},
			{"expired", s.sign(now, later(9), func(d *record.Descriptor) { d.Expires = now.Add(-time.Second) }), false, func(err error) bool { return errors.Is(err, record.ErrExpired) }},
			{"dated ahead", s.sign(now, later(100000)), false, func(err error) bool { return errors.Is(err, record.ErrFuture) }},
			{"withdrawn", s.sign(now, later(2), withdrawn), true, nil},
			{"replayed after the withdrawal", same, false, nil},
			{"this node's own", self.sign(now), false, nil},
		} {
			news, err := d.Learn(step.raw)
			if news != step.news || (step.err == nil) != (err == nil) || step.err != nil && !step.err(err) {
				t.Errorf("%s: news %v, error %v", step.name, news, err)
			}
		}
		if d.Known() != 0 {
			t.Errorf("%d nodes are known, and the only one has left", d.Known())
		}
		if desc, ok := d.Lookup(s.id); !ok || desc.Flags != record.FlagWithdrawn {
			t.Error("the withdrawal is not remembered")
		}
		if _, ok := d.Lookup(self.id); ok {
			t.Error("it keeps its own descriptor")
		}
	})
}

func TestLearnKeepsNoMemoryOfTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDirectory()
		running(t, func(ctx context.Context) error { return d.Run(ctx, newFakeTable()) })
		raw := newSigner(t).sign(time.Now())
		want := slices.Clone(raw)
		learn(t, d, raw)
		synctest.Wait()
		clear(raw)
		if got := d.Snapshot(9); len(got) != 1 || !slices.Equal(got[0], want) {
			t.Error("the directory's copy changed with the caller's")
		}
	})
}

func TestUsableOnceDialled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table := newTestDirectory(), newFakeTable()
		relay, plain, gone := newSigner(t), newSigner(t), newSigner(t)
		learn(t, d, relay.sign(time.Now()))
		learn(t, d, plain.sign(time.Now(), noRelay))
		learn(t, d, gone.sign(time.Now(), withdrawn))
		if d.Known() != 2 || len(d.Usable()) != 0 {
			t.Fatalf("before: %d known, %d usable", d.Known(), len(d.Usable()))
		}
		changed := d.Changed()
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		select {
		case <-changed:
		default:
			t.Error("the change was not told")
		}
		if usable := d.Usable(); len(usable) != 1 || usable[0].ID() != relay.id {
			t.Errorf("%d usable", len(usable))
		}
		if len(table.dialled(plain.id))+len(table.dialled(gone.id)) != 0 {
			t.Error("a node that does not relay was dialled")
		}
		learn(t, d, relay.sign(time.Now(), later(1), withdrawn))
		if len(d.Usable()) != 0 || d.Known() != 1 {
			t.Error("a relay is usable after it has left")
		}
	})
}

func TestRedialBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table, s := newTestDirectory(), newFakeTable(), newSigner(t)
		table.down[s.id] = true
		learn(t, d, s.sign(time.Now()))
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		pass(20 * time.Minute)
		want := []string{"0s", "1s", "3s", "7s", "15s", "31s", "1m3s", "2m7s", "4m15s", "8m31s", "13m31s", "18m31s"}
		if got := table.dialled(s.id); !slices.Equal(got, want) {
			t.Fatalf("dialled at %v, want %v", got, want)
		}
		// A new descriptor may mean that it is back: dial at once.
		table.set(func() { table.down[s.id] = false })
		learn(t, d, s.sign(time.Now(), later(1)))
		synctest.Wait()
		if len(d.Usable()) != 1 {
			t.Error("it is back and not usable")
		}
	})
}

func TestNewAddressesAreDialled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table, s := newTestDirectory(), newFakeTable(), newSigner(t)
		dials := make(chan struct{}, 1) // that may end
		table.hold = func(context.Context) { <-dials }
		dials <- struct{}{}
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		learn(t, d, s.sign(time.Now()))
		synctest.Wait()
		learn(t, d, s.sign(time.Now(), later(1)))
		if len(d.Usable()) != 1 {
			t.Error("new onion keys at old addresses made it unusable")
		}
		learn(t, d, s.sign(time.Now(), later(2), at("/ip4/127.0.0.1/tcp/4002")))
		if len(d.Usable()) != 0 {
			t.Error("it is usable at addresses that nobody has dialled")
		}
		dials <- struct{}{}
		synctest.Wait()
		if len(d.Usable()) != 1 || len(table.dialled(s.id)) != 2 {
			t.Errorf("%d usable after the dials at %v", len(d.Usable()), table.dialled(s.id))
		}
	})
}

// The same addresses in another order are no new ones: the relay stays in use.
func TestOrderOfAddressesIsNoMatter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table, s := newTestDirectory(), newFakeTable(), newSigner(t)
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		a, b, c := "/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.1/udp/1/quic-v1", "/ip4/192.0.2.2/tcp/1"
		sequence := uint64(0)
		moved := func(addrs ...string) bool {
			sequence++
			before := len(table.dialled(s.id))
			learn(t, d, s.sign(time.Now(), later(sequence), func(d *record.Descriptor) {
				d.Addrs = nil
				for _, addr := range addrs {
					d.Addrs = append(d.Addrs, multiaddr.StringCast(addr))
				}
			}))
			pass(newsEvery)
			return len(table.dialled(s.id)) != before
		}
		for _, step := range []struct {
			addrs []string
			moved bool
		}{
			{[]string{a, b}, true},
			{[]string{b, a}, false},
			{[]string{b}, true},
			{[]string{b, a}, true},
			{[]string{c, a}, true},
			{[]string{a, c}, false},
		} {
			if got := moved(step.addrs...); got != step.moved {
				t.Errorf("%v: dialled anew: %v, want %v", step.addrs, got, step.moved)
			}
		}
	})
}

// A descriptor that arrives while the relay is being dialled at its old
// addresses does not profit from that dial.
func TestReplacedWhileDialled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table, s := newTestDirectory(), newFakeTable(), newSigner(t)
		dialling := make(chan struct{})
		table.hold = func(context.Context) { <-dialling }
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		learn(t, d, s.sign(time.Now()))
		synctest.Wait()
		learn(t, d, s.sign(time.Now(), later(1), at("/ip4/127.0.0.1/tcp/4002")))
		table.set(func() { table.down[s.id] = true })
		close(dialling)
		synctest.Wait()
		if len(d.Usable()) != 0 || len(table.dialled(s.id)) != 2 {
			t.Errorf("%d usable after the dials at %v", len(d.Usable()), table.dialled(s.id))
		}
	})
}

func TestSuspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table, s := newTestDirectory(), newFakeTable(), newSigner(t)
		dials := make(chan struct{}, 1) // that may end
		table.hold = func(context.Context) { <-dials }
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		d.Suspect(s.id) // nobody knows it: no matter
		learn(t, d, s.sign(time.Now()))
		dials <- struct{}{}
		synctest.Wait()

		// It can be dialled and yet fails those who use it, again and again.
		for range 4 {
			changed := d.Changed()
			d.Suspect(s.id)
			d.Suspect(s.id) // by another who used it at the time
			select {
			case <-changed:
			default:
				t.Error("the change was not told")
			}
			if len(d.Usable()) != 0 {
				t.Error("it may be used before it has been dialled again")
			}
			dials <- struct{}{}
			synctest.Wait()
			for len(d.Usable()) == 0 {
				pass(100 * time.Millisecond)
			}
		}
		want := []string{"0s", "0s", "1s", "3s", "7s"}
		if got := table.dialled(s.id); !slices.Equal(got, want) {
			t.Errorf("dialled at %v, want %v", got, want)
		}

		// After a good minute it has a clean slate.
		pass(probeForget)
		d.Suspect(s.id)
		dials <- struct{}{}
		synctest.Wait()
		if len(d.Usable()) != 1 {
			t.Error("it was not dialled at once")
		}
	})
}

// Few are dialled at once, and made-up relays that nobody can dial hold up a real
// one only once each.
func TestFewDialsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table := newTestDirectory(), newFakeTable()
		table.hold = func(ctx context.Context) {
			select {
			case <-time.After(5 * time.Second):
			case <-ctx.Done():
			}
		}
		for range 40 {
			s := newSigner(t)
			table.down[s.id] = true
			learn(t, d, s.sign(time.Now()))
		}
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		real := newSigner(t)
		learn(t, d, real.sign(time.Now()))
		pass((40/maxProbes + 1) * 5 * time.Second)
		if table.most > maxProbes {
			t.Errorf("dialled %d at once", table.most)
		}
		if len(d.Usable()) != 1 {
			t.Error("the real one was not reached within the time of all others")
		}
	})
}

func TestExpiredIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDirectory()
		running(t, func(ctx context.Context) error { return d.Run(ctx, newFakeTable()) })
		s := newSigner(t)
		learn(t, d, s.sign(time.Now()))
		synctest.Wait()
		changed := d.Changed()
		pass(record.DescriptorLifetime)
		if _, ok := d.Lookup(s.id); ok || d.Known() != 0 || len(d.Usable()) != 0 {
			t.Error("it is still known")
		}
		pass(probeLast)
		select {
		case <-changed:
		default:
			t.Error("the change was not told")
		}
		if len(d.entries) != 0 {
			t.Error("it is still kept")
		}
	})
}

// usable fills a directory with n relays that can be used.
func usable(t *testing.T, d *Directory, n int) []hashid.NodeID {
	t.Helper()
	var ids []hashid.NodeID
	for range n {
		s := newSigner(t)
		learn(t, d, s.sign(time.Now()))
		d.entries[s.id].up = true
		ids = append(ids, s.id)
	}
	return ids
}

func TestShortageError(t *testing.T) {
	short := &ShortageError{Need: 10, Have: 8}
	if want := "a path needs 10 relays and 8 can be used now: 2 missing"; short.Error() != want {
		t.Errorf("it says %q, want %q", short, want)
	}
}

// crowd fills a directory with stand-ins for n nodes.
func crowd(t *testing.T, d *Directory, n int, raw []byte, change func(i int, e *entry)) {
	t.Helper()
	desc, err := record.ParseDescriptor(testNetwork, raw)
	if err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range n {
		e := &entry{desc: desc, raw: raw, checked: time.Now()}
		change(i, e)
		id := hashid.NodeID{1}
		binary.BigEndian.PutUint32(id[1:], uint32(len(d.entries)))
		d.keep(id, e)
	}
}

func inUseAll(_ int, e *entry) { e.up = true }

func TestFullDirectory(t *testing.T) {
	for name, test := range map[string]struct {
		was    func(*record.Descriptor)
		state  func(i int, e *entry)
		room   bool // for a relay
		plain  bool // for a node that is none
		shrink int
	}{
		"all in use":              {was: later(0), state: inUseAll},
		"all unreachable":         {was: later(0), state: func(_ int, e *entry) { e.failures = 1 }, room: true, plain: true},
		"none tried":              {was: later(0), state: func(int, *entry) {}, room: true, plain: true},
		"half in use":             {was: later(0), state: func(i int, e *entry) { e.up = i%2 == 0 }, room: true, plain: true},
		"no relays":               {was: noRelay, state: func(int, *entry) {}, room: true, plain: true},
		"relays that have left":   {was: withdrawn, state: func(int, *entry) {}, room: true, plain: true},
		"room, but no one's left": {was: later(0), state: inUseAll, shrink: 200, room: true, plain: true},
	} {
		t.Run(name, func(t *testing.T) {
			d, s := newTestDirectory(), newSigner(t)
			crowd(t, d, maxKnown-test.shrink, s.sign(time.Now(), test.was), test.state)
			up := func() (n int) {
				for _, e := range d.entries {
					if e.up {
						n++
					}
				}
				return n
			}
			before := up()
			learnt := func(room bool, change ...func(*record.Descriptor)) {
				news, err := d.Learn(newSigner(t).sign(time.Now(), change...))
				if room && (!news || err != nil) || !room && (news || !errors.Is(err, ErrFull)) {
					t.Errorf("room %v: news %v, error %v", room, news, err)
				}
			}
			for range 50 {
				learnt(test.room)
				learnt(test.plain, noRelay)
				learnt(test.plain, withdrawn)
			}
			if up() != before || len(d.entries) > maxKnown {
				t.Errorf("of %d relays in use %d are left, among %d", before, up(), len(d.entries))
			}
		})
	}
}

// While there is no network no relay can be reached: those that were in use, or
// that a walk has met, are not driven out by made-up ones, tried or not.
func TestFullDirectoryKeepsThoseThatWereInUse(t *testing.T) {
	d, s := newTestDirectory(), newSigner(t)
	var real []*signer
	for i := range 50 {
		n := newSigner(t)
		desc, _, err := d.learn(n.sign(time.Now()), i%2 == 0)
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 {
			d.probed(desc, true)
			d.Suspect(n.id)
		}
		d.probed(desc, false)
		real = append(real, n)
	}
	crowd(t, d, maxKnown-len(real), s.sign(time.Now()), func(i int, e *entry) { e.failures = i % 2 })
	for range 1000 {
		learn(t, d, newSigner(t).sign(time.Now()))
	}
	for _, n := range real {
		if _, ok := d.Lookup(n.id); !ok {
			t.Fatal("a relay that was met or in use was driven out")
		}
	}
}

// What makeRoom gives up sooner.
func TestWorth(t *testing.T) {
	now := time.Now()
	s := newSigner(t)
	relay := func(change ...func(*record.Descriptor)) *record.Descriptor {
		desc, err := record.ParseDescriptor(testNetwork, s.sign(now, change...))
		if err != nil {
			t.Fatal(err)
		}
		return desc
	}
	for i, e := range []*entry{
		{desc: relay(func(d *record.Descriptor) { d.Expires = now.Add(-record.ClockSkew - time.Minute) }), up: true},
		{desc: relay(noRelay), met: true},
		{desc: relay(), failures: 1},
		{desc: relay()},
		{desc: relay(), met: true, failures: 1},
		{desc: relay(), since: now, failures: 9},
		{desc: relay(), since: now, up: true},
	} {
		if got := e.worth(now); got != i {
			t.Errorf("entry %d is worth %d", i, got)
		}
	}
}

// A newer descriptor takes the place of the older one, however full it is.
func TestFullDirectoryIsRenewed(t *testing.T) {
	d, s := newTestDirectory(), newSigner(t)
	learn(t, d, s.sign(time.Now()))
	crowd(t, d, maxKnown-1, s.sign(time.Now()), inUseAll)
	learn(t, d, s.sign(time.Now(), later(1)))
	if len(d.entries) != maxKnown {
		t.Errorf("keeps %d", len(d.entries))
	}
}

// Nodes that do not relay, which are of use to nobody's paths, take a small part
// of the room and give way to each other.
func TestOthersHaveAShare(t *testing.T) {
	d, s := newTestDirectory(), newSigner(t)
	crowd(t, d, maxOthers-1, s.sign(time.Now(), noRelay), func(int, *entry) {})
	crowd(t, d, maxOthers, s.sign(time.Now()), inUseAll)
	for range 20 {
		one := newSigner(t)
		learn(t, d, one.sign(time.Now(), noRelay))
		if d.others != maxOthers || len(d.entries) != 2*maxOthers || d.entries[one.id] == nil {
			t.Fatalf("%d among %d", d.others, len(d.entries))
		}
	}
	relay := newSigner(t)
	learn(t, d, relay.sign(time.Now()))
	if d.others != maxOthers || len(d.entries) != 2*maxOthers+1 {
		t.Errorf("a relay has taken the place of another node: %d among %d", d.others, len(d.entries))
	}
	learn(t, d, relay.sign(time.Now(), later(1), withdrawn))
	learn(t, d, relay.sign(time.Now(), later(2)))
	if d.others != maxOthers {
		t.Errorf("a relay that left and came back: %d are counted", d.others)
	}
}

func TestFullDirectoryDropsTheExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDirectory()
		crowd(t, d, maxKnown, newSigner(t).sign(time.Now()), inUseAll)
		time.Sleep(record.DescriptorLifetime)
		learn(t, d, newSigner(t).sign(time.Now()))
		if len(d.entries) != maxKnown {
			t.Errorf("keeps %d", len(d.entries))
		}
	})
}

// News of one relay is news three times in a row and then every twenty seconds,
// but what was asked for is always welcome.
func TestNewsOfOneRelayIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s := newTestDirectory(), newSigner(t)
		learn(t, d, s.sign(time.Now()))
		sequence := uint64(0)
		newest := func() []byte { sequence++; return s.sign(time.Now(), later(sequence)) }
		taken := func(tries int) (n int) {
			for range tries {
				news, err := d.Learn(newest())
				if err != nil {
					t.Fatal(err)
				}
				if news {
					n++
				}
			}
			return n
		}
		if n := taken(10); n != newsBurst {
			t.Errorf("%d of 10 at once were news, want %d", n, newsBurst)
		}
		if !d.meet(s.id) {
			t.Error("the next walk does not ask for the news that was refused")
		}
		for range 5 {
			time.Sleep(newsEvery)
			if n := taken(10); n != 1 {
				t.Errorf("%d of 10 later were news, want 1", n)
			}
		}
		if _, news, err := d.learn(newest(), true); !news || err != nil {
			t.Errorf("what was asked for: news %v, error %v", news, err)
		}
		if n := taken(10); n != 0 {
			t.Errorf("%d of 10 after that were news", n)
		}
		time.Sleep(newsBurst * newsEvery)
		if n := taken(10); n != newsBurst {
			t.Errorf("%d of 10 after a rest were news, want %d", n, newsBurst)
		}
	})
}

// A relay that is started again, and again, is in use again each time, although
// it says goodbye each time, too.
func TestRestartsAreNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table, s := newTestDirectory(), newFakeTable(), newSigner(t)
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		learn(t, d, s.sign(time.Now()))
		for i := range uint64(newsBurst) {
			pass(time.Second)
			learn(t, d, s.sign(time.Now(), later(2*i+1), withdrawn))
			if len(d.Usable()) != 0 {
				t.Fatal("a relay that has left is in use")
			}
			learn(t, d, s.sign(time.Now(), later(2*i+2)))
			synctest.Wait()
			if len(d.Usable()) != 1 {
				t.Fatal("a relay that is back is not in use")
			}
		}
		for i := range uint64(2) { // a goodbye is free once
			news, err := d.Learn(s.sign(time.Now(), later(2*newsBurst+1+i), withdrawn))
			if news != (i == 0) || err != nil {
				t.Errorf("goodbye %d: news %v, error %v", i, news, err)
			}
		}
	})
}

// A relay that crashed is dialled at once when it is back, however often it was
// dialled in vain.
func TestNewsAfterALongAbsence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table, s := newTestDirectory(), newFakeTable(), newSigner(t)
		table.down[s.id] = true
		learn(t, d, s.sign(time.Now()))
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		pass(20 * time.Minute)
		learn(t, d, s.sign(time.Now()))
		synctest.Wait()
		before := len(table.dialled(s.id))
		table.set(func() { table.down[s.id] = false })
		pass(newsEvery)
		learn(t, d, s.sign(time.Now()))
		synctest.Wait()
		if len(d.Usable()) != 1 || len(table.dialled(s.id)) != before+1 {
			t.Errorf("%d dials after %d", len(table.dialled(s.id)), before)
		}
	})
}

// A relay that is not there is not dialled more often for the descriptors it
// signs all the time.
func TestNewsDoesNotResetTheBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table, s := newTestDirectory(), newFakeTable(), newSigner(t)
		table.down[s.id] = true
		learn(t, d, s.sign(time.Now()))
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		for i := range uint64(20 * 60) {
			pass(time.Second)
			if _, err := d.Learn(s.sign(time.Now(), later(i+1))); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(table.dialled(s.id)); n > 13 { // one more than without any news
			t.Errorf("dialled %d times in 20 minutes", n)
		}
	})
}

func TestSnapshot(t *testing.T) {
	d := newTestDirectory()
	ids := usable(t, d, 5)
	down := newSigner(t)
	learn(t, d, down.sign(time.Now()))
	raws := d.Snapshot(10)
	if len(raws) != 5 {
		t.Fatalf("%d descriptors, want those of 5 relays in use", len(raws))
	}
	next := newTestDirectory()
	for _, raw := range raws {
		learn(t, next, raw)
	}
	for _, id := range ids {
		if _, ok := next.Lookup(id); !ok {
			t.Error("a relay is missing")
		}
	}
	if n := len(d.Snapshot(2)); n != 2 {
		t.Errorf("%d descriptors, want 2", n)
	}
	for range 20 { // of six, and in whatever order
		first := d.Snapshot(2, hashid.NodeID{1}, down.id, ids[3])
		if one, err := record.ParseDescriptor(testNetwork, first[0]); len(first) != 2 || err != nil || one.ID() != down.id {
			t.Fatal("one that is named does not come first")
		}
		if two, err := record.ParseDescriptor(testNetwork, first[1]); err != nil || two.ID() != ids[3] {
			t.Fatal("the second that is named does not come second")
		}
	}
}

func TestWalkFetchesUnknownNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table := newTestDirectory(), newFakeTable()
		stranger, known, plain, moved := newSigner(t), newSigner(t), newSigner(t), newSigner(t)
		silent := newSigner(t) // has no descriptor
		for _, s := range []*signer{stranger, known, plain, moved, silent} {
			table.nodes = append(table.nodes, s.id)
		}
		table.nodes = append(table.nodes, d.self)
		table.values[record.DescriptorKey(stranger.id)] = stranger.sign(time.Now())
		learn(t, d, known.sign(time.Now()))
		learn(t, d, plain.sign(time.Now(), noRelay))
		d.entries[known.id].up = true
		// The table has a newer descriptor of one that cannot be reached any more.
		learn(t, d, moved.sign(time.Now()))
		table.down[moved.id] = true
		table.values[record.DescriptorKey(moved.id)] = moved.sign(time.Now(), later(1), at("/ip4/127.0.0.1/tcp/4002"))

		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		if _, ok := d.Lookup(stranger.id); !ok || len(d.Usable()) != 2 {
			t.Errorf("after a walk %d relays are usable", len(d.Usable()))
		}
		if n := table.looked(silent.id); n != 1 {
			t.Errorf("it asked %d times for a node without a descriptor", n)
		}
		pass(2 * missedEvery) // a walk after the dial that failed
		if desc, ok := d.Lookup(moved.id); !ok || desc.Addrs[0].String() != "/ip4/127.0.0.1/tcp/4002" {
			t.Error("it did not hear that a relay has moved")
		}
		for name, id := range map[string]hashid.NodeID{"a relay in use": known.id, "a node that does not relay": plain.id, "this node": d.self} {
			if table.looked(id) != 0 {
				t.Errorf("it asked for %s", name)
			}
		}
	})
}

// Walks are frequent at first and become hourly; each that brings news, and
// growth, make them frequent again. Growth without end does not.
func TestWhenToWalk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table := newTestDirectory(), newFakeTable()
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		pass(10 * time.Second)
		if n := len(table.walked()); n < 3 || n > 6 {
			t.Errorf("%d walks in the first ten seconds", n)
		}
		pass(12 * time.Hour)
		walks := table.walked()
		if gap := walks[len(walks)-1] - walks[len(walks)-2]; gap < 48*time.Minute || gap > 72*time.Minute {
			t.Errorf("%v between walks after half a day", gap)
		}

		d.Grown()
		pass(walkGrown)
		if len(table.walked()) != len(walks)+1 {
			t.Error("no walk after growth")
		}

		// News: the next walk comes soon.
		s := newSigner(t)
		table.set(func() {
			table.nodes = append(table.nodes, s.id)
			table.values[record.DescriptorKey(s.id)] = s.sign(time.Now())
		})
		d.Grown()
		pass(2 * walkGrown) // it has just grown before
		before := len(table.walked())
		pass(walkFirst + walkFirst/5)
		if len(table.walked()) != before+1 {
			t.Error("no walk soon after news")
		}

		before = len(table.walked())
		for range 100 {
			d.Grown()
			pass(walkGrown / 4)
		}
		if n := len(table.walked()) - before; n < 2 || n > 6 {
			t.Errorf("%d walks in five seconds of growth", n)
		}
		before = len(table.walked())
		for range 600 {
			d.Grown()
			pass(time.Second)
		}
		if n := len(table.walked()) - before; n < 15 || n > 30 {
			t.Errorf("%d walks in ten minutes of growth", n)
		}
		pass(walkCalm + time.Second)
		before = len(table.walked())
		d.Grown()
		pass(walkGrown)
		if len(table.walked()) != before+1 {
			t.Error("no walk after growth that followed a pause")
		}
	})
}

func TestRunEndsInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table := newTestDirectory(), newFakeTable()
		table.hold = func(ctx context.Context) { <-ctx.Done() }
		for i := range 20 {
			s := newSigner(t)
			if i%2 == 0 {
				learn(t, d, s.sign(time.Now()))
			}
			table.nodes = append(table.nodes, s.id)
		}
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		if table.busy == 0 {
			t.Error("nothing is under way")
		}
	})
}

func TestAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAlarm()
		defer a.off()
		start := time.Now()
		var moved []bool
		for _, d := range []time.Duration{time.Minute, time.Hour, time.Second, time.Second} {
			moved = append(moved, a.within(d))
		}
		if want := []bool{true, false, true, false}; !reflect.DeepEqual(moved, want) {
			t.Errorf("moved %v, want %v", moved, want)
		}
		<-a.timer.C
		if got := time.Since(start); got != time.Second {
			t.Errorf("rang after %v", got)
		}
		a.off()
		a.within(time.Minute)
		a.off()
		select {
		case <-a.timer.C:
			t.Error("rang although it was off")
		case <-time.After(time.Hour):
		}
		if got := fmt.Sprint(a.at.IsZero()); got != "true" {
			t.Error("it is set")
		}
	})
}
