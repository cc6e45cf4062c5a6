// Package discovery keeps what a node knows of its network: a directory of
// relays, the publishing of its own records, and the look-up of others'.
//
// A relay enters the directory when its signed descriptor has been seen, by a
// random walk through the hash table, by gossip or because the table gave it to
// this node to keep; it may be put on a path once it has also been reached.
// Paths are drawn from the directory alone: nothing is looked up because a
// message is about to be sent, so look-ups say nothing about messages (Mittal
// and Borisov, CCS 2008).
package discovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/multiformats/go-multiaddr"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

const (
	// News of one relay that others send unasked: so many at once, and then one
	// in so long. A relay that starts again and again is heard of, and one that
	// signs a descriptor each second does not keep the network busy.
	newsBurst = 3
	newsEvery = 20 * time.Second

	maxProbes   = 8               // relays dialled at once, while there are not ...
	plenty      = 32              // ... so many in use
	lookShare   = 10              // of the time, one part goes into looking for whom to dial
	probeFirst  = time.Second     // after a dial that failed ...
	probeLast   = 5 * time.Minute // ... doubling up to this
	probeForget = time.Minute     // in use for as long, its failures are forgotten

	longestShare = 4 // one of so many dials, at the most, goes to the relay that has been due for longest
)

// ErrFull says that the directory has no room for another relay.
var ErrFull = errors.New("the directory of relays is full")

// ShortageError says how many more relays a path would need.
type ShortageError struct{ Need, Have int }

func (e *ShortageError) Error() string {
	return fmt.Sprintf("a path needs %d relays and %d can be used now: %d missing", e.Need, e.Have, e.Need-e.Have)
}

// Table is the hash table as the directory sees it (discovery/dht).
type Table interface {
	Walk(ctx context.Context) ([]hashid.NodeID, error)
	Get(ctx context.Context, keys ...string) ([]byte, error)
	Ask(ctx context.Context, id hashid.NodeID) ([]byte, error) // a connected node, for its own descriptor
	Dial(ctx context.Context, desc *record.Descriptor) error
}

// Directory is this node's validated list of relays. Its methods may be called
// from any goroutine.
type Directory struct {
	self    hashid.NodeID
	network [32]byte
	now     func() time.Time
	log     *slog.Logger

	probe  chan struct{} // capacity 1: a relay may be due for a dial
	walk   chan struct{} // capacity 1: the network has grown
	dials  *restart      // of probeOn's dials
	rewalk *restart      // of walkOn's walks

	mu      sync.Mutex
	entries map[hashid.NodeID]*entry // guarded by mu; changed by keep and drop alone
	others  int                      // guarded by mu; entries that are not of relays
	passed  int                      // guarded by mu; dials since one last went to the relay due for longest
	changed chan struct{}            // guarded by mu; closed and replaced when the usable relays change
	proving proving                  // guarded by mu
}

// entry is one known relay. Directory.mu guards its fields.
type entry struct {
	desc     *record.Descriptor
	raw      []byte
	up       bool      // reached since its addresses were learnt
	since    time.Time // when it was last found to be up at its addresses; zero: never
	checked  time.Time // when it was learnt, or the table last asked for a newer one; zero: its news may have been missed
	met      bool      // by a walk, or asked for: not only told of
	probing  bool
	early    bool      // to be dialled before others, and asked for its descriptor
	due      time.Time // of the next dial while it is not up
	missed   bool      // its last dial failed
	failures int       // dials and uses that failed in a row
	rested   time.Time // when the allowance of news is whole again
	held     *notice   // the newest that was too much, until the allowance lets it in; nil: none
	passed   bool      // gossip has brought it, and it was passed on
}

// notice is a descriptor that somebody sent unasked. It is read-only.
type notice struct {
	desc *record.Descriptor
	raw  []byte
}

// NewDirectory returns an empty directory for the node self.
func NewDirectory(self hashid.NodeID, network [32]byte, now func() time.Time, log *slog.Logger) *Directory {
	return &Directory{
		self: self, network: network, now: now, log: log,
		probe:   make(chan struct{}, 1),
		walk:    make(chan struct{}, 1),
		dials:   newRestart(),
		rewalk:  newRestart(),
		entries: make(map[hashid.NodeID]*entry),
		changed: make(chan struct{}),
	}
}

// Run fills the directory from the table and dials what it learns until ctx ends.
func (d *Directory) Run(ctx context.Context, table Table) error {
	var wg sync.WaitGroup
	wg.Go(func() { d.walkOn(ctx, table) })
	wg.Go(func() { d.probeOn(ctx, table) })
	wg.Wait()
	return nil
}

