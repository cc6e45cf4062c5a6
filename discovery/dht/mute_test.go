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
		if got := m.patience(0); got != step.want {
			t.Errorf("after %d answers in %v: %v, want %v", step.answers, step.took, got, step.want)
		}
	}
	answer(answersKept, time.Millisecond)
	if got := m.patience(400 * time.Millisecond); got != 1600*time.Millisecond {
		t.Errorf("a far peer is given %v", got)
	}
	if got := m.patience(time.Hour); got != requestTimeout {
		t.Errorf("a peer that says that it is slow is given %v", got)
	}
}

// Who was away for long is asked again soon after it has come back, but not at
// once each time it connects.
func TestWhoReturnsIsAskedAgain(t *testing.T) {
	m, now := virtual(t)
	asked := *now
	*now = now.Add(time.Second)
	m.answered("b", time.Millisecond)
	for range 4 { // left alone for 10, 20, 40 and then 80 seconds
		m.silent("a", asked)
		*now = now.Add(8 * muteFirst)
	}
	m.silent("a", asked)
	*now = now.Add(muteFirst - 1)
	if m.returned("a"); !m.has("a") {
		t.Error("asked again at once")
	}
	*now = now.Add(1)
	if m.has("a") {
		t.Error("left alone although it has come back")
	}
	m.silent("a", asked)
	*now = now.Add(2 * muteFirst)
	if !m.has("a") {
		t.Error("its silences count no more")
	}
	if m.returned("a"); m.has("a") {
		t.Error("left alone although it has come back late")
	}
	if m.returned("c"); m.peers.Contains("c") {
		t.Error("remembers somebody who was never silent")
	}
}
