package relay

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/overlay/onion"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a network of relays that call each other.
type world struct {
	t     testing.TB
	nodes map[hashid.NodeID]*testNode
}

type testNode struct {
	*Relay
	id   hashid.NodeID
	stop func()

	mu      sync.Mutex // guards the fields below
	got     [][]byte
	replies []*onion.Packet
	ids     []onion.SURBID
	freed   int
	tap     func(to hashid.NodeID, p *onion.Packet) error // in place of passing on
}

func newWorld(t testing.TB) *world { return &world{t, make(map[hashid.NodeID]*testNode)} }

func (w *world) add(i byte) *testNode {
	n := &testNode{id: hashid.NodeID{i}}
	n.Relay = New(Config{
		Now:  time.Now,
		Self: n.id,
		Send: func(to hashid.NodeID, p *onion.Packet) error {
			n.mu.Lock()
			tap := n.tap
			n.mu.Unlock()
			if tap != nil {
				return tap(to, p)
			}
			next := w.nodes[to]
			if next == nil {
				return errors.New("no such node")
			}
			next.Handle(n.id, p)
			return nil
		},
		Free: func(*onion.Packet) { n.mu.Lock(); n.freed++; n.mu.Unlock() },
		Deliver: func(_ hashid.NodeID, body []byte) {
			n.mu.Lock()
			n.got = append(n.got, bytes.Clone(body))
			n.mu.Unlock()
		},
		Reply: func(id onion.SURBID, payload *[onion.PayloadSize]byte) {
			p := new(onion.Packet)
			*p.Payload() = *payload
			n.mu.Lock()
			n.ids, n.replies = append(n.ids, id), append(n.replies, p)
			n.mu.Unlock()
		},
	})
	w.nodes[n.id] = n
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	var once sync.Once
	n.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				w.t.Error(err)
			}
		})
	}
	w.t.Cleanup(n.stop)
	n.key(0)
	return n
}

// key returns the node's key of the epoch that is ahead of now by so many.
func (n *testNode) key(ahead int) onion.PublicKey {
	_, keys, err := n.Keys(time.Now())
	if err != nil {
		panic(err)
	}
	return keys[ahead]
}

func (n *testNode) received() [][]byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.got
}

func path(delay time.Duration, nodes ...*testNode) (hops []onion.Hop) {
	for _, n := range nodes {
		hops = append(hops, onion.Hop{Node: n.id, Key: n.key(0), Delay: delay})
	}
	return hops
}

func (w *world) wrap(hops []onion.Hop, body string) *onion.Packet {
	w.t.Helper()
	p := new(onion.Packet)
	if err := onion.Wrap(p, hops, []byte(body)); err != nil {
		w.t.Fatal(err)
	}
	return p
}

var sender = hashid.NodeID{255}

func TestThreeRelays(t *testing.T) {
	w := newWorld(t)
	a, b, c, end := w.add(1), w.add(2), w.add(3), w.add(4)
	a.Handle(sender, w.wrap(path(0, a, b, c, end), "hello"))

	if got := end.received(); len(got) != 1 || string(got[0]) != "hello" {
		t.Fatalf("delivered: %q", got)
	}
	for _, n := range []*testNode{a, b, c} {
		if s := n.Stats(); s != (Stats{Forwarded: 1}) || n.freed != 0 {
			t.Errorf("relay: %+v, %d freed", s, n.freed)
		}
	}
	if s := end.Stats(); s != (Stats{Delivered: 1}) || end.freed != 1 {
		t.Errorf("end: %+v, %d freed", s, end.freed)
	}
}

func TestReply(t *testing.T) {
	w := newWorld(t)
	a, b, c, me := w.add(1), w.add(2), w.add(3), w.add(4)
	surb, id, keys, err := onion.NewSURB(path(0, a, b, c, me))
	if err != nil {
		t.Fatal(err)
	}
	p := new(onion.Packet)
	if err := surb.Use(p, []byte("answer")); err != nil {
		t.Fatal(err)
	}
	w.nodes[surb.First()].Handle(sender, p)
	if len(me.ids) != 1 || me.ids[0] != id || me.freed != 1 {
		t.Fatalf("%d replies, %d freed", len(me.ids), me.freed)
	}
	body, err := keys.Open(me.replies[0].Payload())
	if err != nil || string(body) != "answer" {
		t.Fatalf("%q, %v", body, err)
	}
	if s := me.Stats(); s != (Stats{Replies: 1}) {
		t.Errorf("%+v", s)
	}
}

