package link

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"chatnt/discovery/hashid"
	"chatnt/overlay/onion"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wire is what the suite runs over: libp2p on loopback, or memory.
type wire interface {
	// add starts node number i; receive is called with the node's link.
	add(t testing.TB, i byte, receive func(*Link, hashid.NodeID, *onion.Packet), tune func(*limits)) *node
}

// node is one running link of a test.
type node struct {
	*Link
	id          hashid.NodeID
	got         chan uint64        // the numbers received, if it uses collect
	unreachable chan hashid.NodeID // as told
	stop        func()             // ends Run and waits; twice is harmless
}

// The suite holds for every link. Deadlines are those of n.limits.
var suite = []struct {
	name string
	run  func(t *testing.T, w wire)
}{
	{"order", testOrder},
	{"both directions", testBothDirections},
	{"unknown neighbour", testUnknown},
	{"restart", testRestart},
	{"stuck neighbour", testStuck},
	{"shared room", testSharedRoom},
	{"pause", testPause},
	{"idle", testIdle},
	{"silent", testSilent},
	{"stall inside a frame", testStall},
	{"drip", testDrip},
	{"end inside a frame", testEndInside},
	{"replaced stream", testReplaced},
	{"too many streams", testTooManyStreams},
	{"too many neighbours", testTooManyNeighbours},
	{"not running", testNotRunning},
}

// collect is the receiver that passes numbers on, to a test that looks at them.
func collect(got chan<- uint64) func(*Link, hashid.NodeID, *onion.Packet) {
	return func(l *Link, _ hashid.NodeID, p *onion.Packet) {
		select {
		case got <- number(p):
		default:
		}
		l.Put(p)
	}
}

func number(p *onion.Packet) uint64 { return binary.BigEndian.Uint64(p[onion.Size-8:]) }

func (n *node) numbered(i uint64) *onion.Packet {
	p := n.Get()
	binary.BigEndian.PutUint64(p[onion.Size-8:], i)
	return p
}

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

func expect[T comparable](t *testing.T, c <-chan T, want T) {
	t.Helper()
	select {
	case got := <-c:
		if got != want {
			t.Fatalf("got %v, want %v", got, want)
		}
	case <-time.After(patience):
		t.Fatalf("nothing came, want %v", want)
	}
}

// eventually waits for a condition that no channel tells.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// sendUntil repeats a packet until it gets through to a neighbour that others
// may have lost sight of.
func sendUntil(t *testing.T, from, to *node, i uint64) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		_ = from.Send(to.id, from.numbered(i))
		select {
		case got := <-to.got:
			if got != i {
				t.Fatalf("got %d, want %d", got, i)
			}
			return
		case <-tick.C:
		}
	}
	t.Fatal("the packet never arrived")
}

func testOrder(t *testing.T, w wire) {
	const frames, window = 10_000, 48
	credit := make(chan struct{}, window)
	bad := make(chan uint64, 1)
	done := make(chan struct{})
	next := uint64(0)
	b := w.add(t, 2, func(l *Link, _ hashid.NodeID, p *onion.Packet) {
		if n := number(p); n != next {
			select {
			case bad <- n:
			default:
			}
		}
		l.Put(p)
		if next++; next == frames {
			close(done)
		}
		<-credit
	}, nil)
	a := w.add(t, 1, nil, nil)
	for i := range uint64(frames) {
		credit <- struct{}{}
		if err := a.Send(b.id, a.numbered(i)); err != nil {
			t.Fatal(i, err)
		}
	}
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("frames are missing")
	}
	select {
	case n := <-bad:
		t.Fatalf("number %d came out of order", n)
	default:
	}
	eventually(t, "the last frame is counted", func() bool { return a.Stats().FramesOut == frames })
	if s := a.Stats(); s.Lost+s.QueueFull != 0 || s.Queued != 0 {
		t.Errorf("sender: %+v", s)
	}
	if s := b.Stats(); s.FramesIn != frames || s.Inbound != 1 || s.Broken != 0 {
		t.Errorf("receiver: %+v", s)
	}
}

