package overlay

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"chatnt/overlay/onion"
)

// Latency is what a packet may take so that watching links tells less about who
// talks to whom: each relay holds it for a time that its sender has drawn from an
// exponential distribution, on the way out and on the way of the answer (Loopix:
// Piotrowska et al., USENIX Security 2017, section 4.1; stop-and-go mixes:
// Kesdogan et al., Information Hiding 1998).
type Latency uint8

// The latencies there are.
const (
	Fast   Latency = iota // relays pass it on at once
	Normal                // 100 ms at each relay, on average
	Slow                  // 2 s at each relay, on average
)

const (
	normalMean = 100 * time.Millisecond
	slowMean   = 2 * time.Second

	// answerIn is how long an answer may take, besides the delays.
	answerIn = 2 * time.Second
)

// ParseLatency reads what String writes.
func ParseLatency(s string) (Latency, error) {
	for _, l := range []Latency{Fast, Normal, Slow} {
		if s == l.String() {
			return l, nil
		}
	}
	return 0, fmt.Errorf("%q is no latency: it is fast, normal or slow", s)
}

func (l Latency) String() string {
	switch l {
	case Normal:
		return "normal"
	case Slow:
		return "slow"
	}
	return "fast"
}

func (l Latency) mean() time.Duration {
	switch l {
	case Normal:
		return normalMean
	case Slow:
		return slowMean
	}
	return 0
}

// Patience is how long to wait for an answer that crosses so many relays, on the
// way out and the way back together, before it counts as lost: two seconds, and
// delays of three standard deviations above their mean. Of six relays one answer
// in a hundred has longer ones (an Erlang distribution).
func (l Latency) Patience(relays int) time.Duration {
	n := float64(relays)
	return answerIn + time.Duration((n+3*math.Sqrt(n))*float64(l.mean()))
}

// Delay draws for how long one relay holds a packet, in whole milliseconds as
// packets carry it, from 64 random bits.
func (l Latency) Delay(bits uint64) time.Duration {
	mean := l.mean()
	if mean == 0 {
		return 0
	}
	// Of slow packets one in 10^13 would be held for longer than relays do.
	return min(exponential(mean, bits), onion.MaxDelay).Round(time.Millisecond)
}

func randomBits() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}
