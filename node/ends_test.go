package node

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// searched is a hash table behind exits: it has what it is given, and notes when it is asked.
type searched struct {
	mu    sync.Mutex
	has   map[string][]byte // guarded by mu
	start time.Time
	at    []time.Duration // guarded by mu
}

func (s *searched) get(_ context.Context, keys ...string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = append(s.at, time.Since(s.start))
	if raw := s.has[keys[0]]; raw != nil {
		return raw, nil
	}
	return nil, record.ErrNone
}

func (s *searched) put(key string, raw []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.has[key] = raw
}

func (s *searched) take() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.at
	s.at = nil
	return at
}

// searching are ends that run, over an empty directory and table.
func searching(t *testing.T) (*ends, *discovery.Directory, *searched) {
	t.Helper()
	table := &searched{has: make(map[string][]byte), start: time.Now()}
	dir := discovery.NewDirectory(hashid.NodeID{1}, [32]byte{}, time.Now, slog.New(slog.DiscardHandler))
	e, err := newEndsOf(dir, table.get)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { e.run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return e, dir, table
}

// announcedAs is what the node of a seed says of itself now.
func announcedAs(t *testing.T, network [32]byte, seed byte, flags record.Flags) (hashid.NodeID, []byte) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(append(make([]byte, ed25519.SeedSize-1), seed))
	public := key.Public().(ed25519.PublicKey)
	now := time.Now()
	d := &record.Descriptor{Node: [32]byte(public), FirstEpoch: record.Epoch(now), Flags: flags, Sequence: uint64(now.Unix()), Expires: now.Add(time.Hour)}
	for i := range d.Keys {
		d.Keys[i] = [32]byte{9}
	}
	raw, err := d.Sign(network, key)
	if err != nil {
		t.Fatal(err)
	}
	return hashid.OfNode(public), raw
}

// However often a node is wanted that is not known, it is looked up within a minute and then ever more
// rarely, until it is found.
func TestUnknownEndIsLookedUpNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, dir, table := searching(t)
		id, _ := announcedAs(t, [32]byte{}, 7, 0)
		want := func(d time.Duration) []time.Duration {
			for range d / holdWait {
				e.want(id, false)
				time.Sleep(holdWait)
			}
			return table.take()
		}
		if n := len(want(endWithin)); n != 1 {
			t.Errorf("%d look-ups in the first minute", n)
		}
		if n := len(want(30 * time.Minute)); n < 2 || n > 4 {
			t.Errorf("%d look-ups in the half hour after", n)
		}
		want(10 * time.Hour)
		if n := len(want(10 * time.Hour)); n < 4 || n > 9 {
			t.Errorf("%d look-ups in ten hours", n)
		}
		_, raw := announcedAs(t, [32]byte{}, 7, 0)
		table.put(record.DescriptorKey(id), raw)
		e.retry()
		want(endWithin + time.Second)
		if _, ok := dir.Lookup(id); !ok {
			t.Error("what exits have found is not taken in")
		}
		table.take()
		time.Sleep(24 * time.Hour)
		if n := len(table.take()); n != 0 {
			t.Errorf("%d look-ups of who was found", n)
		}
	})
}

// Look-ups have nothing in common with when they are wanted, and who is heard of meanwhile is not looked up.
func TestEndIsNotLookedUpAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, dir, table := searching(t)
		const nodes = 200
		for i := range nodes {
			e.want(hashid.NodeID{2, byte(i)}, false)
		}
		id, raw := announcedAs(t, [32]byte{}, 7, 0)
		e.draw = func(most time.Duration) time.Duration { return most }
		e.want(id, false)
		if _, err := dir.Learn(raw); err != nil {
			t.Fatal(err)
		}
		time.Sleep(endWithin)
		at := table.take()
		early, mean := 0, time.Duration(0)
		for _, d := range at {
			if d < endWithin/6 {
				early++
			}
			mean += d / nodes
		}
		if len(at) != nodes || early < nodes/20 || early > nodes/3 || mean < endWithin*2/5 || mean > endWithin*3/5 {
			t.Errorf("of %d look-ups %d are in the first ten seconds, all after %v on average", len(at), early, mean)
		}
	})
}

// What is to be sent to a node of which nothing is known has it looked up; one that has left is asked
// for when its person is looked up, and then only.
func TestWhichEndsAreLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := friendsWithRecord(t)
		e, dir, table := searching(t)
		m.ends, m.relays = e, dir
		for range 2 * time.Hour / time.Minute { // it is not found
			m.missing(hashid.NodeID{9})
			time.Sleep(time.Minute)
		}
		if n := len(table.take()); n != 1 {
			t.Errorf("%d look-ups of a node of which nothing is known", n)
		}
		id, raw := announcedAs(t, [32]byte{}, 7, record.FlagWithdrawn)
		if _, err := dir.Learn(raw); err != nil {
			t.Fatal(err)
		}
		m.missing(id)
		time.Sleep(endWithin)
		if n := len(table.take()); n != 0 {
			t.Errorf("%d look-ups of one that has left, for what is sent", n)
		}
		m.people.find = finds(m.network, signedRecordOf(t, m.network, bob(), id, seq()))
		if _, err := m.people.locate(t.Context(), listed(bob()), false); err != nil {
			t.Fatal(err)
		}
		m.brought(bob().hashid(), true)
		time.Sleep(endWithin)
		if n := len(table.take()); n != 1 {
			t.Errorf("%d look-ups of one that has left, whose person was looked up", n)
		}
	})
}

// No more are remembered than so, however many are wanted.
func TestEndsAreBounded(t *testing.T) {
	e, err := newEnds(nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 * endsKept {
		e.want(hashid.NodeID{3, byte(i), byte(i >> 8), byte(i >> 16)}, false)
	}
	if n := e.list.Len(); n != endsKept {
		t.Errorf("%d nodes are remembered", n)
	}
}
