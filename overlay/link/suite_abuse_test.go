package link

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/overlay/onion"
)

func testStall(t *testing.T, w wire) {
	got := make(chan uint64, 1)
	b := w.add(t, 2, collect(got), func(l *limits) { l.frame = min(l.frame, time.Second) })
	a := w.add(t, 1, nil, nil)
	s := dial(t, a, b)
	write(t, s, make([]byte, onion.Size+onion.Size/2))
	expect(t, got, 0)
	begin := time.Now()
	ended(t, s)
	if d := time.Since(begin); d < b.limits.frame*8/10 || d > b.limits.silent/2 {
		t.Errorf("ended after %v, not %v", d, b.limits.frame)
	}
	eventually(t, "the stall is counted", func() bool { s := b.Stats(); return s.Broken == 1 && s.Inbound == 0 })
	if s := b.Stats(); s.FramesIn != 1 {
		t.Errorf("%+v", s)
	}
}

// A neighbour that sends a byte at a time gets no more time for it.
func testDrip(t *testing.T, w wire) {
	b := w.add(t, 2, nil, func(l *limits) { l.frame = min(l.frame, time.Second) })
	a := w.add(t, 1, nil, nil)
	s := dial(t, a, b)
	begin := time.Now()
	tick := time.NewTicker(b.limits.frame / 10)
	defer tick.Stop()
	for {
		_ = s.SetWriteDeadline(time.Now().Add(patience))
		if _, err := s.Write([]byte{1}); err != nil {
			break
		}
		if time.Since(begin) > 10*b.limits.frame {
			t.Fatal("the stream is still open")
		}
		<-tick.C
	}
	eventually(t, "the stall is counted", func() bool { return b.Stats().Broken == 1 })
}

func testEndInside(t *testing.T, w wire) {
	got := make(chan uint64, 1)
	b := w.add(t, 2, collect(got), nil)
	a := w.add(t, 1, nil, nil)
	for _, c := range []struct {
		size   int
		broken uint64
	}{
		{onion.Size, 0},
		{onion.Size + 1, 1},
		{2*onion.Size - 1, 2},
	} {
		s := dial(t, a, b)
		write(t, s, make([]byte, c.size))
		expect(t, got, 0)
		_ = s.Close()
		eventually(t, "the stream is forgotten", func() bool { return b.Stats().Inbound == 0 })
		if s := b.Stats(); s.Broken != c.broken {
			t.Errorf("after %d bytes: %+v", c.size, s)
		}
	}
	s := dial(t, a, b)
	write(t, s, make([]byte, onion.Size+1))
	expect(t, got, 0)
	_ = s.Reset() // may overtake the last byte
	eventually(t, "the stream is forgotten", func() bool { return b.Stats().Inbound == 0 })
}

