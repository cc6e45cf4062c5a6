package node

import (
	"context"
	"errors"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/vault"
)

const (
	recordsKept = 1024      // key records remembered at once
	recordFresh = time.Hour // a younger one is used as it is

	recordAgain     = 250 * time.Millisecond // between look-ups of one person, doubling ...
	recordAgainLast = time.Minute            // ... while nothing is found, up to this
	recordRefresh   = 2 * time.Second
	recordDoubt     = time.Minute // between look-ups of one that is valid, but suspect

	bucketRecords = "records" // hashid: key record, as it was signed
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
	get     func(ctx context.Context, keys ...string) ([]byte, error)
	now     func() time.Time

	mu    sync.Mutex
	cache *lru.Cache[hashid.ID, *person] // guarded by mu
}

var errNoRecord = errors.New("no key record of this person is to be found now")

type person struct {
	record *record.KeyRecord
	raw    []byte
	asked  time.Time // the last look-up
	misses int       // look-ups in vain since the last that was not
	found  time.Time // the last that brought a record
	doubt  time.Time // the last for suspicion alone
}

func newPeople(network [32]byte, v *vault.Vault, now func() time.Time, get func(context.Context, ...string) ([]byte, error)) (*people, error) {
	cache, err := lru.New[hashid.ID, *person](recordsKept)
	if err != nil {
		return nil, err
	}
	return &people{network: network, vault: v, get: get, now: now, cache: cache}, nil
}

// record returns a person's valid key record: the one known, unless it is old or
// suspect; otherwise it is looked up, ever more rarely while it is not found.
func (p *people) record(ctx context.Context, id hashid.ID, suspect bool) (*record.KeyRecord, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	who := p.remembered(id)
	now := p.now()
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
		p.mu.Unlock()
		raw, err := p.get(ctx, keys(id)...)
		p.mu.Lock()
		if err != nil || !p.learn(id, who, raw, now) {
			who.misses++
		}
	}
	if !who.valid(now) {
		return nil, errNoRecord
	}
	return who.record, nil
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

func keys(id hashid.ID) []string {
	k := record.KeyRecordKeys(id)
	return k[:]
}

func (w *person) valid(now time.Time) bool { return w.record != nil && w.record.CheckTime(now) == nil }

// pause is how long to wait after the last look-up.
func (w *person) pause() time.Duration {
	return min(recordAgain<<min(max(w.misses-1, 0), 8), recordAgainLast)
}

// remembered returns what is known of a person, at first from the vault. Called with mu held.
func (p *people) remembered(id hashid.ID) *person {
	if who, ok := p.cache.Get(id); ok {
		return who
	}
	who := &person{}
	p.cache.Add(id, who)
	_ = p.vault.View(func(tx *vault.Tx) error {
		raw, err := tx.Get(bucketRecords, id.String())
		if err != nil {
			return err // never met: it is looked up
		}
		if rec, err := record.ParseKeyRecord(p.network, raw); err == nil && rec.Hashid() == id {
			who.record, who.raw = rec, raw
		}
		return nil
	})
	return who
}

// learn takes in a record that the table returned, unless a newer one is known,
// and reports whether it was one of this person. Called with mu held.
func (p *people) learn(id hashid.ID, who *person, raw []byte, now time.Time) bool {
	rec, err := record.ParseKeyRecord(p.network, raw)
	if err != nil || rec.Hashid() != id || rec.CheckTime(now) != nil {
		return false
	}
	who.misses, who.found = 0, now
	if who.raw != nil && !record.Newer(raw, who.raw) {
		return true
	}
	who.record, who.raw = rec, raw
	if kept, ok := p.cache.Peek(id); !ok || kept != who {
		return true // forgotten while it was looked up
	}
	// Losing it costs a look-up after the next start, no more.
	_ = p.vault.Update(func(tx *vault.Tx) error { return tx.Put(bucketRecords, id.String(), raw) })
	return true
}
