package node

import (
	"net/netip"
	"testing"
	"time"
)

func TestPulse(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	for name, test := range map[string]struct {
		beats []time.Duration // between two readings
		want  []time.Duration // jumps of at least jumpAfter
	}{
		"nothing":           {[]time.Duration{watchEvery, watchEvery, watchEvery}, nil},
		"a busy machine":    {[]time.Duration{5 * time.Second, 0, 20 * time.Second, watchEvery}, nil},
		"three hours":       {[]time.Duration{watchEvery, 3*time.Hour + watchEvery, watchEvery}, []time.Duration{3 * time.Hour}},
		"twice":             {[]time.Duration{time.Minute, watchEvery, time.Minute}, []time.Duration{59 * time.Second, 59 * time.Second}},
		"set back":          {[]time.Duration{watchEvery, -3*time.Hour + watchEvery, watchEvery}, []time.Duration{-3 * time.Hour}},
		"set back a little": {[]time.Duration{watchEvery, -5 * time.Second}, nil},
	} {
		var (
			p    pulse
			got  []time.Duration
			wall = start
		)
		if jump := p.beat(wall); jump != 0 {
			t.Errorf("%s: the first reading is a jump of %v", name, jump)
		}
		for _, d := range test.beats {
			wall = wall.Add(d)
			if jump := p.beat(wall); jump.Abs() >= jumpAfter {
				got = append(got, jump)
			}
		}
		if len(got) != len(test.want) {
			t.Errorf("%s: jumps %v, want %v", name, got, test.want)
			continue
		}
		for i := range got {
			if got[i] != test.want[i] {
				t.Errorf("%s: jumps %v, want %v", name, got, test.want)
			}
		}
	}
}

// Monotonic time stands still while a machine sleeps: what counts is the wall clock.
func TestPulseReadsTheWallClock(t *testing.T) {
	var p pulse
	now := time.Now()
	p.beat(now)
	if jump := p.beat(time.Unix(now.Unix()+3600, 0)); jump < 59*time.Minute {
		t.Errorf("an hour by the wall is a jump of %v", jump)
	}
}

func TestInterfaces(t *testing.T) {
	list := func(texts ...string) []netip.Addr {
		var all []netip.Addr
		for _, s := range texts {
			all = append(all, netip.MustParseAddr(s))
		}
		return all
	}
	var i interfaces
	for _, step := range []struct {
		now        []netip.Addr
		came, gone bool
	}{
		{list("127.0.0.1", "10.0.0.3"), false, false}, // the first look
		{list("10.0.0.3", "127.0.0.1"), false, false},
		{list("127.0.0.1", "10.0.0.3", "fd00::1"), true, false},
		{list("127.0.0.1", "fd00::1"), false, true},
		{list("127.0.0.1", "fd00::1", "10.0.0.4"), true, false},
		{list("127.0.0.1", "10.0.0.5"), true, true},
	} {
		if came, gone := i.set(step.now); came != step.came || gone != step.gone {
			t.Errorf("%v: came %v, gone %v", step.now, came, gone)
		}
	}
	for a, want := range map[string]struct{ has, stale bool }{
		"/ip4/10.0.0.5/tcp/1":         {true, false},
		"/ip4/10.0.0.3/tcp/1":         {false, true},
		"/ip6/fd00::1/tcp/1":          {false, true},
		"/ip4/1.2.3.4/tcp/1":          {false, false}, // as others see this machine
		"/ip4/127.0.0.1/tcp/1":        {true, false},
		"/ip4/0.0.0.0/udp/1/quic-v1":  {false, false},
		"/ip4/10.0.0.5/udp/1/quic-v1": {true, false},
	} {
		m := addrs(t, a)[0]
		if got := i.has(m); got != want.has {
			t.Errorf("has(%s) = %v", a, got)
		}
		if got := i.stale(m); got != want.stale {
			t.Errorf("stale(%s) = %v", a, got)
		}
	}
	i.set(list("10.0.0.3"))
	if i.stale(addrs(t, "/ip4/10.0.0.3/tcp/1")[0]) {
		t.Error("an address that came back is stale")
	}
	for n := range byte(200) {
		i.set([]netip.Addr{netip.AddrFrom4([4]byte{10, 1, 1, n})})
	}
	if len(i.once) > maxOnce {
		t.Errorf("%d addresses of before are remembered", len(i.once))
	}
}
