package overlay

import (
	"context"
	"math"
	"slices"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/overlay/path"
)

// Loops are requests that ask for nothing but an answer. They go the ways of all
// others and cannot be told from these but at their end, a relay like any: a node that
// has nothing to say learns by them who loses packets (Loopix: Piotrowska et al.,
// USENIX Security 2017, section 4.1.4). They come by a Poisson process, rarely while all
// is well, and often for a while when something was lost that a relay may have lost,
// so that it is known before long which.
//
// A loop costs who sends it two packets, 8 kB, and its relays twelve in all, 48 kB.
const (
	loopEvery = 10 * time.Minute       // between two, on average: 50 kB an hour
	loopSoon  = 500 * time.Millisecond // the same while there is doubt,
	doubtFor  = 15 * time.Second       // for so long after the last loss that gave rise to it,
	loopsSoon = 120                    // for so many at once at most, 1 MB,
	loopAgain = 30 * time.Second       // and one more in each of these: 1 MB an hour

	loopEnds   = 3  // relays that loops go to
	loopMisses = 4  // without an answer in between, before another takes the place of one
	loopMoves  = 10 // one loop in so many finds the first replaced
)

// loops sends one node's loops. All its fields are owned by run, but for doubted.
type loops struct {
	overlay *Overlay
	caller  *Caller
	relays  Ends
	doubted chan struct{} // capacity 1: see doubt

	ends  []loopEnd
	until time.Time // doubt lasts
	spare float64   // loops that may be sent soon ...
	at    time.Time // ... as of then
}

// loopEnd is a relay that loops go to. While all is well they go to the first: whether
// an end is there is known only of one that has answered lately. In doubt they go to
// all of them, so that no end alone decides which relays seem to lose packets.
type loopEnd struct {
	desc   *record.Descriptor // as it was when it was drawn
	missed int                // sent since the last answer
}

func newLoops(o *Overlay) *loops {
	return &loops{overlay: o, caller: o.Caller(), relays: o.cfg.Loops, doubted: make(chan struct{}, 1), spare: loopsSoon}
}

// doubt says that a relay may have lost something.
func (l *loops) doubt() { nudge(l.doubted) }

// run sends loops until ctx ends.
func (l *loops) run(ctx context.Context) {
	answers := make(chan answer, loopsSoon)
	l.at = time.Now()
	timer := time.NewTimer(l.wait(l.at))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-answers:
			l.heard(a.end)
			continue
		case <-l.doubted:
			l.until = time.Now().Add(doubtFor)
		case <-timer.C:
			l.send(answers)
		}
		// How long it was waited for already says nothing about how long it is still:
		// the process stays a Poisson process.
		timer.Reset(l.wait(time.Now()))
	}
}

// wait draws how long it is until the next loop.
func (l *loops) wait(now time.Time) time.Duration {
	mean := loopEvery
	l.spare = min(loopsSoon, l.spare+float64(now.Sub(l.at))/float64(loopAgain))
	l.at = now
	if l.inDoubt(now) {
		mean = loopSoon
	}
	return exponential(mean, l.overlay.draw())
}

func (l *loops) inDoubt(now time.Time) bool { return now.Before(l.until) && l.spare >= 1 }

// send sends one loop, if there is a way for it.
func (l *loops) send(answers chan<- answer) {
	end := 0
	if now := time.Now(); l.inDoubt(now) {
		l.spare--
		end = l.below(loopEnds)
	} else if len(l.ends) > 0 && l.below(loopMoves) == 0 {
		l.ends = l.ends[1:]
	}
	l.choose()
	if end = min(end, len(l.ends)-1); end < 0 {
		return
	}
	desc, ok := l.overlay.cfg.Finder.Known(l.ends[end].desc.ID())
	if !ok {
		l.ends = slices.Delete(l.ends, end, end+1)
		return
	}
	way, err := l.overlay.path(desc)
	if err != nil {
		return
	}
	if _, err := l.caller.attempt(way, serviceLoop, nil, 0, answers); err == nil {
		l.ends[end].missed++
	}
}

// choose draws ends in place of those that do not answer, apart from each other if
// possible.
func (l *loops) choose() {
	l.ends = slices.DeleteFunc(l.ends, func(e loopEnd) bool { return e.missed >= loopMisses })
	for len(l.ends) < loopEnds {
		var without []hashid.NodeID
		var apart []*record.Descriptor
		for _, e := range l.ends {
			without = append(without, e.desc.ID())
			apart = append(apart, e.desc)
		}
		drawn, err := l.relays.End(apart)
		if err != nil {
			drawn, err = l.relays.End(nil, without...)
		}
		if err != nil {
			return
		}
		l.ends = append(l.ends, loopEnd{desc: drawn})
	}
}

func (l *loops) heard(end hashid.NodeID) {
	for i := range l.ends {
		if l.ends[i].desc.ID() == end {
			l.ends[i].missed = 0
		}
	}
}

// below draws a number below n, which is small.
func (l *loops) below(n int) int { return int(l.overlay.draw() >> 32 % uint64(n)) }

// report says what an attempt has come to.
func (o *Overlay) report(way *path.Way, outcome Outcome) {
	if o.cfg.Paths.Report(way, outcome) {
		o.loops.doubt()
	}
}

// exponential draws a time from an exponential distribution, by 64 random bits.
func exponential(mean time.Duration, bits uint64) time.Duration {
	// A number of (0, 1], by the 53 bits that a float64 has.
	u := float64(bits>>11+1) / (1 << 53)
	return time.Duration(-math.Log(u) * float64(mean))
}
