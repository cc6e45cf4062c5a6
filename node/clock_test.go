package node

import (
	"bytes"
	"context"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	libp2pnetwork "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

const clockTestProtocol = "/test/clock/1"

// minutes are offsets for a table.
func minutes(list ...int) []time.Duration {
	var offs []time.Duration
	for _, m := range list {
		offs = append(offs, time.Duration(m)*time.Minute)
	}
	return offs
}

func TestMajority(t *testing.T) {
	for _, test := range []struct {
		offs []time.Duration
		want int // minutes
	}{
		{minutes(7), 7},
		{minutes(-7), -7},
		{minutes(7, 0), 0}, // one against one is no majority
		{minutes(-7, 8), 0},
		{minutes(7, 9), 7},
		{minutes(-7, -9), -7},
		{minutes(0, 9000, 0), 0},
		{minutes(180, 0, 180), 180},
		{minutes(9000, 0, 0, 9000), 0},
		{minutes(180, 180, 0, 179), 179},
		{minutes(9000, -9000, 0, 0, 9000), 0},
		{minutes(181, -9000, 180, -9000, 182), 180},
	} {
		if got := majority(test.offs); got != time.Duration(test.want)*time.Minute {
			t.Errorf("majority(%v) = %v, want %d minutes", test.offs, got, test.want)
		}
	}
}

func TestClockFrame(t *testing.T) {
	at := time.Unix(1_800_000_059, 999)
	frame := appendClock(nil, at)
	if want := []byte{0, 0, 0, 0, 1, 201, 195, 128}; !bytes.Equal(frame, want) {
		t.Errorf("the frame is % x, want % x", frame, want)
	}
	if got, err := parseClock(frame); err != nil || got.Unix() != 1_800_000_030 {
		t.Errorf("parsed as %v, %v", got, err)
	}
	for _, at := range []time.Time{{}, time.Unix(-1, 0), time.Unix(1<<55, 0)} {
		if _, err := parseClock(appendClock(nil, at)); err != nil {
			t.Errorf("%v is written and not read: %v", at, err)
		}
	}
	for _, bad := range [][]byte{nil, make([]byte, 7), make([]byte, 9), binary.BigEndian.AppendUint64(nil, maxMinutes+1), bytes.Repeat([]byte{0xff}, 8)} {
		if _, err := parseClock(bad); err == nil {
			t.Errorf("% x was taken for a clock", bad)
		}
	}
}

func FuzzParseClock(f *testing.F) {
	f.Add(appendClock(nil, time.Unix(1_800_000_000, 0)))
	f.Add(make([]byte, 9))
	f.Fuzz(func(t *testing.T, frame []byte) {
		at, err := parseClock(frame)
		if err != nil {
			return
		}
		if again := appendClock(nil, at); !bytes.Equal(again, frame) {
			t.Errorf("% x parses and encodes to % x", frame, again)
		}
	})
}

// Who asks around the turn of the minute, and halves the time in question with each
// answer, must not get this clock to some milliseconds: the answers differ.
func TestClockKeepsItsSeconds(t *testing.T) {
	turn := time.Unix(1_800_000_000, 0)
	c := &clocks{now: func() time.Time { return turn.Add(-5 * time.Second) }}
	const tries = 200
	early := 0
	for range tries {
		at, err := parseClock(c.reading())
		if err != nil {
			t.Fatal(err)
		}
		if at.After(turn) {
			early++
		}
	}
	// 60 are to be expected, and fewer than 20 or more than 100 once in 10^9 runs.
	if early < 20 || early > 100 {
		t.Errorf("five seconds before the minute turns, %d of %d answers say that it has", early, tries)
	}
	for range 10_000 {
		if n := noise(); n.Abs() > 2*clockNoise {
			t.Fatalf("noise of %v", n)
		}
	}
}

func TestClockWarningSaysWhatToDo(t *testing.T) {
	for _, test := range []struct {
		off     time.Duration
		answers int
		want    string
	}{
		{6 * time.Minute, 3, "This machine's clock is 6 minutes ahead of those of other nodes. Set it right: messages may not come or go before."},
		{-3 * time.Hour, 5, "This machine's clock is 3 hours behind those of other nodes. Set it right: messages may not come or go before."},
		{-240 * time.Hour, 2, "This machine's clock is 10 days behind those of the few nodes that could be asked: it is wrong, or the others' are. If it is, set it right: messages may not come or go before."},
	} {
		if got := clockWarning(test.off, test.answers); got != test.want {
			t.Errorf("%v by %d:\n%s\nwant\n%s", test.off, test.answers, got, test.want)
		}
	}
}

// clockHost is a host on a real socket.
func clockHost(t *testing.T) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.Transport(tcp.NewTCPTransport), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.Ping(false), libp2p.ResourceManager(&libp2pnetwork.NullResourceManager{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Network().Close(); err != nil {
			t.Error(err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// honest answers with a clock that is off by so much.
func honest(t *testing.T, off time.Duration) host.Host {
	t.Helper()
	h := clockHost(t)
	now := func() time.Time { return time.Now().Add(off) }
	if _, err := newClocks(h, clockTestProtocol, now, func(time.Duration, int) { t.Error("who is asked told something") }); err != nil {
		t.Fatal(err)
	}
	return h
}

// liar answers with whatever it likes.
func liar(t *testing.T, answer func(libp2pnetwork.Stream)) host.Host {
	t.Helper()
	h := clockHost(t)
	h.SetStreamHandler(clockTestProtocol, answer)
	return h
}

func says(frame []byte) func(libp2pnetwork.Stream) {
	return func(s libp2pnetwork.Stream) {
		_, _ = s.Write(frame)
		_ = s.Close()
	}
}

// drip answers one byte at a time, for ever.
func drip(s libp2pnetwork.Stream) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := s.Write([]byte{0}); err != nil {
			return
		}
	}
}

// told records what a check finds.
type told struct {
	mu   sync.Mutex
	offs []time.Duration
}

func (l *told) add(off time.Duration, _ int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.offs = append(l.offs, off)
}

// checks has a new host with a clock of its own ask others.
func checks(t *testing.T, off *time.Duration, others ...host.Host) (*clocks, *told) {
	t.Helper()
	l := new(told)
	h := clockHost(t)
	c, err := newClocks(h, clockTestProtocol, func() time.Time { return time.Now().Add(*off) }, l.add)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range others {
		if err := h.Connect(t.Context(), peer.AddrInfo{ID: o.ID(), Addrs: o.Addrs()}); err != nil {
			t.Fatal(err)
		}
	}
	return c, l
}

// Fewer than half of those that answer, whatever they say, neither raise an alarm nor hide one.
func TestLiarsDoNotMoveTheClock(t *testing.T) {
	past, future := says(appendClock(nil, time.Unix(0, 0))), says(appendClock(nil, time.Now().Add(3*time.Hour)))
	agreeing := says(appendClock(nil, time.Now().Add(-24*time.Hour))) // with a clock that is a day behind
	for name, lies := range map[string][2]func(libp2pnetwork.Stream){
		"another time":   {past, past},
		"the future":     {future, future},
		"one of each":    {past, future},
		"garbage":        {says(bytes.Repeat([]byte{0xff}, 8)), says(make([]byte, 100_000))},
		"nothing":        {says(nil), func(s libp2pnetwork.Stream) { _ = s.Reset() }},
		"what one likes": {agreeing, agreeing},
	} {
		t.Run(name, func(t *testing.T) {
			others := []host.Host{honest(t, 0), liar(t, lies[0]), honest(t, time.Minute), liar(t, lies[1]), honest(t, -time.Minute)}
			var off time.Duration
			c, l := checks(t, &off, others...)
			if answers, got := c.check(t.Context()); got != 0 || answers < clockEnough {
				t.Errorf("a right clock is %v off by %d answers", got, answers)
			}
			if len(l.offs) != 0 {
				t.Errorf("a false alarm: %v", l.offs)
			}
			off = -24 * time.Hour
			if _, got := c.check(t.Context()); (got - off).Abs() > 2*time.Minute {
				t.Errorf("a clock a day behind is %v off", got)
			}
			off = 0
			if _, got := c.check(t.Context()); got != 0 {
				t.Errorf("a clock that was set right is %v off", got)
			}
			if len(l.offs) != 2 || l.offs[1] != 0 {
				t.Errorf("told %v, want an alarm and its end", l.offs)
			}
		})
	}
}

// A neighbour that does not answer, or never stops, costs a moment.
func TestMuteNeighbours(t *testing.T) {
	hold := func(s libp2pnetwork.Stream) { _, _ = s.Read(make([]byte, 1)) }
	off := 3 * time.Hour
	c, l := checks(t, &off, liar(t, hold), liar(t, drip), honest(t, 0), honest(t, 0), honest(t, 0))
	began := time.Now()
	answers, got := c.check(t.Context())
	if took := time.Since(began); took > 2*clockTimeout {
		t.Errorf("a check took %v", took)
	}
	if answers != 3 || (got-off).Abs() > 2*time.Minute || len(l.offs) != 1 {
		t.Errorf("%d answers say that the clock is %v off; told %v", answers, got, l.offs)
	}
}

// Up to five minutes are no alarm, whatever the second; more than seven always are.
func TestClockOffFrom(t *testing.T) {
	var off time.Duration
	c, _ := checks(t, &off, honest(t, 0), honest(t, 0), honest(t, 0))
	for _, off = range []time.Duration{time.Minute, 5*time.Minute - time.Second, -5 * time.Minute} {
		if answers, got := c.check(t.Context()); answers != 3 || got != 0 {
			t.Errorf("%v count as %v off", off, got)
		}
	}
	off = 7 * time.Minute
	if _, got := c.check(t.Context()); got < 6*time.Minute || got > 8*time.Minute {
		t.Errorf("%v count as %v off", off, got)
	}
}

// Whoever asks again and again gets no answer for a while; others do.
func TestAnswersAreFew(t *testing.T) {
	asked := honest(t, 0)
	var off time.Duration
	greedy, _ := checks(t, &off, asked)
	for i := range 2 * clockBurst {
		answers, _ := greedy.check(t.Context())
		if want := i < clockBurst; (answers == 1) != want {
			t.Errorf("asked for the %dth time: %d answers", i+1, answers)
		}
	}
	other, _ := checks(t, &off, asked)
	if answers, _ := other.check(t.Context()); answers != 1 {
		t.Error("another one gets no answer")
	}
}

// Neighbours that came by themselves, however many, are asked only for want of others.
func TestChosenNeighboursAreAskedFirst(t *testing.T) {
	others := []host.Host{honest(t, 0), honest(t, 0), honest(t, 0), honest(t, 0), honest(t, 0)}
	var off time.Duration
	c, l := checks(t, &off, others...)
	for range 12 {
		came := liar(t, says(appendClock(nil, time.Unix(0, 0))))
		if err := came.Connect(t.Context(), peer.AddrInfo{ID: c.host.ID(), Addrs: c.host.Addrs()}); err != nil {
			t.Fatal(err)
		}
	}
	if answers, got := c.check(t.Context()); answers != 5 || got != 0 || len(l.offs) != 0 {
		t.Errorf("%d answers say that the clock is %v off", answers, got)
	}
}

// A check needs somebody to ask; one comes as soon as there is.
func TestClockIsCheckedWhenSomebodyIsThere(t *testing.T) {
	off := 3 * time.Hour
	alarm := make(chan time.Duration, 1)
	h := clockHost(t)
	c, err := newClocks(h, clockTestProtocol, func() time.Time { return time.Now().Add(off) }, func(off time.Duration, _ int) { alarm <- off })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { c.run(ctx) })
	defer running.Wait()
	defer cancel()
	one := honest(t, 0)
	if err := h.Connect(t.Context(), peer.AddrInfo{ID: one.ID(), Addrs: one.Addrs()}); err != nil {
		t.Fatal(err)
	}
	c.grown()
	select {
	case got := <-alarm:
		if (got-off).Abs() > 2*time.Minute || c.ahead() != got {
			t.Errorf("told that the clock is %v off", got)
		}
	case <-time.After(20 * time.Second):
		t.Error("nothing is told")
	}
}
