package node

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"chatnt/discovery/record"
	"chatnt/node/vault"
)

// How a person can be found. Who is listed is, by the hashid: the key record lies under it for
// everybody to read. Who is not is found only with a link key, which invites carry and contacts are
// told inside the session: the unlisted record lies where nobody else looks, and tells those who
// keep it nothing (record.LinkKey).
//
//	state                    under the hashid         under the link key
//	listed, never otherwise  the record               there is none
//	not listed               its withdrawal, for two  the record
//	                         weeks, then nothing
//	listed again             the record               the record
//
// The link key is made the first time that somebody is not to be listed any more, and stays in use
// from then on: contacts and invites go by it whether the person is listed or not. It is given up
// only when the person says so. What lies under it is withdrawn then, for two weeks, and the
// contacts are told of the new one.
//
// A withdrawal takes the place of what would else be kept until it expires. It lasts as long as
// that could: two weeks from the last record before it, and so names the identity for as long.

// A listing is stored, inside the sealed vault only, as
//
//	offset  size  field
//	0       1     version, 1
//	1       1     flags: 1 listed; 2 a listed record was signed since the last was taken back
//	2       8     when the listed record was taken back, unix seconds; 0: nothing is to be
//	10      1     link keys, 0 to 9, of which the first is in use, each
//	        32    seed of the Ed25519 key
//	        8     when it was given up, unix seconds; 0 for the first
//
// Who is not listed has a link key. A profile without this entry is one of a person who is listed.
const listingVersion = 1

// maxGivenUp is how many link keys that were given up are withdrawn at once: each is two
// records more, and names the identity to whoever has it.
const maxGivenUp = 8

var errListing = errors.New("how this person is listed is stored damaged")

// listing is one state. It is not changed in place.
type listing struct {
	listed bool
	signed bool      // a listed record, since the last was taken back
	hidden time.Time // when the listed record was taken back; zero: nothing is to be
	link   ed25519.PrivateKey
	past   []pastLink // the latest first
}

// pastLink is a link key that was given up.
type pastLink struct {
	key   ed25519.PrivateKey
	since time.Time
}

// linkKey is what invites carry; zero if there is none.
func (l listing) linkKey() record.LinkKey {
	if l.link == nil {
		return record.LinkKey{}
	}
	return record.LinkKey(l.link[ed25519.SeedSize:])
}

// with is the state after somebody is listed, or is not any more.
func (l listing) with(listed bool, now time.Time) (listing, error) {
	if l.listed == listed {
		return l, nil
	}
	l.listed = listed
	if listed {
		l.signed = l.signed || !l.hidden.IsZero() // and it may still be kept somewhere
		l.hidden = time.Time{}                    // the record takes the withdrawal's place
		return l, nil
	}
	if l.signed {
		l.signed, l.hidden = false, now.Truncate(time.Second)
	}
	if l.link == nil {
		return l.relink(now)
	}
	return l, nil
}

// relink is the state with a new link key.
func (l listing) relink(now time.Time) (listing, error) {
	if len(l.past) == maxGivenUp {
		return l, fmt.Errorf("the links were given up %d times in two weeks: no more before %s",
			maxGivenUp, withdrawnUntil(l.past[len(l.past)-1].since).Local().Format("2 January 15:04"))
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return l, err
	}
	if l.link != nil {
		l.past = slices.Insert(slices.Clone(l.past), 0, pastLink{l.link, now.Truncate(time.Second)})
	}
	l.link = key
	return l, nil
}

// relinked is relink where the link key may not stay in use. Of those that were given up the first is left to
// itself if there are too many: its withdrawal stays where it is kept, and is nearest its end.
func (l listing) relinked(now time.Time) (listing, error) {
	l.past = l.past[:min(len(l.past), maxGivenUp-1)]
	return l.relink(now)
}

