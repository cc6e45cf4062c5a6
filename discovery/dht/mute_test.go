package dht

import (
	"strconv"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// virtual returns a memory of mute peers and the clock that it reads.
func virtual(t *testing.T) (*mutes, *time.Time) {
	t.Helper()
	m, err := newMutes()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	m.now = func() time.Time { return now }
	return m, &now
}

func TestMutesAreLeftAlone(t *testing.T) {
	m, now := virtual(t)
	if m.silent("a", *now); m.has("a") {
		t.Error("nobody else has answered, and yet it is the peer's fault")
	}
	asked := *now
	*now = now.Add(time.Second)
	m.answered("b", time.Millisecond)
	for want := muteFirst; want < 4*muteLast; want *= 2 {
		for range 3 { // several requests at once count as one
			m.silent("a", asked)
		}
		*now = now.Add(min(want, muteLast) - time.Millisecond)
		if !m.has("a") || m.has("b") {
			t.Fatalf("after a silence of %v the wrong peers are left alone", want)
		}
		if *now = now.Add(time.Millisecond); m.has("a") {
			t.Fatalf("left alone for more than %v", min(want, muteLast))
		}
		asked = now.Add(-time.Hour)
	}
	m.silent("a", asked)
	if m.answered("a", time.Millisecond); m.has("a") {
		t.Error("left alone although it answered")
	}
	m.silent("a", asked)
	*now = now.Add(muteFirst)
	if m.has("a") {
		t.Error("an answer did not make up for earlier silence")
	}
	m.silent("a", asked)
	if m.forget(); m.has("a") {
		t.Error("it was not forgotten")
	}
	for i := range 2 * maxMutes {
		m.silent(peer.ID(strconv.Itoa(i)), asked)
	}
	if n := m.peers.Len(); n > maxMutes {
		t.Errorf("remembers %d peers", n)
	}
}

func TestPatience(t *testing.T) {
	m, _ := virtual(t)
	answer := func(n int, took time.Duration) {
		for range n {
			m.answered("a", took)
		}
	}
	for _, step := range []struct {
		answers    int
		took, want time.Duration
	}{
		{answersNeeded - 1, time.Millisecond, requestTimeout},
		{1, time.Millisecond, leastPatience},
		{answersKept, 150 * time.Millisecond, 1500 * time.Millisecond},
		{answersKept, 20 * time.Millisecond, leastPatience},
		{answersKept/2 - 1, time.Second, leastPatience}, // fewer than half do not count
		{answersKept, time.Second, requestTimeout},
	} {
		answer(step.answers, step.took)
		if got := m.patience(); got != step.want {
			t.Errorf("after %d answers in %v: %v, want %v", step.answers, step.took, got, step.want)
		}
	}
}