func TestReplay(t *testing.T) {
	w := newWorld(t)
	a, end := w.add(1), w.add(2)
	p := w.wrap(path(0, a, end), "once")

	const copies = 16
	var together sync.WaitGroup
	begin := make(chan struct{})
	for range copies {
		again := *p
		together.Go(func() {
			<-begin
			a.Handle(sender, &again)
		})
	}
	close(begin)
	together.Wait()
	if s := a.Stats(); s != (Stats{Forwarded: 1, Replayed: copies - 1}) || a.freed != copies-1 {
		t.Errorf("%+v, %d freed", s, a.freed)
	}
	if got := end.received(); len(got) != 1 {
		t.Errorf("%d delivered", len(got))
	}
}

func TestFlippedBits(t *testing.T) {
	w := newWorld(t)
	a, end := w.add(1), w.add(2)
	headerSize := onion.Size - onion.PayloadSize
	for at := 0; at < onion.Size; at += 31 {
		p := w.wrap(path(0, a, end), "hello")
		p[at] ^= 1 << (at % 8)
		before, last := a.Stats(), end.Stats()
		a.Handle(sender, p)
		if at < headerSize {
			before.Unreadable++
		} else {
			before.Forwarded++ // a relay cannot tell
			last.Tampered++
		}
		if a.Stats() != before || end.Stats() != last {
			t.Fatalf("byte %d: relay %+v, end %+v", at, a.Stats(), end.Stats())
		}
	}
	if got := end.received(); len(got) != 0 {
		t.Errorf("%d delivered", len(got))
	}
}

func TestToSelf(t *testing.T) {
	w := newWorld(t)
	a, end := w.add(1), w.add(2)
	a.Handle(sender, w.wrap(path(0, a, a, end), "round"))
	if s := a.Stats(); s != (Stats{ToSelf: 1}) || a.freed != 1 {
		t.Errorf("%+v, %d freed", s, a.freed)
	}
}

func TestUnsent(t *testing.T) {
	w := newWorld(t)
	a, gone := w.add(1), w.add(2)
	p := w.wrap(path(0, a, gone), "lost")
	delete(w.nodes, gone.id)
	a.Handle(sender, p)
	if s := a.Stats(); s != (Stats{Unsent: 1}) {
		t.Errorf("%+v", s)
	}
}

// A node that starts anew opens nothing that was meant for it before.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	a, end := w.add(1), w.add(2)
	p := w.wrap(path(0, a, end), "old")
	key := a.key(0)
	a.stop()
	a = w.add(1)
	if a.key(0) == key {
		t.Fatal("the same key twice")
	}
	a.Handle(sender, p)
	if s := a.Stats(); s != (Stats{Unreadable: 1}) {
		t.Errorf("%+v", s)
	}
}

func TestDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, end := w.add(1), w.add(2)
		begin := time.Now()
		var order []time.Duration
		a.tap = func(to hashid.NodeID, p *onion.Packet) error {
			if to != end.id {
				t.Error("sent to another node")
			}
			order = append(order, time.Since(begin))
			return nil
		}
		want := []time.Duration{0, time.Millisecond, 30 * time.Millisecond, 30 * time.Millisecond, 2 * time.Second, onion.MaxDelay}
		for _, i := range []int{4, 2, 5, 0, 1, 3} {
			a.Handle(sender, w.wrap(path(want[i], a, end), "later"))
		}
		if s := a.Stats(); s.Waiting != 5 || s.Forwarded != 1 {
			t.Errorf("at once: %+v", s)
		}
		time.Sleep(onion.MaxDelay)
		synctest.Wait()
		if len(order) != len(want) {
			t.Fatalf("sent at %v", order)
		}
		for i := range want {
			if order[i] != want[i] {
				t.Errorf("sent at %v, want %v", order, want)
				break
			}
		}
		if s := a.Stats(); s != (Stats{Forwarded: 6}) {
			t.Errorf("%+v", s)
		}
	})
}

