package discovery

import (
	"context"
	"errors"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

const (
	maxSearches = 16               // descriptors looked up at once
	missesKept  = 4096             // node ids that were not found lately
	missesAfter = 10 * time.Second // a missing node may be looked up again
)

// ErrNoDescriptor says that a node's descriptor is not to be had now.
var ErrNoDescriptor = errors.New("no descriptor of this node is to be found now")

// Finder finds the descriptor of one named node: the next hop of a packet to
// forward, which need not be in this node's directory. Relays for one's own paths
// come from the Directory alone, and the end is Known or left alone: whom a look-up
// asks would see where something is sent.
type Finder struct {
	dir    *Directory
	table  Table
	slots  chan struct{}
	misses *lru.Cache[hashid.NodeID, time.Time]

	mu       sync.Mutex
	searches map[hashid.NodeID]*search // guarded by mu
}

// Retry forgets whom it did not find: what keeps nodes from being found may be over.
func (f *Finder) Retry() { f.misses.Purge() }

// search is a look-up under way.
type search struct {
	done chan struct{}      // closed when it has ended
	desc *record.Descriptor // what it found; to be read once done is closed
}

// NewFinder returns a finder over a directory and the hash table that fills it.
func NewFinder(dir *Directory, table Table) (*Finder, error) {
	misses, err := lru.New[hashid.NodeID, time.Time](missesKept)
	if err != nil {
		return nil, err
	}
	return &Finder{
		dir: dir, table: table, misses: misses,
		slots:    make(chan struct{}, maxSearches),
		searches: make(map[hashid.NodeID]*search),
	}, nil
}

// Known returns a node's descriptor if the directory has it, without a look-up.
func (f *Finder) Known(id hashid.NodeID) (*record.Descriptor, bool) {
	desc, ok := f.dir.Lookup(id)
	return desc, ok && present(desc)
}

// Find returns a node's descriptor, from the directory or else the hash table:
// ErrNoDescriptor if there is none or the node has left. Callers that want the
// same node share one look-up, a node that was not found is not looked up again
// for ten seconds, and few look-ups run at once: packets for made-up nodes cost
// little.
func (f *Finder) Find(ctx context.Context, id hashid.NodeID) (*record.Descriptor, error) {
	for {
		if desc, ok := f.Known(id); ok {
			return desc, nil
		}
		s, mine := f.join(id)
		if s == nil {
			return nil, ErrNoDescriptor
		}
		if mine {
			f.run(ctx, id, s)
		}
		select {
		case <-s.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		switch {
		case s.desc != nil:
			return s.desc, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case mine:
			return nil, ErrNoDescriptor
		}
		// Whoever searched may have been called off: see for ourselves.
	}
}

// present reports whether a node has not announced that it left.
func present(desc *record.Descriptor) bool { return desc.Flags&record.FlagWithdrawn == 0 }

// join returns the search for id, and whether the caller is to carry it out;
// nil if id was searched for in vain a moment ago.
func (f *Finder) join(id hashid.NodeID) (s *search, mine bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.searches[id]; s != nil {
		return s, false
	}
	if missed, ok := f.misses.Get(id); ok && f.dir.now().Sub(missed) < missesAfter {
		return nil, false
	}
	s = &search{done: make(chan struct{})}
	f.searches[id] = s
	return s, true
}

// run carries a search out.
func (f *Finder) run(ctx context.Context, id hashid.NodeID, s *search) {
	if desc := f.fetch(ctx, id); desc != nil && present(desc) {
		s.desc = desc
	} else if ctx.Err() == nil {
		f.misses.Add(id, f.dir.now())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.searches, id)
	close(s.done)
}

func (f *Finder) fetch(ctx context.Context, id hashid.NodeID) *record.Descriptor {
	select {
	case f.slots <- struct{}{}:
	case <-ctx.Done():
		return nil
	}
	defer func() { <-f.slots }()
	desc, _ := f.dir.fetch(ctx, f.table, id)
	return desc
}