func testBothDirections(t *testing.T, w wire) {
	got := make(chan hashid.NodeID, 2)
	a := w.add(t, 1, func(l *Link, from hashid.NodeID, p *onion.Packet) { got <- from; l.Put(p) }, nil)
	b := w.add(t, 2, func(l *Link, from hashid.NodeID, p *onion.Packet) {
		if err := l.Send(from, p); err != nil { // the packet itself goes back
			t.Error(err)
		}
	}, nil)
	if err := a.Send(b.id, a.numbered(7)); err != nil {
		t.Fatal(err)
	}
	expect(t, got, b.id)
}

func testUnknown(t *testing.T, w wire) {
	a := w.add(t, 1, nil, nil)
	nobody := hashid.NodeID{99}
	if err := a.Send(nobody, a.Get()); err != nil {
		t.Fatal(err)
	}
	expect(t, a.unreachable, nobody)
	if err := a.Send(nobody, a.Get()); !errors.Is(err, ErrUnreachable) {
		t.Fatalf("after a failure Send says %v", err)
	}
	eventually(t, "the neighbour is forgotten", func() bool { return a.Stats().Neighbours == 0 })
	s := a.Stats()
	if s.Failures != 1 || s.Lost != 1 || s.Unreachable != 1 || s.Queued != 0 {
		t.Errorf("%+v", s)
	}
	if err := a.Send(nobody, a.Get()); err != nil {
		t.Fatalf("after the rest Send says %v", err)
	}
	expect(t, a.unreachable, nobody)
}

func testRestart(t *testing.T, w wire) {
	a := w.add(t, 1, nil, nil)
	for i := range uint64(3) {
		got := make(chan uint64, 1000)
		b := w.add(t, 2, collect(got), nil)
		b.got = got
		sendUntil(t, a, b, i)
		b.stop()
	}
}

// block is the receiver that takes nothing until its test ends.
func block(ctx context.Context) func(*Link, hashid.NodeID, *onion.Packet) {
	return func(l *Link, _ hashid.NodeID, p *onion.Packet) {
		<-ctx.Done()
		l.Put(p)
	}
}

// fill sends until the wire and the queue behind it are full, which shows in
// nothing but that no frame leaves any more.
func fill(t *testing.T, from *node, to hashid.NodeID) {
	t.Helper()
	var sent uint64
	since := time.Now()
	eventually(t, "the queue is full for good", func() bool {
		for from.Send(to, from.Get()) == nil {
		}
		if n := from.Stats().FramesOut; n != sent {
			sent, since = n, time.Now()
		}
		return time.Since(since) > 100*time.Millisecond
	})
	from.mu.Lock()
	defer from.mu.Unlock()
	if n := len(from.neighbours[to].queue); n != from.limits.queue {
		t.Fatalf("%d packets in a queue of %d", n, from.limits.queue)
	}
}

func testStuck(t *testing.T, w wire) {
	ctx, release := context.WithCancel(t.Context())
	defer release()
	got := make(chan uint64, 1)
	stuck := w.add(t, 2, block(ctx), nil)
	good := w.add(t, 3, collect(got), nil)
	a := w.add(t, 1, nil, func(l *limits) { l.write = min(l.write, 3*time.Second) })

	fill(t, a, stuck.id)
	for i := range uint64(100) {
		if err := a.Send(good.id, a.numbered(i)); err != nil {
			t.Fatal(err)
		}
		expect(t, got, i)
	}
	expect(t, a.unreachable, stuck.id) // after the write deadline
	s := a.Stats()
	if s.Queued != 0 || s.Lost < uint64(a.limits.queue) {
		t.Errorf("%+v", s)
	}
}

