package node

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

func TestPulse(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	type beat struct{ wall, mono time.Duration } // from one to the next
	steady := beat{watchEvery, watchEvery}
	for name, test := range map[string]struct {
		beats []beat
		over  int // how often the node starts over ...
		slept int // ... and takes its connections for dead
	}{
		"nothing":             {[]beat{steady, steady, steady}, 0, 0},
		"a busy machine":      {[]beat{{5 * time.Second, 5 * time.Second}, {}, {20 * time.Second, 20 * time.Second}, steady}, 0, 0},
		"three hours' sleep":  {[]beat{steady, {3 * time.Hour, watchEvery}, steady}, 1, 1},
		"stopped twice":       {[]beat{{time.Minute, time.Minute}, steady, {time.Minute, time.Minute}}, 2, 2},
		"stopped and set":     {[]beat{{watchEvery, time.Minute}, steady}, 1, 1},
		"set back by hours":   {[]beat{steady, {-3 * time.Hour, watchEvery}, steady}, 1, 0},
		"set back a little":   {[]beat{steady, {-5 * time.Second, watchEvery}}, 0, 0},
		"set ahead by 40 s":   {[]beat{steady, {40 * time.Second, watchEvery}}, 1, 0},
		"set ahead by 3 days": {[]beat{steady, {72 * time.Hour, watchEvery}}, 1, 1}, // as if it had slept
	} {
		var p pulse
		wall, mono := start, start
		if jump, stopped := p.beat(wall, mono); jump != 0 || stopped != 0 {
			t.Errorf("%s: the first reading is a jump of %v, %v", name, jump, stopped)
		}
		over, dead := 0, 0
		for _, b := range test.beats {
			wall, mono = wall.Add(b.wall), mono.Add(b.mono)
			jump, stopped := p.beat(wall, mono)
			if jump.Abs() >= jumpAfter || stopped >= jumpAfter {
				over++
			}
			if slept(jump, stopped) {
				dead++
			}
		}
		if over != test.over || dead != test.slept {
			t.Errorf("%s: starts over %d times, %d with dead connections; want %d, %d", name, over, dead, test.over, test.slept)
		}
	}
}

// Monotonic time stands still while a machine sleeps: what counts is the wall clock.
func TestPulseReadsTheWallClock(t *testing.T) {
	var p pulse
	now := time.Now()
	p.beat(now, now)
	if jump, stopped := p.beat(time.Unix(now.Unix()+3600, 0), now.Add(watchEvery)); jump < 59*time.Minute || stopped != 0 {
		t.Errorf("an hour by the wall is a jump of %v, stopped for %v", jump, stopped)
	}
}

// Of changes that do not end some are acted on, less and less often, and the last
// one always.
func TestPace(t *testing.T) {
	var (
		p     pace
		acted []int // seconds
		moved bool
	)
	at := func(second int) time.Time { return time.Unix(1_800_000_000+int64(second), 0) }
	const flaps, quiet = 300, 600
	for second := range quiet + flaps {
		if second < flaps || second == quiet || second == quiet+1 {
			moved = true
			p.changed(at(second))
		}
		if moved && p.due(at(second)) {
			moved = false
			acted = append(acted, second)
		}
	}
	want := []int{0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303, quiet, quiet + 1}
	if !slices.Equal(acted, want) {
		t.Errorf("acted on in seconds %v, want %v", acted, want)
	}
}

// A node whose clock is set back, or ahead by as much as clocks go wrong, starts over
// and keeps its connections; one that has slept for hours takes them for dead.
func TestConnectionsWhenTheClockJumps(t *testing.T) {
	for name, test := range map[string]struct {
		by    time.Duration
		stays bool
	}{
		"set back":  {-40 * time.Second, true},
		"set ahead": {40 * time.Second, true},
		"slept":     {3 * time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var off atomic.Int64
			over := make(chan int, 8)
			n, err := New(Config{
				Profile: testProfile(t), Listen: []string{"/ip4/127.0.0.1/tcp/0"},
				Now: func() time.Time { return time.Now().Add(time.Duration(off.Load())) },
				Log: slog.New(listener{over}),
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- n.Run(ctx) }()
			defer func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}()
			other := testHost(t, n.profile.Network(), "/ip4/127.0.0.1/tcp/0")
			if err := n.host.Connect(ctx, peer.AddrInfo{ID: other.ID(), Addrs: other.Addrs()}); err != nil {
				t.Fatal(err)
			}
			conn := n.host.Network().ConnsToPeer(other.ID())[0]
			closes := -1
			for range 10 { // the watch may not have begun the first time
				off.Add(int64(test.by))
				select {
				case closes = <-over:
				case <-time.After(2 * watchEvery):
					continue
				}
				break
			}
			if test.stays {
				if closes != 0 {
					t.Errorf("it starts over and closes %d connections", closes)
				}
				return
			}
			if closes < 1 {
				t.Fatalf("it starts over and closes %d connections", closes)
			}
			for deadline := time.Now().Add(5 * time.Second); !conn.IsClosed(); <-time.After(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the connection stays")
				}
			}
		})
	}
}

// listener is a log that tells when the node starts over, and how many connections
// it closes.
type listener struct{ over chan<- int }

func (listener) Enabled(context.Context, slog.Level) bool { return true }
func (l listener) WithAttrs([]slog.Attr) slog.Handler     { return l }
func (l listener) WithGroup(string) slog.Handler          { return l }

func (l listener) Handle(_ context.Context, r slog.Record) error {
	if !strings.HasSuffix(r.Message, "starting over") {
		return nil
	}
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "connections" {
			select {
			case l.over <- int(a.Value.Int64()):
			default: // nobody listens any more
			}
		}
		return true
	})
	return nil
}
