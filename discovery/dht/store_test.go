package dht

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p/core/peer"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// unsigned returns what has the shape of a record, which is all a store looks at.
func unsigned(sequence uint64, expires time.Time, size int) []byte {
	b := make([]byte, size)
	b[0] = 1
	binary.BigEndian.PutUint64(b[33:], sequence)
	binary.BigEndian.PutUint64(b[41:], uint64(expires.Unix()))
	return b
}

func randomKey() string {
	var id hashid.NodeID
	_, _ = rand.Read(id[:])
	return record.DescriptorKey(id)
}

func TestStoreKeepsTheNearest(t *testing.T) {
	self := peer.ID("self")
	s := newStore(self, time.Now, nil)
	value := unsigned(1, time.Now().Add(time.Hour), 400)
	keys := make(map[string]bool) // whether it was taken
	for range maxRecords + 500 {
		key := randomKey()
		keys[key] = s.keep(key, value) == nil
	}
	records, size := s.held()
	if records != maxRecords || size < maxRecords*400 || size > maxRecords*(400+256) {
		t.Fatalf("holds %d records in %d bytes", records, size)
	}
	// Nothing that it lacks is nearer than anything that it holds.
	farthest := s.far[0].distance
	refused := 0
	for key, taken := range keys {
		has, err := s.Has(t.Context(), storeKey(key))
		if err != nil {
			t.Fatal(err)
		}
		if near := !farthest.less(keyDistance(s, key)); near != has {
			t.Fatalf("holds a record: %v, it is near: %v", has, near)
		}
		if !taken {
			refused++
		}
	}
	if refused == 0 || refused == 500 {
		t.Errorf("refused %d of 500 records: they come in no order", refused)
	}
	// A full store still takes a newer record under a key it holds.
	for key := range keys {
		if has, _ := s.Has(t.Context(), storeKey(key)); has {
			if err := s.keep(key, unsigned(2, time.Now().Add(time.Hour), 400)); err != nil {
				t.Error(err)
			}
			break
		}
	}
	if records, _ := s.held(); records != maxRecords {
		t.Errorf("holds %d records", records)
	}
}

func keyDistance(s *store, key string) place {
	probe := newStore("", time.Now, nil)
	probe.self = s.self
	if err := probe.keep(key, unsigned(0, time.Now().Add(time.Hour), 100)); err != nil {
		panic(err)
	}
	return probe.far[0].distance
}

func TestStoreRefusesTheOlder(t *testing.T) {
	var told []string
	now := time.Now()
	s := newStore("self", func() time.Time { return now }, func(_ string, value []byte) {
		told = append(told, fmt.Sprint(binary.BigEndian.Uint64(value[33:])))
	})
	key := randomKey()
	for _, step := range []struct {
		sequence uint64
		expires  time.Duration
		want     error
	}{
		{5, time.Hour, nil},
		{5, time.Hour, nil}, // the same again: its owner republishes it
		{4, time.Hour, errStoreOlder},
		{6, time.Minute, nil},
	} {
		if err := s.keep(key, unsigned(step.sequence, now.Add(step.expires), 400)); !errors.Is(err, step.want) {
			t.Errorf("sequence %d: got %v, want %v", step.sequence, err, step.want)
		}
	}
	now = now.Add(2 * time.Minute)
	if err := s.keep(key, unsigned(5, now.Add(time.Hour), 400)); err != nil {
		t.Errorf("what has expired is in the way: %v", err)
	}
	if got := fmt.Sprint(told); got != "[5 5 6 5]" {
		t.Errorf("told of %s", got)
	}
}

func TestStoreRefusesWhatIsNoRecord(t *testing.T) {
	s := newStore("self", time.Now, nil)
	expires := time.Now().Add(time.Hour)
	for name, err := range map[string]error{
		"no key of ours": s.keep("/other/key", unsigned(1, expires, 400)),
		"oversize":       s.keep(randomKey(), unsigned(1, expires, record.MaxDescriptor+1)),
		"too short":      s.keep(randomKey(), []byte{1}),
		"not a message":  s.Put(t.Context(), ds.NewKey("A"), []byte{0xff, 0xff}),
		"padded":         s.Put(t.Context(), ds.NewKey("A"), make([]byte, maxEntry+1)),
	} {
		if err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
	if records, size := s.held(); records != 0 || size != 0 {
		t.Errorf("holds %d records in %d bytes", records, size)
	}
}

func TestStoreSweeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore("self", time.Now, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { s.sweep(ctx); close(done) }()
		for _, lifetime := range []time.Duration{time.Minute, time.Hour} {
			if err := s.keep(randomKey(), unsigned(1, time.Now().Add(lifetime), 400)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(sweepEvery + time.Second)
		synctest.Wait()
		if records, _ := s.held(); records != 1 {
			t.Errorf("holds %d records, want 1", records)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if records, size := s.held(); records != 0 || size != 0 {
			t.Errorf("holds %d records in %d bytes", records, size)
		}
		cancel()
		<-done
	})
}

func TestStoreIsADatastore(t *testing.T) {
	now := time.Now()
	s := newStore("self", func() time.Time { return now }, nil)
	key := randomKey()
	if err := s.keep(key, unsigned(1, now.Add(time.Hour), 400)); err != nil {
		t.Fatal(err)
	}
	ctx, k := t.Context(), storeKey(key)
	data, err := s.Get(ctx, k)
	size, sizeErr := s.GetSize(ctx, k)
	if err != nil || sizeErr != nil || size != len(data) {
		t.Errorf("%d bytes, said to be %d: %v, %v", len(data), size, err, sizeErr)
	}
	now = now.Add(time.Hour)
	if _, err := s.Get(ctx, k); !errors.Is(err, ds.ErrNotFound) {
		t.Errorf("at its expiry: %v", err)
	}
	if records, _ := s.held(); records != 0 {
		t.Error("an expired record was kept after it was asked for")
	}
	if err := s.Delete(ctx, k); err != nil {
		t.Error(err)
	}
}
