package node

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/vault"
)

const (
	recordsKept = 1024 // key records remembered at once

	recordAgain     = 250 * time.Millisecond // between look-ups of one person, doubling ...
	recordAgainLast = time.Minute            // ... while nothing is found, up to this
	recordDoublings = 8                      // that suffice for it
	recordDoubt     = time.Minute            // between look-ups of one that is valid, but suspect, doubling ...
	recordDoubtLast = 10 * time.Minute       // ... while they bring no other, up to this

	// bucketRecords holds, under the hashid, the key record as it was signed, or of an
	// unlisted one a zero byte, the link key and the record as it was found. (The first
	// byte of a record is its version, which is not 0.) It is kept of contacts only: nobody
	// else is written to.
	bucketRecords = "records"
)

// people finds and remembers the key records of other persons. Records are kept
// from one start to the next, so that a known person is written to at once and
// an older record is never taken for a newer one.
//
// Nobody is looked up because something is sent: what is known is used, and look-ups
// have times of their own (fetch.go). They go through exits (overlay.Records), so who
// is asked cannot tell by whom.
type people struct {
	network [32]byte
	vault   *vault.Vault
	find    finder
	now     func() time.Time

	// ready returns why nobody can be looked up at present, or nil; draw a time of up
	// to what it is given, at random.
	ready func() error
	draw  func(time.Duration) time.Duration

	mu    sync.Mutex
	cache *lru.Cache[hashid.ID, *person] // guarded by mu
	plan  plan                           // guarded by mu
}

// finder looks a person up, as discovery.Person does.
type finder func(context.Context, record.Locator) (*record.KeyRecord, []byte, error)

type person struct {
	record *record.KeyRecord
	raw    []byte
	sealed record.LinkKey // that raw opens with; zero: it is a listed record

	links     []record.LinkKey // of the look-ups below; never changed in place
	asked     time.Time        // the last
	misses    int              // in vain since the last that was not
	found     time.Time        // the last that brought a record
	proven    bool             // by one of links the record was found that is known, or a newer one
	doubt     time.Time        // the last for suspicion alone
	doubts    int              // of those, since the last that brought another record
	withdrawn bool             // the last said that the person has taken the record back
	moved     time.Time        // when another came to links, in this run
}

func newPeople(network [32]byte, v *vault.Vault, now func() time.Time, find finder, ready func() error) (*people, error) {
	cache, err := lru.New[hashid.ID, *person](recordsKept)
	if err != nil {
		return nil, err
	}
	return &people{
		network: network, vault: v, find: find, now: now, ready: ready, draw: upTo, cache: cache, plan: newPlan(),
	}, nil
}

// errLooking says that a person's first look-up is under way, or soon will be.
var errLooking = errors.New("the recipient's key record is being looked up")

// current returns a person's valid key record as it is known, and asks nobody. If none is
// known, the person has moved to another link key, or the record is suspect, it is
// looked up soon, ever more rarely while it is not found; whoever waits is told when
// something has come. The error is record.ErrWithdrawn if the person is not to be found
// this way any more, discovery.ErrNoKeyRecord if it was not found, a
// *discovery.ShortageError while nobody can be looked up, or errLooking.
//
// A known record is not given up for its withdrawal: it is good until it expires, and a contact
// learns inside the session where the next one is.
func (p *people) current(at sought, suspect bool) (*record.KeyRecord, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	who, now := p.remembered(at.id), p.now()
	moved := who.by(at.links, now)
	valid := who.valid(now)
	switch {
	case !valid:
		p.want(at, max(who.left(now), p.draw(fetchFirst)))
	case moved:
		p.want(at, max(who.left(now), p.draw(fetchDoubt)))
	case suspect && now.Sub(who.doubt) >= who.doubtful():
		who.doubt = now
		who.doubts++
		p.want(at, max(who.left(now), fetchDoubt+p.draw(fetchDoubt)))
	}
	switch {
	case valid:
		return who.record, nil
	case who.withdrawn:
		return nil, record.ErrWithdrawn
	}
	if err := p.ready(); err != nil {
		return nil, err
	}
	if who.misses == 0 {
		return nil, errLooking
	}
	return nil, discovery.ErrNoKeyRecord
}

// sought is a person and the link keys to look that one up by, one after the other until one brings
// the record; a zero key stands for the hashid.
type sought struct {
	id    hashid.ID
	links []record.LinkKey // never changed in place
}

func (s sought) equal(other sought) bool {
	return s.id == other.id && slices.Equal(s.links, other.links)
}

// sight is what a look-up has brought.
type sight struct {
	record    *record.KeyRecord // nil: nothing
	raw       []byte
	link      record.LinkKey // by which it was found
	withdrawn bool           // by one of the link keys, the person is not to be found any more
}

// replaces reports whether a record takes the place of one that is known. What lies under the hashid and what
// lies under link keys is counted apart, and of the latter the sequence may be behind the clock by blurSequence: by so
// much the one may seem older than the other and is not.
func (s sight) replaces(known sight) bool {
	if s.link.IsZero() == known.link.IsZero() {
		return record.Newer(s.raw, known.raw)
	}
	return s.record.Sequence+uint64(blurSequence/time.Second) >= known.record.Sequence
}

// look looks a person up by one link key after the other. What is older than what is known, but for the last
// of them, counts as nothing: the person is not there any more.
func (p *people) look(ctx context.Context, at sought, known sight) (s sight) {
	for i, link := range at.links {
		rec, raw, err := p.find(ctx, record.Locator{Hashid: at.id, Link: link})
		s.withdrawn = s.withdrawn || errors.Is(err, record.ErrWithdrawn)
		seen := sight{record: rec, raw: raw, link: link}
		if err == nil && (i == len(at.links)-1 || known.record == nil || bytes.Equal(raw, known.raw) || seen.replaces(known)) {
			return seen
		}
	}
	return s
}

