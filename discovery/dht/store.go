package dht

import (
	"bytes"
	"container/heap"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"sync"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	libp2precord "github.com/libp2p/go-libp2p-record"
	recpb "github.com/libp2p/go-libp2p-record/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"chatnt/discovery/record"
)

const (
	maxRecords = 8192                      // kept for others
	maxEntry   = record.MaxKeyRecord + 256 // a record with the table's own wrapping
	sweepEvery = 10 * time.Minute
)

var (
	errStoreRefused = errors.New("this node has no room for the record")
	errStoreOlder   = errors.New("this node holds a newer record")
)

// store keeps, in memory, the records that others put here. Its size is
// bounded: when it is full, the record farthest from this node in the key space
// makes room for a nearer one. A flood of valid records thus cannot push out
// the ones this node is responsible for, unless their keys were ground to be
// nearer still. It implements the datastore interface that the table wants.
type store struct {
	now    func() time.Time
	stored func(key string, value []byte) // may be nil
	self   place

	mu      sync.Mutex
	entries map[ds.Key]*entry // guarded by mu
	far     farthest          // guarded by mu: the same entries, farthest first
	size    int               // guarded by mu, in bytes
}

type entry struct {
	key      ds.Key
	data     []byte // the table's own wrapping and the record in it
	expires  time.Time
	distance place
	index    int // in the heap
}

// value returns the record itself.
func (e *entry) value() []byte {
	rec := new(recpb.Record)
	if err := proto.Unmarshal(e.data, rec); err != nil {
		return nil // cannot be: Put has done so before
	}
	return rec.GetValue()
}

// place is a place in the key space, or the distance of two.
type place [sha256.Size]byte

// distance is the XOR distance of what hashes to the two places.
func distance(a, b place) place {
	for i := range a {
		a[i] ^= b[i]
	}
	return a
}

func (p place) compare(other place) int { return bytes.Compare(p[:], other[:]) }
func (p place) less(other place) bool   { return p.compare(other) < 0 }

func newStore(self peer.ID, now func() time.Time, stored func(string, []byte)) *store {
	return &store{now: now, stored: stored, self: sha256.Sum256([]byte(self)), entries: make(map[ds.Key]*entry)}
}

// keep stores a record of this node's own, as the table would store it.
func (s *store) keep(key string, value []byte) error {
	rec := libp2precord.MakePutRecord(key, value)
	rec.TimeReceived = time.Now().UTC().Format(time.RFC3339Nano)
	data, err := proto.Marshal(rec)
	if err != nil {
		return err
	}
	return s.Put(context.Background(), storeKey(key), data)
}

// drop removes a record.
func (s *store) drop(key string) { _ = s.Delete(context.Background(), storeKey(key)) }

// storeKey is how the table names a record in its datastore.
func storeKey(key string) ds.Key {
	return ds.NewKey(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(key)))
}

// Put stores one entry. The table has validated the record in it.
func (s *store) Put(_ context.Context, key ds.Key, data []byte) error {
	if len(data) > maxEntry {
		return errStoreRefused
	}
	rec := new(recpb.Record)
	if err := proto.Unmarshal(data, rec); err != nil {
		return err
	}
	expires, ok := record.Expiry(string(rec.GetKey()), rec.GetValue())
	if !ok {
		return errStoreRefused
	}
	err := s.put(rec.GetValue(), &entry{
		key: key, data: data, expires: expires,
		distance: distance(s.self, sha256.Sum256(rec.GetKey())),
	})
	if err != nil {
		return err
	}
	if s.stored != nil {
		s.stored(string(rec.GetKey()), rec.GetValue())
	}
	return nil
}

// put stores e, which wraps value, in the place of an older record under its key
// or, when the store is full, of one that is farther from this node. The table
// compares sequences too, but not in one step with storing.
func (s *store) put(value []byte, e *entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.entries[e.key]
	switch {
	case old != nil && s.now().Before(old.expires) && record.Newer(old.value(), value):
		return errStoreOlder
	case old != nil:
		s.remove(old)
	case len(s.entries) >= maxRecords:
		if !e.distance.less(s.far[0].distance) {
			return errStoreRefused
		}
		s.remove(s.far[0])
	}
	s.entries[e.key] = e
	heap.Push(&s.far, e)
	s.size += len(e.data)
	return nil
}

// nearer reports whether this node is nearer to a key than p is.
func (s *store) nearer(key string, p peer.ID) bool {
	target := sha256.Sum256([]byte(key))
	return distance(s.self, target).less(distance(sha256.Sum256([]byte(p)), target))
}

// remove is called with mu held.
func (s *store) remove(e *entry) {
	delete(s.entries, e.key)
	heap.Remove(&s.far, e.index)
	s.size -= len(e.data)
}

// Get returns an entry that has not expired.
func (s *store) Get(_ context.Context, key ds.Key) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[key]
	if e == nil {
		return nil, ds.ErrNotFound
	}
	if !s.now().Before(e.expires) {
		s.remove(e)
		return nil, ds.ErrNotFound
	}
	return e.data, nil
}

// Has reports whether Get would return an entry.
func (s *store) Has(ctx context.Context, key ds.Key) (bool, error) {
	_, err := s.Get(ctx, key)
	return err == nil, nil
}

// GetSize returns the size of an entry in bytes.
func (s *store) GetSize(ctx context.Context, key ds.Key) (int, error) {
	data, err := s.Get(ctx, key)
	if err != nil {
		return -1, err
	}
	return len(data), nil
}

// Delete removes an entry, if it is there.
func (s *store) Delete(_ context.Context, key ds.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[key]; e != nil {
		s.remove(e)
	}
	return nil
}

func (s *store) held() (records, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entries), s.size
}

// sweep drops expired entries until ctx ends: the table itself only does so
// when somebody asks for them.
func (s *store) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.dropExpired()
		}
	}
}

func (s *store) dropExpired() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for _, e := range s.entries {
		if !now.Before(e.expires) {
			s.remove(e)
		}
	}
}

// The rest of the datastore interface: the table, without providers, never
// queries, and memory needs no syncing.

func (s *store) Query(context.Context, query.Query) (query.Results, error) {
	return query.ResultsWithEntries(query.Query{}, nil), nil
}
func (s *store) Sync(context.Context, ds.Key) error      { return nil }
func (s *store) Close() error                            { return nil }
func (s *store) Batch(context.Context) (ds.Batch, error) { return ds.NewBasicBatch(s), nil }

// farthest is a heap of entries with the one farthest from this node on top.
type farthest []*entry

func (f farthest) Len() int           { return len(f) }
func (f farthest) Less(i, j int) bool { return f[j].distance.less(f[i].distance) }

func (f farthest) Swap(i, j int) {
	f[i], f[j] = f[j], f[i]
	f[i].index, f[j].index = i, j
}

func (f *farthest) Push(x any) {
	e := x.(*entry)
	e.index = len(*f)
	*f = append(*f, e)
}

func (f *farthest) Pop() any {
	old := *f
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*f = old[:len(old)-1]
	return e
}
