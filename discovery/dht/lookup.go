package dht

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	kb "github.com/libp2p/go-libp2p-kbucket"
	libp2precord "github.com/libp2p/go-libp2p-record"
	recpb "github.com/libp2p/go-libp2p-record/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// Get looks one record up under all its keys at once and returns the newest of
// the first valid answers, or ErrNotFound. It never waits longer than eight
// seconds. The table may go on for a moment to hand what was found to nearer
// nodes that lack it.
//
// This node's own descriptor, of which it has a copy itself, is what all those who are near
// have: the copy comes first, and says nothing about them.
func (d *DHT) Get(ctx context.Context, keys ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	values := make(chan []byte)
	own := slices.ContainsFunc(keys, func(key string) bool { return ofOwn(d.cfg.Host.ID(), key) })
	var (
		wg       sync.WaitGroup
		answered atomic.Bool
	)
	for _, key := range keys {
		wg.Go(func() {
			from, _ := d.ask(ctx, func(ctx context.Context) error { return d.search(ctx, key, values) })
			if len(from) > 0 {
				answered.Store(true)
			}
		})
	}
	go func() { wg.Wait(); close(values) }()
	defer func() {
		cancel()
		for range values { // ends when the last look-up has: nothing is left behind
		}
	}()

	var best []byte
	var enough <-chan time.Time
	for {
		select {
		case value, ok := <-values:
			if !ok && own && !answered.Load() {
				return nil, ErrNotFound
			}
			if !ok {
				return found(best)
			}
			if best == nil || record.Newer(value, best) { // both valid: the table has judged them
				best = value
			}
			if enough == nil && !own {
				enough = time.After(grace)
			}
		case <-enough:
			return found(best)
		case <-ctx.Done():
			return found(best)
		}
	}
}

// search looks a record up under one key and hands on valid values as they come.
func (d *DHT) search(ctx context.Context, key string, values chan<- []byte) error {
	found, err := d.kad.SearchValue(ctx, key)
	if err != nil {
		return err
	}
	for value := range found {
		select {
		case values <- value:
		case <-ctx.Done():
		}
	}
	return nil
}

func found(best []byte) ([]byte, error) {
	if best == nil {
		return nil, ErrNotFound
	}
	return best, nil
}

// Put stores value under key at the nodes nearest to it and returns how many
// other nodes confirmed that they hold it: ErrNotStored when none did. It never
// waits longer than eight seconds.
//
// This node keeps a copy only if it is among the nearest itself. It must not
// otherwise: who asks around could tell from a copy out of place whose node has
// published a person's record. Its own descriptor it always has: that says whose
// it is anyway.
func (d *DHT) Put(ctx context.Context, key string, value []byte) (int, error) {
	return d.put(ctx, key, value, d.crowds.note)
}

// PutForOthers is Put for a record that is not this node's. Where it is kept is not
// watched for crowds: anybody could name the places, and so raise the alarm here, or
// keep it from being raised by naming many.
func (d *DHT) PutForOthers(ctx context.Context, key string, value []byte) (int, error) {
	return d.put(ctx, key, value, func(string, []float64) {})
}

func (d *DHT) put(ctx context.Context, key string, value []byte, note func(key string, far []float64)) (int, error) {
	if err := d.cfg.Validator.Validate(key, value); err != nil {
		return 0, err
	}
	// Who does not answer in time may yet be there, and nearer than this node.
	known := d.kad.RoutingTable().NearestPeers(kb.ConvertKey(key), bucketSize)
	// Whoever was found when time is up will do.
	lookup, cancel := context.WithTimeout(ctx, lookupTimeout-requestTimeout)
	defer cancel()
	nearest, _ := d.nearest(lookup, key)
	note(key, distances(key, nearest))

	rec := libp2precord.MakePutRecord(key, value)
	if ofOwn(d.cfg.Host.ID(), key) || d.inPlace(key, nearest, known) {
		if err := d.store.keep(key, value); err != nil {
			d.cfg.Log.Debug("no copy of a record was kept here", "error", err)
		}
	} else {
		d.store.drop(key)
	}
	stored := d.putAt(ctx, nearest, rec)
	if stored == 0 {
		return 0, ErrNotStored
	}
	return stored, nil
}