// provenBy returns by which link key the known record of a person was found, of those that it is looked up by
// now; false if by none of them yet.
func (p *people) provenBy(id hashid.ID) (record.LinkKey, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	who := p.remembered(id)
	return who.sealed, who.proven
}

// retry has everybody looked up anew who was not to be found, and forgets dates
// that a wrong clock has put into the future.
func (p *people) retry() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	for _, who := range p.cache.Values() {
		who.asked, who.doubt, who.misses, who.doubts = time.Time{}, time.Time{}, 0, 0
		if who.found.After(now) {
			who.found = time.Time{}
		}
	}
	p.plan.hurry(time.Now())
}

// forget lets go of a person whose record is deleted from the vault.
func (p *people) forget(id hashid.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cache.Remove(id)
	p.plan.forget(id)
}

// moved has the next suspicion of a person's record lead to a look-up, however recent the last was:
// who begins a session anew may do so at another node.
func (p *people) moved(id hashid.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	who := p.remembered(id)
	who.doubt, who.doubts = time.Time{}, 0
}

// known returns a person's key record if there is one, without a look-up.
func (p *people) known(id hashid.ID) *record.KeyRecord {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.remembered(id).record
}

// sight is the record that is known, as a look-up would have brought it.
func (w *person) sight() sight { return sight{record: w.record, raw: w.raw, link: w.sealed} }

func (w *person) valid(now time.Time) bool { return w.record != nil && w.record.CheckTime(now) == nil }

// pause is how long to wait after the last look-up.
func (w *person) pause() time.Duration {
	return min(recordAgain<<min(max(w.misses-1, 0), recordDoublings), recordAgainLast)
}

// doubtful is how long to wait after the last look-up for suspicion alone.
func (w *person) doubtful() time.Duration {
	return min(recordDoubt<<min(max(w.doubts-1, 0), recordDoublings), recordDoubtLast)
}

// left is how long it is until the next look-up may be.
func (w *person) left(now time.Time) time.Duration {
	return min(max(w.pause()-now.Sub(w.asked), 0), recordAgainLast)
}

// by has the person looked up by some link keys from now on: at once if there is another among them than
// before, unless one was new a moment ago, too: a contact may tell as many as it likes. It reports whether there is.
func (w *person) by(links []record.LinkKey, now time.Time) (fresh bool) {
	if !slices.ContainsFunc(links, func(link record.LinkKey) bool { return !slices.Contains(w.links, link) }) {
		w.links = links
		return false
	}
	before := *w
	*w = person{record: w.record, raw: w.raw, sealed: w.sealed, links: links}
	if before.asked.IsZero() {
		return true // the first look-up of this run
	}
	w.moved = now
	if now.Sub(before.moved) < recordAgainLast {
		w.asked, w.misses = before.asked, 1+recordDoublings
	}
	return true
}

// remembered returns what is known of a person, at first from the vault. Called with mu held.
func (p *people) remembered(id hashid.ID) *person {
	if who, ok := p.cache.Get(id); ok {
		return who
	}
	who := &person{}
	p.cache.Add(id, who)
	_ = p.vault.View(func(tx *vault.Tx) error {
		stored, err := tx.Get(bucketRecords, id.String())
		if err != nil {
			return err // never met: it is looked up
		}
		at, raw := parseRecord(id, stored)
		if rec, err := at.Parse(p.network, raw); err == nil {
			who.record, who.raw, who.sealed, who.links = rec, raw, at.Link, []record.LinkKey{at.Link}
		}
		return nil
	})
	return who
}

// looked takes in what a look-up has brought, unless a newer record is known. Called with mu held.
func (p *people) looked(at sought, who *person, s sight) {
	if !slices.Equal(who.links, at.links) {
		return // the person has told another meanwhile
	}
	who.withdrawn = s.withdrawn
	if s.record == nil {
		who.misses++
		return
	}
	who.misses, who.found = 0, p.now()
	if who.record != nil && !s.replaces(who.sight()) {
		who.proven = who.proven || who.sealed == s.link && bytes.Equal(s.raw, who.raw)
		return
	}
	who.record, who.raw, who.sealed, who.proven = s.record, s.raw, s.link, true
	if kept, ok := p.cache.Peek(at.id); !ok || kept != who {
		return // forgotten while it was looked up
	}
	// Losing it costs a look-up after the next start, no more.
	_ = p.vault.Update(func(tx *vault.Tx) error {
		// Who is being removed is no contact any more, though perhaps not forgotten yet: nothing may
		// be stored behind what deletes it.
		if _, err := tx.Get(bucketContacts, at.id.String()); err != nil {
			return err
		}
		return tx.Put(bucketRecords, at.id.String(), appendRecord(nil, s.link, s.raw))
	})
}

func appendRecord(dst []byte, link record.LinkKey, raw []byte) []byte {
	if !link.IsZero() {
		dst = append(append(dst, 0), link[:]...)
	}
	return append(dst, raw...)
}

// parseRecord reads what appendRecord wrote; the record itself is yet to be parsed.
func parseRecord(id hashid.ID, stored []byte) (at record.Locator, raw []byte) {
	at.Hashid = id
	if n := 1 + len(at.Link); len(stored) > n && stored[0] == 0 {
		return record.Locator{Hashid: id, Link: record.LinkKey(stored[1:n])}, stored[n:]
	}
	return at, stored
}