// settled is the state once what was withdrawn for long enough is forgotten. What was withdrawn
// in the future, by a clock that was wrong then, counts from now.
func (l listing) settled(now time.Time) listing {
	if l.hidden.After(now) {
		l.hidden = now.Truncate(time.Second)
	}
	if now.After(withdrawnUntil(l.hidden)) {
		l.hidden = time.Time{}
	}
	var past []pastLink
	for _, p := range l.past {
		if p.since.After(now) {
			p.since = now.Truncate(time.Second)
		}
		if !now.After(withdrawnUntil(p.since)) {
			past = append(past, p)
		}
	}
	l.past = past
	return l
}

// withdrawnUntil is when the last record from before a withdrawal has expired. (time.Time{} is
// long ago.)
func withdrawnUntil(since time.Time) time.Time { return since.Add(record.KeyRecordLifetime) }

func (l listing) append(dst []byte) []byte {
	var flags byte
	if l.listed {
		flags |= 1
	}
	if l.signed {
		flags |= 2
	}
	dst = append(dst, listingVersion, flags)
	dst = binary.BigEndian.AppendUint64(dst, stamp(l.hidden))
	if l.link == nil {
		return append(dst, 0)
	}
	dst = append(dst, byte(1+len(l.past)))
	for _, p := range append([]pastLink{{key: l.link}}, l.past...) {
		dst = append(dst, p.key.Seed()...)
		dst = binary.BigEndian.AppendUint64(dst, stamp(p.since))
	}
	return dst
}

func parseListing(b []byte) (listing, error) {
	var (
		l                     listing
		s                     = cryptobyte.String(b)
		version, flags, links uint8
		hidden                uint64
	)
	if !s.ReadUint8(&version) || version != listingVersion || !s.ReadUint8(&flags) || flags > 3 ||
		!s.ReadUint64(&hidden) || hidden > maxUnix || !s.ReadUint8(&links) || links > 1+maxGivenUp {
		return l, errListing
	}
	l.listed, l.signed, l.hidden = flags&1 != 0, flags&2 != 0, unstamp(hidden)
	for i := range links {
		var (
			seed  []byte
			since uint64
		)
		if !s.ReadBytes(&seed, ed25519.SeedSize) || !s.ReadUint64(&since) || since > maxUnix || (since == 0) != (i == 0) {
			return l, errListing
		}
		key := ed25519.NewKeyFromSeed(seed)
		if i == 0 {
			l.link = key
		} else {
			l.past = append(l.past, pastLink{key, unstamp(since)})
		}
	}
	if !s.Empty() || !l.listed && l.link == nil || !l.hidden.IsZero() && (l.listed || l.signed) {
		return l, errListing
	}
	return l, nil
}

// stamp is a date in unix seconds, 0 for none; a clock before 1970 counts as its first second.
func stamp(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(max(t.Unix(), 1))
}

func unstamp(seconds uint64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}

// listings owns a profile's listing. It is safe for concurrent use.
type listings struct {
	mu    sync.Mutex
	state listing // guarded by mu
}

// now returns the state.
func (l *listings) now() listing {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// change replaces the state, and stores the new one before it counts. It returns it.
func (l *listings) change(v *vault.Vault, to func(listing) (listing, error)) (listing, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next, err := to(l.state)
	if err != nil {
		return l.state, err
	}
	before, after := l.state.append(nil), next.append(nil)
	defer clear(before)
	defer clear(after)
	if string(before) == string(after) {
		return l.state, nil
	}
	if err := v.Update(func(tx *vault.Tx) error { return tx.Put(bucketProfile, keyListing, after) }); err != nil {
		return l.state, fmt.Errorf("how this person is listed could not be stored: %w", err)
	}
	l.state = next
	return next, nil
}

// loadListing reads the stored state; where there is none, that of somebody who is listed.
func loadListing(tx *vault.Tx) (listing, error) {
	raw, err := tx.Get(bucketProfile, keyListing)
	if errors.Is(err, vault.ErrNotFound) {
		last, err := lastSequence(tx, sequencePerson) // an older version of the program may have signed one
		return listing{listed: true, signed: last > 0}, err
	}
	if err != nil {
		return listing{}, err
	}
	defer clear(raw)
	return parseListing(raw)
}