// What was written before a newer stream was opened still arrives, and first.
func testReplaced(t *testing.T, w wire) {
	got := make(chan uint64, 100)
	gate := make(chan struct{})
	b := w.add(t, 2, func(l *Link, from hashid.NodeID, p *onion.Packet) {
		<-gate
		collect(got)(l, from, p)
	}, nil)
	a := w.add(t, 1, nil, nil)
	older := dial(t, a, b)

	sent := make(chan error, 1)
	go func() { // a pipe takes a frame when it is read
		_ = older.SetWriteDeadline(time.Now().Add(patience))
		var err error
		for i := range uint64(3) {
			p := a.numbered(i)
			if _, err = older.Write(p[:]); err != nil {
				break
			}
		}
		sent <- err
	}()
	gate <- struct{}{}
	expect(t, got, 0)
	newer := dial(t, a, b)
	eventually(t, "the older stream is replaced", func() bool { return b.Stats().Replaced == 1 })
	close(gate)
	p := a.numbered(3)
	write(t, newer, p[:])
	for i := range uint64(3) {
		expect(t, got, i+1)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	ended(t, older) // it had its time
	if s := b.Stats(); s.Inbound != 1 || s.Broken != 0 {
		t.Errorf("%+v", s)
	}
}

func testTooManyStreams(t *testing.T, w wire) {
	b := w.add(t, 2, nil, func(l *limits) { l.inbound = 2 })
	var first stream
	for i := range byte(3) {
		s := dial(t, w.add(t, 3+i, nil, nil), b)
		if first == nil {
			first = s
		}
		write(t, s, make([]byte, onion.Size))
		eventually(t, "the frame arrives", func() bool { return b.Stats().FramesIn == uint64(i+1) })
	}
	ended(t, first)
	if s := b.Stats(); s.Inbound != 2 || s.Evicted != 1 {
		t.Errorf("%+v", s)
	}
}

func testTooManyNeighbours(t *testing.T, w wire) {
	got := make(chan uint64, 1)
	a := w.add(t, 1, nil, func(l *limits) { l.neighbours = 2 })
	for i := range byte(3) {
		b := w.add(t, 2+i, collect(got), nil)
		if err := a.Send(b.id, a.numbered(uint64(i))); err != nil {
			t.Fatal(err)
		}
		expect(t, got, uint64(i))
		// Only a neighbour without work is given up: wait until it counts as such.
		eventually(t, "the neighbour is idle", func() bool { return a.Stats().FramesOut == uint64(i+1) })
	}
	if s := a.Stats(); s.Neighbours != 2 || s.Evicted != 1 || s.Lost != 0 {
		t.Errorf("%+v", s)
	}

	ctx, release := context.WithCancel(t.Context())
	defer release()
	for i := range byte(2) {
		fill(t, a, w.add(t, 10+i, block(ctx), nil).id)
	}
	if err := a.Send(hashid.NodeID{99}, a.Get()); !errors.Is(err, ErrTooManyNeighbours) {
		t.Errorf("with no neighbour to spare Send says %v", err)
	}
}

func testNotRunning(t *testing.T, w wire) {
	got := make(chan uint64, 1)
	b := w.add(t, 2, collect(got), nil)
	a := w.add(t, 1, nil, nil)
	if err := a.Send(b.id, a.numbered(1)); err != nil {
		t.Fatal(err)
	}
	expect(t, got, 1)
	a.stop()
	if err := a.Send(b.id, a.Get()); !errors.Is(err, ErrClosed) {
		t.Errorf("after Run Send says %v", err)
	}
	s := a.Stats()
	if s.Neighbours != 0 || s.Inbound != 0 || s.Queued != 0 || s.Closed != 1 {
		t.Errorf("%+v", s)
	}
	if err := a.Run(t.Context()); err == nil {
		t.Error("Run ran twice")
	}
}

// Neighbours that never answer a connection attempt give way to others.
func TestTooManyConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mute := &muteTransport{asked: make(chan hashid.NodeID, 10)}
		n := &node{unreachable: make(chan hashid.NodeID, 10)}
		n.Link = newLink(mute, nil, func(to hashid.NodeID) { n.unreachable <- to })
		n.start(t, func(l *limits) { l.connecting = 2 }, func() {})
		for i := range byte(4) {
			id := hashid.NodeID{i}
			if err := n.Send(id, n.Get()); err != nil {
				t.Fatal(err)
			}
			expect(t, mute.asked, id)
			time.Sleep(time.Millisecond) // virtual: each begins later than the one before
		}
		synctest.Wait()
		if s := n.Stats(); s.Neighbours != 2 || s.Evicted != 2 || s.Lost != 2 || s.Queued != 0 {
			t.Errorf("%+v", s)
		}
		expect(t, n.unreachable, hashid.NodeID{2})
		expect(t, n.unreachable, hashid.NodeID{3})
	})
}

// muteTransport connects to nobody, and takes its time.
type muteTransport struct{ asked chan hashid.NodeID }

func (m *muteTransport) listen(func(hashid.NodeID, stream), func(hashid.NodeID)) func() {
	return func() {}
}

func (m *muteTransport) open(ctx context.Context, to hashid.NodeID, lim *limits) (stream, error) {
	m.asked <- to
	ctx, cancel := context.WithTimeout(ctx, lim.open)
	defer cancel()
	<-ctx.Done()
	return nil, ctx.Err()
}
