package path

import (
	"math"
	"slices"
	"time"

	"chatnt/discovery/hashid"
)

// What is remembered of how requests went.
const (
	maxLosses  = 256     // the latest
	maxHits    = 512     // answered requests: the latest
	maxTallies = 1 << 13 // relays, links and ends
	lossFor    = 30 * time.Minute
	halfLife   = 5 * time.Minute // of whatever was observed

	// An end that is known to live between these times around a loss has not
	// caused it by being away.
	aliveBefore = 30 * time.Minute
	aliveAfter  = 2 * time.Minute
)

// kind is what a loss can be the fault of.
type kind uint8

const (
	relayKind kind = iota // from: it loses what passes it
	linkKind              // from, to: it is lost between two neighbours
	endKind               // from: it does not answer all that arrives
	gapKind               // from, gap: nothing got through at that time
)

// cause is one thing that a loss can be the fault of.
type cause struct {
	kind     kind
	from, to hashid.NodeID
	gap      int64 // unix nanoseconds of the request before the gap
}

// memory is how many of its own latest requests a cause is judged by, as the mean
// of an exponential average: so a relay that served well for long and drops now
// is not shielded by its past, and one that is seldom on a path not forgotten.
func (k kind) memory() float64 {
	if k == linkKind {
		return 16
	}
	return 32
}

// tally is what is known of a cause.
type tally struct {
	cause
	good float64   // answered requests, the older the less
	seen uint32    // requests answered or lost
	at   time.Time // when good was last brought up to date

	suspect *suspect // while it is judged
}

// value is good, brought up to date.
func (t *tally) value(now time.Time) float64 { return t.good * fade(now.Sub(t.at)) }

func (t *tally) count(now time.Time, ok bool) {
	t.good = t.value(now) * (1 - 1/t.kind.memory())
	if ok {
		t.good++
	}
	t.seen++
	t.at = now
}

// fade is what is left of an observation after a time.
func fade(age time.Duration) float64 {
	if age <= 0 {
		return 1
	}
	return math.Exp2(-float64(age) / float64(halfLife))
}

// loss is a request that was not answered.
type loss struct {
	way   *Way
	marks []mark // of all its causes, but for the gap

	// The nearest requests to the same end that were answered, before and after.
	before, after time.Time
}

// mark is a tally, as it was when a request was lost.
type mark struct {
	*tally
	then uint32 // requests seen
}

// blame is what a node knows of who loses its packets. Whoever has it guards it.
type blame struct {
	self    hashid.NodeID
	tallies map[cause]*tally
	losses  ring[*loss]
	hits    ring[*Way] // answered
	fresh   bool       // there are losses that judge has not seen
	judged  time.Time  // when it last looked
	rests   map[cause]rest
	sent    recent // requests reported ...
	lost    recent // ... and those of them not answered
}

func newBlame(self hashid.NodeID) blame {
	return blame{
		self: self, tallies: make(map[cause]*tally), rests: make(map[cause]rest),
		losses: ring[*loss]{size: maxLosses}, hits: ring[*Way]{size: maxHits},
	}
}

// report takes in what a request came to, and returns whether it may be a relay that
// has lost it, for all that is known so far.
func (b *blame) report(now time.Time, w *Way, ok bool) (doubt bool) {
	b.sent.count(now)
	var l *loss
	if !ok {
		l = &loss{way: w}
	}
	for _, c := range b.causes(w) {
		t := b.tally(now, c)
		t.count(now, ok)
		if !ok {
			l.marks = append(l.marks, mark{t, t.seen})
		}
	}
	if !ok {
		b.lost.count(now)
		for _, hit := range b.hits.all {
			l.near(hit)
		}
		b.losses.add(l)
		b.fresh = true
		return !l.before.IsZero() && w.drawn.Sub(l.before) <= aliveBefore
	}
	b.hits.add(w)
	for _, l := range b.losses.all {
		b.fresh = l.near(w) || b.fresh
	}
	return false
}

// near notes an answered request, and reports whether the loss counts because of it.
func (l *loss) near(hit *Way) bool {
	if hit.End != l.way.End {
		return false
	}
	did := l.counts()
	if at := hit.drawn; !at.After(l.way.drawn) {
		if at.After(l.before) {
			l.before = at
		}
	} else if l.after.IsZero() || at.Before(l.after) {
		l.after = at
	}
	return !did && l.counts()
}

// counts reports whether a loss may be held against relays: the end answered others
// shortly before and after. An end that never answers, or is away, or this node's
// own connection, loses everything for a while and says nothing about relays.
func (l *loss) counts() bool {
	return !l.before.IsZero() && !l.after.IsZero() &&
		l.way.drawn.Sub(l.before) <= aliveBefore && l.after.Sub(l.way.drawn) <= aliveAfter
}

// gap is the time in which it was lost, with all others between two answered
// requests to its end.
func (l *loss) gap() cause {
	return cause{kind: gapKind, from: l.way.End, gap: l.before.UnixNano()}
}

// causes are what a loss on a way can be the fault of.
func (b *blame) causes(w *Way) []cause {
	causes := make([]cause, 0, 16)
	add := func(c cause) {
		if !slices.Contains(causes, c) {
			causes = append(causes, c)
		}
	}
	last := b.self
	step := func(to hashid.NodeID) {
		add(cause{kind: linkKind, from: last, to: to})
		last = to
	}
	for _, id := range w.out {
		add(cause{kind: relayKind, from: id})
		step(id)
	}
	step(w.End)
	for _, id := range w.back {
		add(cause{kind: relayKind, from: id})
		step(id)
	}
	step(b.self)
	add(cause{kind: endKind, from: w.End})
	return causes
}

func (b *blame) tally(now time.Time, c cause) *tally {
	t := b.tallies[c]
	if t == nil {
		b.makeRoom(now)
		t = &tally{cause: c, at: now}
		b.tallies[c] = t
	}
	return t
}

// makeRoom forgets what was not used for long; and if that is not enough links,
// which are the most and of which the least is seen, and if need be anything.
func (b *blame) makeRoom(now time.Time) {
	if len(b.tallies) < maxTallies {
		return
	}
	for _, drop := range []func(cause, *tally) bool{
		func(_ cause, t *tally) bool { return now.Sub(t.at) > 2*halfLife },
		func(c cause, _ *tally) bool { return c.kind == linkKind },
		func(cause, *tally) bool { return true },
	} {
		for c, t := range b.tallies {
			if len(b.tallies) <= maxTallies*3/4 {
				return
			}
			if drop(c, t) {
				delete(b.tallies, c)
			}
		}
	}
}

// recent counts what happened lately.
type recent struct {
	n  float64
	at time.Time
}

func (r *recent) count(now time.Time) { r.n, r.at = r.value(now)+1, now }

func (r *recent) value(now time.Time) float64 { return r.n * fade(now.Sub(r.at)) }

// ring holds the latest of what was added.
type ring[T any] struct {
	size int
	next int
	all  []T
}

func (r *ring[T]) add(x T) {
	if len(r.all) < r.size {
		r.all = append(r.all, x)
		return
	}
	r.all[r.next] = x
	r.next = (r.next + 1) % r.size
}
