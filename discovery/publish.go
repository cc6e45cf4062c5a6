package discovery

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"chatnt/discovery/record"
)

const (
	retryFirst = time.Second // after a publish that nobody took ...
	retryLast  = time.Minute // ... doubling up to this

	growthFirst = 500 * time.Millisecond // from when the network grew to the next put ...
	growthLast  = 5 * time.Minute        // ... four times as long with each such put

	lookWait = 10 * time.Second // for the table's newest record of this node

	clockEvery = time.Minute // the clock is looked at: it may have been set, or stood still while the machine slept
)

// Publication is one record of this node's own, kept in the hash table: with Keys
// and Sign one that is the same wherever it is kept, with Copies any other.
type Publication struct {
	What  string   // for the log, such as "key record"
	Keys  []string // the table's keys it is stored under
	Every time.Duration

	// Sign returns the record as it is to be published now, with a new sequence.
	Sign func(now time.Time) ([]byte, error)

	// Copies returns what is to be published now, with a new sequence, and where: keys
	// may be others each time, as those of an unlisted person are, who may also become
	// listed. Nothing means that there is nothing to publish for now. What was returned
	// before is not put again; Renew has it asked at once.
	Copies func(now time.Time) ([]record.Copy, error)

	// Outdated reports whether what the table has is newer than what was signed, as it
	// is when this node's profile was replaced by an older copy. Sign goes beyond it then. It is
	// told what the table has after the first put of a run, and after each that growth has made: those
	// who were asked first may have come without it, as this node has. May be nil.
	Outdated func(found []byte) bool

	// Overruled is told what the table has before the first put of a run, if that is to be learned
	// then, and reports whether what was signed is not to be put: something else is signed. May be nil.
	// While nobody answers nothing is put: what others have could be one's own by then.
	Overruled func(found []byte) bool

	// Ready waits until there is a way to put the record, or ctx ends; nil: there
	// always is. Nothing is signed before.
	Ready func(ctx context.Context) error

	// Wait draws how long each copy waits before it is put, if others of the record are there
	// already, or are not; nil: not at all. Copies that go out apart, from each other and from
	// this node's other records, tell less about whose they are.
	Wait func(there bool) time.Duration

	// Announce tells others of a record that was just put; may be nil. Before
	// the first put succeeds there is nobody to tell.
	Announce func(ctx context.Context, value []byte)
}

// Putter is the hash table as a publisher sees it (discovery/dht), or what stands before it (overlay.Records). Get's
// error is record.ErrNone if those who were asked have nothing.
type Putter interface {
	Put(ctx context.Context, key string, value []byte) (stored int, err error)
	Get(ctx context.Context, keys ...string) ([]byte, error)
}

// Publisher keeps this node's own records in the hash table. The table does not
// republish: a record that was put while the network was small, or whose
// holders left, is put again here.
type Publisher struct {
	table Putter
	log   *slog.Logger
	now   func() time.Time // the wall clock
	items []*item
}

type item struct {
	Publication
	grown chan struct{} // capacity 1
	renew *restart
}

// NewPublisher returns a publisher of the given records.
func NewPublisher(table Putter, now func() time.Time, log *slog.Logger, publications ...Publication) *Publisher {
	p := &Publisher{table: table, log: log, now: now}
	for _, pub := range publications {
		p.items = append(p.items, &item{Publication: pub, grown: make(chan struct{}, 1), renew: newRestart()})
	}
	return p
}

// Run publishes until ctx ends.
func (p *Publisher) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, it := range p.items {
		wg.Go(func() { p.keep(ctx, it) })
	}
	wg.Wait()
	return nil
}

// Grown says that the network has grown: what was put while it was smaller may
// belong at other nodes now.
func (p *Publisher) Grown() {
	for _, it := range p.items {
		nudge(it.grown)
	}
}

// Renew signs and publishes everything anew, at once: a put that is under way is
// left, unless many were lately, and those that failed do not count.
func (p *Publisher) Renew() {
	for _, it := range p.items {
		it.renew.now()
	}
}

// sign returns what is to be put now.
func (it *item) sign(now time.Time) ([]record.Copy, error) {
	if it.Copies != nil {
		return it.Copies(now)
	}
	value, err := it.Sign(now)
	if err != nil {
		return nil, err
	}
	var copies []record.Copy
	for _, key := range it.Keys {
		copies = append(copies, record.Copy{Key: key, Value: value})
	}
	return copies, nil
}