// Learn takes in a descriptor that somebody sent unasked. It reports whether it
// was news, which too many of one node within a minute are not: the newest of those
// is taken in later. An error for which record.IsForged holds is the fault of whoever gave it.
func (d *Directory) Learn(raw []byte) (bool, error) {
	_, news, err := d.learn(raw, false)
	return news, err
}

// Heard does so for one that gossip has brought, and reports whether it is to be passed on: that
// is once, and also if it is no news. Nodes put a descriptor into the table before they
// announce it. Whoever holds it by then may be next to those who neither hold it nor are
// connected with its node, such as one that has just started.
func (d *Directory) Heard(raw []byte) (pass bool, err error) {
	desc, _, err := d.learn(raw, false)
	if err != nil {
		return false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.entries[desc.ID()]
	if e == nil || e.passed || !bytes.Equal(e.raw, raw) {
		return false, nil
	}
	e.passed = true
	return true, nil
}

// learn takes in a descriptor, asked for or not, and returns it if it is valid,
// news or not.
func (d *Directory) learn(raw []byte, asked bool) (desc *record.Descriptor, news bool, err error) {
	desc, err = record.ParseDescriptor(d.network, raw)
	if err != nil {
		return nil, false, err
	}
	if err := desc.CheckTime(d.now()); err != nil {
		return nil, false, err
	}
	id := desc.ID()
	if id == d.self {
		return desc, false, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.entries[id]
	if old != nil && !record.Newer(raw, old.raw) {
		return desc, false, nil
	}
	if old == nil && !d.makeRoom(desc) {
		return desc, false, ErrFull
	}
	one := &notice{desc, bytes.Clone(raw)}
	if old != nil && !asked && !old.leaves(desc) && old.spent(d.now()) > 0 {
		old.checked = time.Time{} // the next walk asks for the newest, of whom it meets
		old.hold(one)
		nudge(d.probe)
		return desc, false, nil
	}
	d.take(one, old, asked)
	return desc, true, nil
}

// take has a descriptor replace that of old, nil if there is none. Called with mu held.
func (d *Directory) take(one *notice, old *entry, asked bool) {
	now := d.now()
	fresh := &entry{desc: one.desc, raw: one.raw, checked: now, due: now, met: asked}
	if old != nil {
		if fresh.inherit(old, now); !old.leaves(one.desc) {
			fresh.charge(now)
		}
	}
	d.keep(one.desc.ID(), fresh)
	d.announce()
	nudge(d.probe)
}

// leaves reports whether a node says that it leaves, which is free of charge: it is once for each
// time that it came.
func (e *entry) leaves(desc *record.Descriptor) bool { return present(e.desc) && !present(desc) }

// spent is how long it is before the next piece of news is allowed; nothing or less: one is
// now. Directory.mu is held.
func (e *entry) spent(now time.Time) time.Duration {
	return e.rested.Sub(now.Add((newsBurst - 1) * newsEvery))
}

// hold keeps news that is too much, if it is newer than what is held. A node that starts again and
// again, which is free to say each time that it leaves, would else count as gone when it is there.
// Directory.mu is held.
func (e *entry) hold(one *notice) {
	if e.held == nil || record.Newer(one.raw, e.held.raw) {
		e.held = one
	}
}

// inherit takes over what is known of a node from its last descriptor. News of
// one that cannot be reached where it says does not have it dialled sooner,
// unless there was none for a while: then it may be back. Directory.mu is held.
func (e *entry) inherit(old *entry, now time.Time) {
	e.probing, e.early, e.rested, e.met = old.probing, old.early, old.rested, e.met || old.met
	if old.held != nil && record.Newer(old.held.raw, e.raw) {
		e.held = old.held
	}
	if !sameAddrs(old.desc, e.desc) {
		return
	}
	e.up, e.since, e.failures, e.missed = old.up, old.since, old.failures, old.missed
	if old.rested.After(now) || old.due.Before(now) {
		e.due = old.due
	}
}

// charge takes one piece of news off the allowance, which is at least nothing.
// Directory.mu is held.
func (e *entry) charge(now time.Time) {
	left := min(max(e.rested.Sub(now), 0)+newsEvery, newsBurst*newsEvery)
	e.rested = now.Add(left)
}

// keep and drop are called with mu held.
func (d *Directory) keep(id hashid.NodeID, e *entry) {
	d.drop(id)
	d.entries[id] = e
	if !e.relays() {
		d.others++
	}
}

func (d *Directory) drop(id hashid.NodeID) {
	e := d.entries[id]
	if e == nil {
		return
	}
	delete(d.entries, id)
	if !e.relays() {
		d.others--
	}
}

// sameAddrs reports whether two descriptors offer the same at the same addresses,
// in whatever order.
func sameAddrs(a, b *record.Descriptor) bool {
	return a.Flags == b.Flags && within(a.Addrs, b.Addrs) && within(b.Addrs, a.Addrs)
}

// within reports whether each of some addresses is one of others, both few.
func within(some, others []multiaddr.Multiaddr) bool {
	return !slices.ContainsFunc(some, func(a multiaddr.Multiaddr) bool {
		return !slices.ContainsFunc(others, a.Equal)
	})
}

// Lookup returns the valid descriptor of a node, if it is known.
func (d *Directory) Lookup(id hashid.NodeID) (*record.Descriptor, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.entries[id]
	if e == nil || e.desc.CheckTime(d.now()) != nil {
		return nil, false
	}
	return e.desc, true
}

// Usable returns the relays that could be put on a path now.
func (d *Directory) Usable() []*record.Descriptor {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.usable()
}

// usable is called with mu held.
func (d *Directory) usable() []*record.Descriptor {
	now := d.now()
	var relays []*record.Descriptor
	for _, e := range d.entries {
		if _, ok := e.desc.KeyAt(now); ok && e.up && e.relays() && e.desc.CheckTime(now) == nil {
			relays = append(relays, e.desc)
		}
	}
	return relays
}

func (e *entry) relays() bool { return isRelay(e.desc) }

// isRelay reports whether a node offers to relay, at an address.
func isRelay(desc *record.Descriptor) bool {
	return desc.Flags&record.FlagRelay != 0 && desc.Flags&record.FlagWithdrawn == 0 && len(desc.Addrs) > 0
}

// Known is the number of nodes with a valid descriptor that have not left.
func (d *Directory) Known() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, e := range d.entries {
		if e.desc.Flags&record.FlagWithdrawn == 0 && e.desc.CheckTime(d.now()) == nil {
			n++
		}
	}
	return n
}

// Changed is closed when the usable relays may have changed.
func (d *Directory) Changed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changed
}