func testSharedRoom(t *testing.T, w wire) {
	ctx, release := context.WithCancel(t.Context())
	defer release()
	a := w.add(t, 1, nil, func(l *limits) { l.queued = 30 })
	for i := range byte(2) {
		stuck := w.add(t, 2+i, block(ctx), nil)
		for a.Send(stuck.id, a.Get()) == nil {
		}
	}
	// Two queues share 30 places so that a third would still get some.
	if q := a.Stats().Queued; q < 15 || q > 24 {
		t.Errorf("two slow neighbours hold %d of 30", q)
	}
	got := make(chan uint64, 1)
	good := w.add(t, 9, collect(got), nil)
	if err := a.Send(good.id, a.numbered(5)); err != nil {
		t.Fatal(err)
	}
	expect(t, got, 5)
}

// The deadline of an earlier frame has no say about a later one.
func testPause(t *testing.T, w wire) {
	got := make(chan uint64, 1)
	b := w.add(t, 2, collect(got), func(l *limits) { l.frame = min(l.frame, 200*time.Millisecond) })
	a := w.add(t, 1, nil, func(l *limits) { l.write = min(l.write, 200*time.Millisecond) })
	for i := range uint64(3) {
		if err := a.Send(b.id, a.numbered(i)); err != nil {
			t.Fatal(err)
		}
		expect(t, got, i)
		<-time.After(2 * max(a.limits.write, b.limits.frame)) // what is tested is that time goes by
	}
	if s := b.Stats(); s.FramesIn != 3 || s.Replaced != 0 || s.Broken != 0 {
		t.Errorf("%+v", s)
	}
}

func testIdle(t *testing.T, w wire) {
	got := make(chan uint64, 1)
	b := w.add(t, 2, collect(got), nil)
	a := w.add(t, 1, nil, func(l *limits) { l.idle = min(l.idle, time.Second) })
	for i := range uint64(2) {
		if err := a.Send(b.id, a.numbered(i)); err != nil {
			t.Fatal(err)
		}
		expect(t, got, i)
		begin := time.Now()
		eventually(t, "both ends forget the stream", func() bool {
			return a.Stats().Neighbours == 0 && b.Stats().Inbound == 0
		})
		if d := time.Since(begin); d < a.limits.idle*9/10 {
			t.Errorf("closed after %v, not %v", d, a.limits.idle)
		}
	}
	if s := a.Stats(); s.Lost != 0 || s.Failures != 0 {
		t.Errorf("%+v", s)
	}
	if s := b.Stats(); s.Broken != 0 {
		t.Errorf("%+v", s)
	}
}

// dial opens a stream as a neighbour of ill will would: without a link's manners.
func dial(t *testing.T, from, to *node) stream {
	t.Helper()
	s, err := from.transport.open(t.Context(), to.id, &from.limits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Reset() })
	return s
}

func write(t *testing.T, s stream, b []byte) {
	t.Helper()
	_ = s.SetWriteDeadline(time.Now().Add(patience))
	if _, err := s.Write(b); err != nil {
		t.Fatal(err)
	}
}

// ended waits until the other side has reset a stream.
func ended(t *testing.T, s stream) {
	t.Helper()
	_ = s.SetReadDeadline(time.Now().Add(patience))
	if _, err := s.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Fatalf("the stream was not ended: %v", err)
	}
}

func testSilent(t *testing.T, w wire) {
	b := w.add(t, 2, nil, func(l *limits) { l.silent = min(l.silent, time.Second) })
	a := w.add(t, 1, nil, nil)
	begin := time.Now()
	ended(t, dial(t, a, b))
	if d := time.Since(begin); d < b.limits.silent*8/10 {
		t.Errorf("ended after %v, not %v", d, b.limits.silent)
	}
	eventually(t, "the stream is forgotten", func() bool { return b.Stats().Inbound == 0 })
	if s := b.Stats(); s.Broken != 0 {
		t.Errorf("%+v", s)
	}
}
