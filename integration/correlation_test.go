//go:build linux

package integration

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"chatnt/overlay"
)

// meanDelay is what everybody knows of a latency: the mean of the delays at each
// relay, which the sender draws.
func meanDelay(l overlay.Latency) time.Duration {
	return map[overlay.Latency]time.Duration{overlay.Normal: 100 * time.Millisecond, overlay.Slow: 2 * time.Second}[l]
}

// How much is written: by fifty people, to one other each, in a network of twenty relays.
const (
	busyPace  = 10 * time.Second // from one message of each to the next, on average: five a second in all
	quietPace = time.Minute

	writers = 50
)

// correlated is what those found who correlated: shares of what they looked for.
type correlated struct {
	Packets     share // by who sees both ends of all paths: where a packet went
	Ten, Twenty share // by the same, from so many messages of each: who writes to whom
	Matched     share // by a first and a last relay: where a packet that both had went
	Sure        share // by the same: what they took for one packet and was
}

// share is the mean of several runs and half of its 95 % confidence interval.
type share struct{ Mean, Margin float64 }

func (s share) String() string { return fmt.Sprintf("%.1f ± %.1f %%", 100*s.Mean, 100*s.Margin) }

const (
	correlationRuns = 10
	student         = 2.262 // the two-sided 95 % quantile of Student's t with 9 degrees of freedom
)

func newShare(runs [correlationRuns]float64) (s share) {
	for _, v := range runs {
		s.Mean += v / correlationRuns
	}
	variance := 0.0
	for _, v := range runs {
		variance += (v - s.Mean) * (v - s.Mean) / (correlationRuns - 1)
	}
	s.Margin = student * math.Sqrt(variance/correlationRuns)
	return s
}

// correlate runs a network several times, each time with so many messages.
func correlate(t *testing.T, messages int, every time.Duration, latency overlay.Latency) correlated {
	t.Helper()
	var packets, ten, twenty, matched, sure [correlationRuns]float64
	delay := meanDelay(latency)
	for i := range correlationRuns {
		tr := traffic{relays: 20, conversations: writers, every: every, latency: latency, messages: messages, seed: byte(i)}
		passages := tr.run(t)
		e := newEnds(passages, delay)
		packets[i] = max(e.packets(), e.inOrder())
		ten[i], twenty[i] = e.conversations(10), e.conversations(20)
		matched[i], sure[i] = twoRelays(passages, tr.relays, delay)
	}
	return correlated{newShare(packets), newShare(ten), newShare(twenty), newShare(matched), newShare(sure)}
}

// correlation has this test program correlate in one network and do nothing else:
// "10s normal", from message to message and the latency.
const correlation = "CHATNT_CORRELATION"

// TestCorrelation has the first and the last relay of paths, and whoever watches the
// links before and after them, find out by time alone which packet that came is
// which that left. How often they do is measured by BenchmarkCorrelation; what must
// be is that without delays they always do, and that with delays whoever watches
// from outside mostly does not.
func TestCorrelation(t *testing.T) {
	if which := os.Getenv(correlation); which != "" {
		pace, name, _ := strings.Cut(which, " ")
		every, err := time.ParseDuration(pace)
		if err != nil {
			t.Fatal(err)
		}
		latency, err := overlay.ParseLatency(name)
		if err != nil {
			t.Fatal(err)
		}
		report(correlate(t, 1500, every, latency))
		return
	}
	t.Parallel()
	messages := count(300, 1500)
	if underRace {
		messages = 100
	}
	at := func(latency overlay.Latency) correlated {
		c := correlate(t, messages, busyPace, latency)
		t.Logf("%d runs of %d messages, %v: packets %v; by two relays %v, sure %v",
			correlationRuns, messages, latency, c.Packets, c.Matched, c.Sure)
		return c
	}
	f, n, s := at(overlay.Fast), at(overlay.Normal), at(overlay.Slow)
	if f.Packets.Mean < 0.99 || f.Matched.Mean < 0.99 {
		t.Errorf("without delays %v of packets are found, by two relays %v: do they look?", f.Packets, f.Matched)
	}
	if n.Packets.Mean > 0.7*f.Packets.Mean || s.Packets.Mean > 0.2*n.Packets.Mean {
		t.Errorf("of packets are found %v fast, %v normal, %v slow", f.Packets, n.Packets, s.Packets)
	}
	// Of a packet that entered, the one that left when its law is highest is it with
	// a chance of that height to the rate of all that leave: 0.27 / 2 s to 5 / s.
	peak := 2 * math.Exp(-2) // of the Erlang law of three, in means
	if theory := peak / meanDelay(overlay.Slow).Seconds() * busyPace.Seconds() / writers; s.Packets.Mean < theory/2 || s.Packets.Mean > 2*theory {
		t.Errorf("%v of slow packets are found, theory has %.1f %%", s.Packets, 100*theory)
	}
}

// BenchmarkCorrelation measures what correlating by time finds, as a table.
func BenchmarkCorrelation(b *testing.B) {
	fmt.Print("\n| 50 people write every | delay at each relay | packets found, seeing both ends of all paths | conversations, from 10 messages of each | from 20 | packets matched by their first and last relay | such matches that are right |\n|---|---|---|---|---|---|---|\n")
	for _, every := range []time.Duration{busyPace, quietPace} {
		for _, latency := range []overlay.Latency{overlay.Fast, overlay.Normal, overlay.Slow} {
			b.Run(fmt.Sprintf("%v/%v", every, latency), func(b *testing.B) {
				var c correlated
				for b.Loop() {
					alone(b, "^TestCorrelation$", nil, []string{fmt.Sprintf("%s=%v %v", correlation, every, latency)}, &c)
				}
				fmt.Printf("| %v | %v, %v | %v | %v | %v | %v | %v |\n", every, latency, meanDelay(latency), c.Packets, c.Ten, c.Twenty, c.Matched, c.Sure)
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(100*c.Packets.Mean, "%packets")
				b.ReportMetric(100*c.Packets.Margin, "±%packets")
				b.ReportMetric(100*c.Ten.Mean, "%conversations-of-10")
				b.ReportMetric(100*c.Twenty.Mean, "%conversations-of-20")
				b.ReportMetric(100*c.Matched.Mean, "%matched")
				b.ReportMetric(100*c.Sure.Mean, "%sure")
			})
		}
	}
}
