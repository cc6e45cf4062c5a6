package dht

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	libp2precord "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-msgio"
	"google.golang.org/protobuf/proto"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// stranger signs a valid descriptor of a node that nobody has met.
func (w *world) stranger(t *testing.T, keys [record.Epochs][32]byte) (string, []byte) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Error(err)
		return "", nil
	}
	now := w.clock.now()
	d := &record.Descriptor{
		Node: [32]byte(pub), Keys: keys, FirstEpoch: record.Epoch(now), Sequence: uint64(now.Unix()), Expires: now.Add(record.DescriptorLifetime),
	}
	raw, err := d.Sign(w.network, key)
	if err != nil {
		t.Error(err)
	}
	return record.DescriptorKey(hashid.OfNode(pub)), raw
}

// pour puts a record as fast as a node takes it; false if it is refused.
func (o *outsider) pour(ctx context.Context, n *node, key string, value []byte) bool {
	s, err := o.host.NewStream(ctx, n.host.ID(), kadProtocol)
	if err != nil {
		return false
	}
	defer func() { _ = s.Reset() }()
	req := pb.NewMessage(pb.Message_PUT_VALUE, []byte(key), 0)
	req.Record = libp2precord.MakePutRecord(key, value)
	frame, err := proto.Marshal(req)
	if err != nil || msgio.NewVarintWriter(s).WriteMsg(frame) != nil {
		return false
	}
	_, err = msgio.NewVarintReaderSize(s, 1<<20).ReadMsg()
	return err == nil
}

// inUse is what is in use after a collection.
func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Twenty strangers pour valid records into one node. It keeps a bounded number,
// among them those it is responsible for, and honest nodes are answered all the
// while.
func TestFloodOfValidRecords(t *testing.T) {
	var w world
	nodes := w.nodes(t, 5)
	victim := nodes[0]
	const flooders, streams = 20, 8
	each := count(250, 5000)
	var keys [record.Epochs][32]byte
	for i := range keys {
		keys[i] = x25519(t)
	}

	// The records that this node is responsible for: their keys are near to it.
	near := make(map[string][]byte)
	for len(near) < 20 {
		key, value := w.stranger(t, keys)
		if distance(victim.store.self, placeOf(key)).fraction() < 0.02 {
			near[key] = value
		}
	}
	honest := newOutsider(t, victim)
	for key, value := range near {
		if !honest.put(victim, key, value) {
			t.Fatal("a put was refused")
		}
	}

	before := inUse()
	began := time.Now()
	var taken atomic.Int64
	var flood sync.WaitGroup
	over := make(chan struct{})
	for range flooders {
		o := newOutsider(t, victim)
		var left atomic.Int64
		left.Store(int64(each))
		for range streams {
			flood.Go(func() {
				for left.Add(-1) >= 0 {
					key, value := w.stranger(t, keys)
					for !o.pour(t.Context(), victim, key, value) {
						// Full, refused as too far away, or it asks too often: the next one.
						if records, _ := victim.Held(); records >= maxRecords {
							break
						}
					}
					taken.Add(1)
				}
			})
		}
	}
	go func() { flood.Wait(); close(over) }()

	var took []time.Duration
	for flooding := true; flooding; {
		for key, value := range near {
			asked := time.Now()
			if got := honest.get(victim, key); !bytes.Equal(got, value) {
				t.Error("an honest node was not answered in the flood")
			}
			took = append(took, time.Since(asked))
			select {
			case <-time.After(50 * time.Millisecond): // as an honest node asks
			case <-over:
				flooding = false
			}
		}
	}
	lasted := time.Since(began)
	records, size := victim.Held()
	grown := int64(inUse()) - int64(before)
	t.Logf("%d records poured in within %v: %d kept in %d bytes, %.1f MB more in use; %d honest requests answered, p50 %v p95 %v",
		taken.Load(), lasted.Round(time.Millisecond), records, size, float64(grown)/(1<<20), len(took), percentile(took, 50), percentile(took, 95))
	if records > maxRecords || size > maxRecords*maxEntry {
		t.Errorf("keeps %d records in %d bytes", records, size)
	}
	if grown > 64<<20 {
		t.Errorf("%d MB more are in use", grown>>20)
	}
	if p95 := percentile(took, 95); p95 > requestTimeout {
		t.Errorf("an honest request takes %v", p95)
	}
	for key, value := range near {
		if got := honest.get(victim, key); !bytes.Equal(got, value) {
			t.Error("a record that this node is responsible for is gone")
		}
	}
	if victim.bans.Len() != 0 {
		t.Error("somebody was banned over valid records")
	}
	r := w.relay(t)
	if _, err := nodes[1].Put(t.Context(), r.dhtKey(), r.sign(0)); err != nil {
		t.Error(err)
	}
	if _, err := victim.Get(t.Context(), r.dhtKey()); err != nil {
		t.Error(err)
	}
}