func TestEpochs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, end := w.add(1), w.add(2)
		toEpoch := func(before time.Duration) { // before the next one begins
			time.Sleep(untilNextEpoch(time.Now()) - before)
			synctest.Wait()
		}
		// try sends a packet made for a key, and says whether it was read.
		try := func(key onion.PublicKey) bool {
			unreadable := a.Stats().Unreadable
			a.Handle(sender, w.wrap([]onion.Hop{{Node: a.id, Key: key}, {Node: end.id, Key: end.key(0)}}, ""))
			return a.Stats().Unreadable == unreadable
		}

		toEpoch(0)
		first, keys, err := a.Keys(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if first != record.Epoch(time.Now()) {
			t.Fatalf("the first key is of epoch %d", first)
		}
		seen := make(map[onion.PublicKey]bool)
		for _, key := range keys {
			seen[key] = true
		}
		if len(seen) != record.Epochs {
			t.Fatalf("%d different keys", len(seen))
		}
		if !try(keys[0]) || try(keys[1]) {
			t.Error("at the start of an epoch its own key opens, and not the next")
		}
		toEpoch(record.ClockSkew + time.Second)
		if try(keys[1]) {
			t.Error("the next epoch's key opens too early")
		}
		toEpoch(record.ClockSkew - time.Second)
		if !try(keys[0]) || !try(keys[1]) {
			t.Error("near the end of an epoch the next key opens too")
		}
		replayed := w.wrap([]onion.Hop{{Node: a.id, Key: keys[1]}, {Node: end.id, Key: end.key(0)}}, "")
		again := *replayed
		a.Handle(sender, replayed)

		toEpoch(0)
		if !try(keys[0]) || !try(keys[1]) || try(keys[2]) {
			t.Error("in the second epoch the first two keys open")
		}
		a.Handle(sender, &again)
		if n := a.Stats().Replayed; n != 1 {
			t.Errorf("%d replays: tags last as long as their key", n)
		}
		now, later, err := a.Keys(time.Now())
		if err != nil || now != first+1 || [7]onion.PublicKey(later[:7]) != [7]onion.PublicKey(keys[1:]) || seen[later[7]] {
			t.Errorf("epoch %d, %v: the keys that were announced stay, and one is new", now, err)
		}

		toEpoch(time.Nanosecond)
		if !try(keys[0]) {
			t.Error("a key serves in the epoch after its own")
		}
		toEpoch(0)
		if try(keys[0]) || !try(keys[1]) || !try(keys[2]) {
			t.Error("in the third epoch the first key is gone")
		}
		a.keys.mu.RLock()
		defer a.keys.mu.RUnlock()
		if a.keys.keys[first] != nil {
			t.Error("Run has not dropped the old key")
		}
	})
}

// Keys that a clock too far ahead has made do not stay for ever.
func TestClockSetBack(t *testing.T) {
	var k keyring
	now := time.Unix(1_700_000_000, 0)
	if _, _, err := k.announce(now.Add(1000 * time.Hour)); err != nil {
		t.Fatal(err)
	}
	first, keys, err := k.announce(now)
	if err != nil || len(k.keys) != record.Epochs {
		t.Fatalf("%d keys, %v", len(k.keys), err)
	}
	back, before, err := k.announce(now.Add(-time.Hour))
	if err != nil || back != first-1 || before[1] != keys[0] {
		t.Fatalf("a small step back has lost keys: %v", err)
	}
}

func TestAllocations(t *testing.T) {
	for _, delay := range []time.Duration{0, time.Minute} {
		w := newWorld(t)
		a, end := w.add(1), w.add(2)
		a.tap = func(hashid.NodeID, *onion.Packet) error { return nil }
		const runs = 200
		var packets []*onion.Packet
		for range runs + 1 {
			packets = append(packets, w.wrap(path(delay, a, end), "x"))
		}
		n := testing.AllocsPerRun(runs, func() {
			a.Handle(sender, packets[0])
			packets = packets[1:]
		})
		if s := a.Stats(); int(s.Forwarded)+s.Waiting != runs+1 {
			t.Fatalf("%+v", s)
		}
		if n > 8 {
			t.Errorf("%v allocations for a packet that waits %v, 8 are allowed", n, delay)
		}
	}
}