func (p *Publisher) keep(ctx context.Context, it *item) {
	var (
		copies []record.Copy
		signed bool // copies are what is to be put
		there  bool // they were put before, and taken
		good   span
		expiry = time.NewTimer(0) // when to sign anew
		clock  = time.NewTicker(clockEvery)
		again  = newAlarm() // when to put again what is signed
		retry  = retryFirst
		gap    = growthFirst
		known  = it.Outdated == nil  // what the table had when this node came
		heard  = it.Overruled == nil // the same, before it was put over
	)
	defer expiry.Stop()
	defer clock.Stop()
	defer again.off()
	for {
		sign := !signed
		select {
		case <-ctx.Done():
			return
		case <-expiry.C:
			sign = true
		case <-it.renew.asked:
			sign, retry = true, retryFirst
		case <-clock.C:
			if !signed || good.has(p.now()) {
				continue
			}
		case <-again.timer.C:
		case <-it.grown:
			if again.within(gap) {
				gap = min(4*gap, growthLast)
			}
			known = it.Outdated == nil
			continue
		}
		again.off()
		if it.Ready != nil && it.Ready(ctx) != nil {
			return
		}
		now := p.now()
		if sign || !good.has(now) {
			fresh, err := it.sign(now)
			if err != nil {
				signed = false // what was signed before may not be wanted any more
				p.log.Error("signing failed", "what", it.What, "error", err)
				expiry.Reset(retryLast)
				continue
			}
			copies, signed, gap = fresh, true, growthFirst
			period := jitter(it.Every)
			good = spanFrom(now, period)
			expiry.Reset(period)
		}
		putting, stop := it.renew.begin(ctx)
		overruled := false
		if !heard && len(copies) > 0 {
			var err error
			overruled, err = p.look(putting, copies, it.Overruled)
			heard = err == nil || errors.Is(err, record.ErrNone)
		}
		taken := !overruled && (heard || len(copies) == 0) && p.put(putting, it, copies, there)
		stop()
		if overruled {
			signed = false
			again.within(0)
			continue
		}
		if !taken {
			// It is signed anew then, with a higher sequence: the network may have a newer
			// record, if this node's profile is an older copy of itself.
			signed = false
			again.within(retry)
			retry = min(2*retry, retryLast)
			continue
		}
		retry, there = retryFirst, len(copies) > 0
		if len(copies) == 0 {
			continue
		}
		if it.Announce != nil {
			it.Announce(ctx, copies[0].Value)
		}
		if !known {
			outdated, err := p.look(ctx, copies, func(found []byte) bool { return it.Outdated(found) || outdone(copies, found) })
			known = err == nil // if there is nothing yet, what was put has not arrived
			if outdated {
				p.log.Debug("others have a newer record of this node: it is signed anew", "what", it.What)
				signed = false
				again.within(0)
			}
		}
	}
}

// look asks the table for the newest that it has where copies belong. It reports what judge says
// of that; false if it has nothing, or does not answer, as the error says.
func (p *Publisher) look(ctx context.Context, copies []record.Copy, judge func(found []byte) bool) (yes bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookWait)
	defer cancel()
	var keys []string
	for _, c := range copies {
		keys = append(keys, c.Key)
	}
	found, err := p.table.Get(ctx, keys...)
	return err == nil && judge(found), err
}

// outdone reports whether what was found takes the place of copies that were put, though it may have the same
// sequence: a newer copy of this node's profile may have given it to another record. It does
// not if it is one of them.
func outdone(copies []record.Copy, found []byte) bool {
	is := func(c record.Copy) bool { return bytes.Equal(c.Value, found) }
	return !slices.ContainsFunc(copies, is) && slices.ContainsFunc(copies, func(c record.Copy) bool { return record.Newer(found, c.Value) })
}

// span is the time that a signed record is good for, by the clock that others
// read: timers do not run while the machine sleeps, and the clock may be set.
type span struct{ from, to time.Time }

func spanFrom(now time.Time, period time.Duration) span {
	now = now.Round(0) // the reading of the wall clock alone
	return span{from: now.Add(-record.ClockSkew), to: now.Add(period)}
}

func (s span) has(now time.Time) bool {
	now = now.Round(0)
	return !now.Before(s.from) && !now.After(s.to)
}

// put stores all copies, each in its time, and reports whether each was taken by
// someone.
func (p *Publisher) put(ctx context.Context, it *item, copies []record.Copy, there bool) bool {
	var wg sync.WaitGroup
	stored := make([]int, len(copies))
	for i, c := range copies {
		var wait time.Duration
		if it.Wait != nil {
			wait = it.Wait(there)
		}
		wg.Go(func() {
			if pause(ctx, wait) {
				stored[i], _ = p.table.Put(ctx, c.Key, c.Value)
			}
		})
	}
	wg.Wait()
	if slices.Contains(stored, 0) {
		p.log.Debug("nobody stored a record yet", "what", it.What)
		return false
	}
	return true
}

// pause waits, and reports whether ctx has not ended meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// jitter spreads a period by a fifth to both sides, so that nodes started
// together do not stay in step.
func jitter(d time.Duration) time.Duration {
	return d - d/5 + rand.N(2*d/5+1) //nolint:gosec // nobody gains from knowing when
}