// inPlace reports whether this node is among the bucketSize nearest to a key, of
// itself and some peers, each named once or several times.
func (d *DHT) inPlace(key string, peers ...[]peer.ID) bool {
	nearer := make(map[peer.ID]struct{})
	for _, p := range slices.Concat(peers...) {
		if !d.store.nearer(key, p) {
			nearer[p] = struct{}{}
		}
	}
	return len(nearer) < bucketSize
}

// putAt asks each peer to store rec and counts those that echoed it back.
func (d *DHT) putAt(ctx context.Context, peers []peer.ID, rec *recpb.Record) int {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		stored int
	)
	for _, p := range peers {
		wg.Go(func() {
			if d.messenger.PutValue(ctx, p, rec) == nil {
				mu.Lock()
				stored++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return stored
}

// Walk looks up a random key and returns the nodes met near it.
func (d *DHT) Walk(ctx context.Context) ([]hashid.NodeID, error) {
	peers, err := d.walk(ctx)
	if len(peers) == 0 {
		return nil, err
	}
	var nodes []hashid.NodeID
	for _, p := range peers {
		if id, ok := NodeID(p); ok {
			nodes = append(nodes, id)
		}
	}
	return nodes, nil
}

func (d *DHT) walk(ctx context.Context) ([]peer.ID, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	key := "/walk/" + string(random[:])
	peers, err := d.nearest(ctx, key)
	d.crowds.sample(distances(key, peers))
	return peers, err
}

// nearest looks a key up and returns the peers nearest to it, the nearest
// first, of those that answered: at most bucketSize. The library's own result
// has those in it that were merely named, and anybody can name peers that do not
// exist, as near to a key as they please.
func (d *DHT) nearest(ctx context.Context, key string) ([]peer.ID, error) {
	peers, err := d.ask(ctx, func(ctx context.Context) error {
		_, err := d.kad.GetClosestPeers(ctx, key)
		return err
	})
	target := sha256.Sum256([]byte(key))
	slices.SortFunc(peers, func(p, q peer.ID) int {
		dp, dq := distance(target, sha256.Sum256([]byte(p))), distance(target, sha256.Sum256([]byte(q)))
		return dp.compare(dq)
	})
	return peers[:min(len(peers), bucketSize)], err
}

// ask makes a look-up and returns the peers that answered in it. A look-up
// begins with the bucketSize peers of the table that are nearest to its key, and
// ends when none of them answers: they may be those of an attacker, or have gone
// together. The table has dropped them then, and others are asked.
func (d *DHT) ask(ctx context.Context, lookup func(context.Context) error) ([]peer.ID, error) {
	for try := 1; ; try++ {
		a := &answers{from: make(map[peer.ID]struct{})}
		err := lookup(context.WithValue(ctx, answersKey{}, a))
		if peers := a.peers(); len(peers) > 0 || try == maxTries || ctx.Err() != nil || d.Size() == 0 {
			return peers, err
		}
	}
}

// answers collects who answered during a look-up. It travels in the look-up's
// context.
type answers struct {
	mu   sync.Mutex
	from map[peer.ID]struct{} // guarded by mu
}

type answersKey struct{}

// answeredIn notes that p answered in the look-up that ctx belongs to, if any.
func answeredIn(ctx context.Context, p peer.ID) {
	if a, ok := ctx.Value(answersKey{}).(*answers); ok {
		a.mu.Lock()
		a.from[p] = struct{}{}
		a.mu.Unlock()
	}
}

func (a *answers) peers() []peer.ID {
	a.mu.Lock()
	defer a.mu.Unlock()
	peers := make([]peer.ID, 0, len(a.from))
	for p := range a.from {
		peers = append(peers, p)
	}
	return peers
}