// announce is called with mu held.
func (d *Directory) announce() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// Suspect says that a relay did not answer: it is dialled again before it is
// used again, at once the first time, then ever later if it keeps failing those
// who use it although it can be dialled.
func (d *Directory) Suspect(id hashid.NodeID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.entries[id]
	if e == nil || !e.up {
		return
	}
	now := d.now()
	if now.Sub(e.since) >= probeForget {
		e.failures = 0
	}
	e.up = false
	e.due = now.Add(backoff(e.failures))
	e.failures++
	e.checked = time.Time{} // it may have started anew, with other keys
	d.announce()
	nudge(d.probe)
}

// backoff is how long to wait after n failures in a row.
func backoff(n int) time.Duration {
	if n == 0 {
		return 0
	}
	return min(probeFirst<<min(n-1, 9), probeLast)
}

// Grown says that the network has grown, so that a walk may find new relays.
func (d *Directory) Grown() { nudge(d.walk) }

// Redial says that nothing holds that was known of who can be reached, because
// this machine has slept, or moved to another address, or its clock was wrong:
// every relay is dialled, at once, before it is used again, and the network is
// walked for what was missed: news of relays, and those that have come. Those named are
// dialled among the first, and that they are does not tell that they were named.
func (d *Directory) Redial(first ...hashid.NodeID) {
	d.mu.Lock()
	d.hasten(first)
	d.proving = proving{}
	for _, e := range d.entries {
		e.up, e.failures = false, 0
		e.due, e.rested, e.checked = time.Time{}, time.Time{}, time.Time{}
	}
	d.announce()
	d.mu.Unlock()
	d.dials.now()
	d.rewalk.now()
}

// Snapshot returns the signed descriptors of up to n relays in use, for the
// next start: those named come first, in use or not.
func (d *Directory) Snapshot(n int, first ...hashid.NodeID) [][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	var raws [][]byte
	for _, id := range first {
		if e := d.entries[id]; e != nil && e.relays() && len(raws) < n {
			raws = append(raws, e.raw)
		}
	}
	for id, e := range d.entries {
		if e.up && e.relays() && len(raws) < n && !slices.Contains(first, id) {
			raws = append(raws, e.raw)
		}
	}
	return raws
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
