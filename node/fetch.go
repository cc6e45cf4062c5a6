package node

import (
	"context"
	"sync"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// When other persons are looked up. Exits see for whom they are asked, and those who
// keep the records see when: neither must learn from it when somebody is written to, or
// which persons one node asks for. So contacts are looked up on and on, each at times
// drawn for it alone, whether anything is said or not. Only of whom no record is known,
// or a wrong one as it seems, a record is fetched because it is wanted; and that a
// moment later, as nothing that was sent told anybody.

const (
	fetchEvery  = time.Hour        // each contact, a third more or less
	fetchSpread = 30 * time.Second // over which those are drawn, at the least, of whom no record is known
	fetchGap    = 2 * time.Second  // on average between two that nobody waits for: 1,800 contacts an hour
	fetchAtOnce = 4

	fetchFirst  = 500 * time.Millisecond // at the most, before somebody of whom nothing is known is looked up
	fetchDoubt  = time.Second            // at the least, and twice that at the most, if what is known is suspect
	fetchWanted = 50 * time.Millisecond  // between two that somebody waits for

	planEvery = time.Minute // who is a contact is looked at
)

// plan says who is to be looked up next, and when. Times are monotonic. It is not safe
// for concurrent use.
type plan struct {
	list map[hashid.ID]*fetch
	free time.Time     // before it nobody is looked up for whom nobody waits ...
	soon time.Time     // ... and before it nobody at all
	more chan struct{} // capacity 1: something is due sooner
}

// fetch is the next look-up of one person.
type fetch struct {
	at     sought
	due    time.Time
	kept   bool // on and on
	wanted bool // somebody waits
	busy   bool // it is under way
}

func newPlan() plan { return plan{list: make(map[hashid.ID]*fetch), more: make(chan struct{}, 1)} }

// want has a person looked up in d, unless somebody waits for that already.
func (p *plan) want(at sought, now time.Time, d time.Duration) {
	f := p.list[at.id]
	if f == nil {
		f = new(fetch)
		p.list[at.id] = f
	}
	if f.at.equal(at) && (f.busy || f.wanted) { // whoever wants it hears of that one
		return
	}
	if due := now.Add(d); !f.at.equal(at) || !f.kept || due.Before(f.due) {
		f.due = due
	}
	f.at, f.wanted = at, true
	nudge(p.more)
}

// keep says whom to look up on and on: nobody else is, from now on, for whom nobody waits. Of
// those who are new to it, who is known already is looked up at any time of the next hour, as if this
// node had not just started; the others are soon, one after the other in an order that is
// drawn.
func (p *plan) keep(contacts []sought, now time.Time, known func(hashid.ID) bool, draw func(time.Duration) time.Duration) {
	for _, f := range p.list {
		f.kept = false
	}
	var added []*fetch
	for _, at := range contacts {
		f := p.list[at.id]
		if f == nil {
			f = &fetch{at: at}
			p.list[at.id] = f
			if known(at.id) {
				f.due = now.Add(draw(fetchEvery))
			} else {
				added = append(added, f)
			}
		}
		f.kept = true
		if !f.wanted && !f.busy {
			f.at = at
		}
	}
	for i, f := range added { // Fisher and Yates: who is a contact for longer is not to come first
		j := int(draw(time.Duration(i)))
		added[i], added[j] = added[j], f
	}
	for i, f := range added { // each somewhere in a slot of its own
		slot := max(fetchSpread/time.Duration(len(added)), fetchGap)
		f.due = now.Add(time.Duration(i)*slot + draw(slot))
	}
	for id, f := range p.list {
		if !f.kept && !f.wanted && !f.busy {
			delete(p.list, id)
		}
	}
}

// next takes out whose turn it is now, or says when somebody's is; wait is 0 then only if
// nobody's ever is.
func (p *plan) next(now time.Time, draw func(time.Duration) time.Duration) (f *fetch, wait time.Duration) {
	var first time.Time
	for _, other := range p.list {
		if other.busy {
			continue
		}
		at := later(other.due, p.soon)
		if !other.wanted {
			at = later(at, p.free)
		}
		// Who is waited for goes first, also of those that are all overdue.
		ahead := f == nil || at.Before(first)
		if f != nil && !at.After(now) && !first.After(now) && other.wanted != f.wanted {
			ahead = other.wanted
		}
		if ahead {
			f, first = other, at
		}
	}
	if f == nil {
		return nil, 0
	}
	if wait := first.Sub(now); wait > 0 {
		return nil, wait
	}
	p.soon = now.Add(fetchWanted)
	if !f.wanted {
		p.free = now.Add(fetchGap/2 + draw(fetchGap))
	}
	f.wanted, f.busy = false, true
	return f, 0
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// done notes that a look-up has ended, and draws when the next is.
func (p *plan) done(f *fetch, now time.Time, draw func(time.Duration) time.Duration) {
	f.busy = false
	switch {
	case p.list[f.at.id] != f: // forgotten meanwhile
	case f.wanted:
	case f.kept:
		f.due = now.Add(fetchEvery*2/3 + draw(fetchEvery*2/3))
	default:
		delete(p.list, f.at.id)
	}
}

// hurry has everybody who is waited for looked up at once, one after the other.
func (p *plan) hurry(now time.Time) {
	for _, f := range p.list {
		if f.wanted {
			f.due = now
		}
	}
	nudge(p.more)
}

// forget has a person not looked up any more.
func (p *plan) forget(id hashid.ID) { delete(p.list, id) }

// want is called with mu held.
func (p *people) want(at sought, d time.Duration) { p.plan.want(at, time.Now(), d) }

// run looks persons up until ctx ends: those that contacts returns, and those whose
// records are wanted. It calls came when somebody was looked up, and says if the record has become another, with mu
// not held. changed is closed when ready may say otherwise.
func (p *people) run(ctx context.Context, contacts func() []sought, changed func() <-chan struct{}, came func(who hashid.ID, news bool)) {
	var (
		wg    sync.WaitGroup
		slots = make(chan struct{}, fetchAtOnce)
		timer = time.NewTimer(0)
		kept  time.Time // when contacts was last asked
	)
	defer wg.Wait()
	defer timer.Stop()
	for {
		more := changed()
		wait := planEvery
		if err := p.ready(); err != nil {
			wait = askAgain(err, wait)
		} else {
			if now := time.Now(); now.Sub(kept) >= planEvery {
				p.keep(contacts())
				kept = now
			}
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			var f *fetch
			if f, wait = p.next(); f != nil {
				wg.Go(func() {
					defer func() { <-slots }()
					came(p.fetch(ctx, f))
				})
				continue
			}
			<-slots
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-more:
		case <-p.plan.more:
		case <-timer.C:
		}
	}
}

func (p *people) keep(contacts []sought) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.plan.keep(contacts, time.Now(), func(id hashid.ID) bool { return p.remembered(id).valid(now) }, p.draw)
}

// next takes out whose turn it is, or says when to look again.
func (p *people) next() (*fetch, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f, wait := p.plan.next(time.Now(), p.draw)
	if f == nil && (wait == 0 || wait > planEvery) {
		wait = planEvery
	}
	return f, wait
}

// fetch looks somebody up, and reports whether the valid record known has become another
// since, in more than its dates.
func (p *people) fetch(ctx context.Context, f *fetch) (id hashid.ID, news bool) {
	p.mu.Lock()
	at := f.at
	who, now := p.remembered(at.id), p.now()
	who.by(at.links, now)
	who.asked = now
	before, valid := who.sight(), who.valid(now)
	p.mu.Unlock()
	s := p.look(ctx, at, before)
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() == nil {
		p.looked(at, who, s)
	}
	p.plan.done(f, time.Now(), p.draw)
	if news = who.valid(p.now()) && (!valid || !same(before.record, who.record)); news {
		who.doubts = 0
	}
	return at.id, news
}

// same reports whether two records differ in nothing but when they are good.
func same(a, b *record.KeyRecord) bool {
	x, y := *a, *b
	x.Sequence, x.Expires = y.Sequence, y.Expires
	return x == y
}
