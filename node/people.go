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
	recordsKept = 1024      // key records remembered at once
	recordFresh = time.Hour // a younger one is used as it is

	recordAgain     = 250 * time.Millisecond // between look-ups of one person, doubling ...
	recordAgainLast = time.Minute            // ... while nothing is found, up to this
	recordDoublings = 8                      // that suffice for it
	recordRefresh   = 2 * time.Second
	recordDoubt     = time.Minute // between look-ups of one that is valid, but suspect

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
// Look-ups leave from this node's own address for now: whoever is asked can tell
// that this node looks for that hashid.
type people struct {
	network [32]byte
	vault   *vault.Vault
	find    finder
	now     func() time.Time

	mu    sync.Mutex
	cache *lru.Cache[hashid.ID, *person] // guarded by mu
}

// finder looks a person up, as discovery.Finder.Person does.
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
	withdrawn bool             // the last said that the person has taken the record back
	moved     time.Time        // when another came to links, in this run
}

func newPeople(network [32]byte, v *vault.Vault, now func() time.Time, find finder) (*people, error) {
	cache, err := lru.New[hashid.ID, *person](recordsKept)
	if err != nil {
		return nil, err
	}
	return &people{network: network, vault: v, find: find, now: now, cache: cache}, nil
}

// record returns a person's valid key record: the one known, unless it is old or
// suspect; otherwise it is looked up, ever more rarely while it is not found. It is looked up by the
// link keys one after the other, zero for the hashid, until one brings it. The error
// is record.ErrWithdrawn if the person is not to be found this way any more, or
// discovery.ErrNoKeyRecord.
//
// A known record is not given up for its withdrawal: it is good until it expires, and a contact
// learns inside the session where the next one is.
func (p *people) record(ctx context.Context, id hashid.ID, links []record.LinkKey, suspect bool) (*record.KeyRecord, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	who := p.remembered(id)
	now := p.now()
	who.by(links, now)
	if who.valid(now) && now.Sub(who.found) < recordFresh {
		if !suspect || now.Sub(who.doubt) < recordDoubt {
			return who.record, nil
		}
		who.doubt = now
	}
	if now.Sub(who.asked) >= who.pause() {
		who.asked = now
		if who.valid(now) { // it will do if nothing newer comes soon
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, recordRefresh)
			defer cancel()
		}
		known := who.raw
		p.mu.Unlock()
		s := p.look(ctx, id, links, known)
		p.mu.Lock()
		p.looked(id, links, who, s)
	}
	switch {
	case who.valid(now):
		return who.record, nil
	case who.withdrawn:
		return nil, record.ErrWithdrawn
	}
	return nil, discovery.ErrNoKeyRecord
}

// sight is what a look-up has brought.
type sight struct {
	record    *record.KeyRecord // nil: nothing
	raw       []byte
	link      record.LinkKey // by which it was found
	withdrawn bool           // by one of the link keys, the person is not to be found any more
}

// look looks a person up by one link key after the other. What is older than what is known, but for the last
// of them, counts as nothing: the person is not there any more.
func (p *people) look(ctx context.Context, id hashid.ID, links []record.LinkKey, known []byte) (s sight) {
	for i, link := range links {
		rec, raw, err := p.find(ctx, record.Locator{Hashid: id, Link: link})
		s.withdrawn = s.withdrawn || errors.Is(err, record.ErrWithdrawn)
		if err == nil && (i == len(links)-1 || known == nil || !record.Newer(known, raw)) {
			return sight{record: rec, raw: raw, link: link}
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
		who.asked, who.doubt, who.misses = time.Time{}, time.Time{}, 0
		if who.found.After(now) {
			who.found = time.Time{}
		}
	}
}

// forget lets go of a person whose record is deleted from the vault.
func (p *people) forget(id hashid.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cache.Remove(id)
}

// moved has the next suspicion of a person's record lead to a look-up, however recent the last was:
// who begins a session anew may do so at another node.
func (p *people) moved(id hashid.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.remembered(id).doubt = time.Time{}
}

// known returns a person's key record if there is one, without a look-up.
func (p *people) known(id hashid.ID) *record.KeyRecord {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.remembered(id).record
}

func (w *person) valid(now time.Time) bool { return w.record != nil && w.record.CheckTime(now) == nil }

// pause is how long to wait after the last look-up.
func (w *person) pause() time.Duration {
	return min(recordAgain<<min(max(w.misses-1, 0), recordDoublings), recordAgainLast)
}

// by has the person looked up by some link keys from now on: at once if there is another among them than
// before, unless one was new a moment ago, too. A contact may tell as many as it likes.
func (w *person) by(links []record.LinkKey, now time.Time) {
	fresh := func(link record.LinkKey) bool { return !slices.Contains(w.links, link) }
	if !slices.ContainsFunc(links, fresh) {
		w.links = links
		return
	}
	before := *w
	*w = person{record: w.record, raw: w.raw, sealed: w.sealed, links: links}
	if before.asked.IsZero() {
		return // the first look-up of this run
	}
	w.moved = now
	if now.Sub(before.moved) < recordAgainLast {
		w.asked, w.misses = before.asked, 1+recordDoublings
	}
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
func (p *people) looked(id hashid.ID, links []record.LinkKey, who *person, s sight) {
	if !slices.Equal(who.links, links) {
		return // the person has told another meanwhile
	}
	who.withdrawn = s.withdrawn
	if s.record == nil {
		who.misses++
		return
	}
	who.misses, who.found = 0, p.now()
	if who.raw != nil && !record.Newer(s.raw, who.raw) {
		who.proven = who.proven || who.sealed == s.link && bytes.Equal(s.raw, who.raw)
		return
	}
	who.record, who.raw, who.sealed, who.proven = s.record, s.raw, s.link, true
	if kept, ok := p.cache.Peek(id); !ok || kept != who {
		return // forgotten while it was looked up
	}
	// Losing it costs a look-up after the next start, no more.
	_ = p.vault.Update(func(tx *vault.Tx) error {
		// Who is being removed is no contact any more, though perhaps not forgotten yet: nothing may
		// be stored behind what deletes it.
		if _, err := tx.Get(bucketContacts, id.String()); err != nil {
			return err
		}
		return tx.Put(bucketRecords, id.String(), appendRecord(nil, s.link, s.raw))
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
