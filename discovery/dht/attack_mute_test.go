package dht

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"google.golang.org/protobuf/proto"
)

const bearable = 3 * time.Second // for a look-up, in 95 of 100 cases

// drip has a node answer a byte at a time, for as long as it is listened to.
func (n *node) drip() {
	n.host.SetStreamHandler(kadProtocol, func(s network.Stream) {
		defer func() { _ = s.Reset() }()
		go func() { _, _ = io.Copy(io.Discard, s) }()
		frame, err := proto.Marshal(pb.NewMessage(pb.Message_GET_VALUE, make([]byte, 200), 0))
		if err != nil {
			return
		}
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for _, b := range append([]byte{byte(len(frame) % 128)}, frame...) {
			if _, err := s.Write([]byte{b}); err != nil {
				return
			}
			<-tick.C
		}
	})
}

// Peers that joined in order and then fall silent, or answer a byte at a time,
// hold up neither look-ups nor puts.
func TestLookUpsAmongMutePeers(t *testing.T) {
	t.Parallel()
	size, shares := 24, []int{40}
	if count(0, 1) == 1 {
		size, shares = 50, []int{10, 20, 40}
	}
	for _, share := range shares {
		t.Run(fmt.Sprintf("%d %%", share), func(t *testing.T) { hush(t, size, share) })
	}
}

func hush(t *testing.T, size, share int) {
	t.Helper()
	var w world
	nodes := w.many(t, size)
	// Half of the records are from before, half are put among the silent.
	const records = 4
	var made []*relay
	for range records {
		made = append(made, w.relay(t))
	}
	silent := size * share / 100
	honest := nodes[silent:]
	values := make(map[string][]byte)
	var puts, gets, misses []time.Duration
	put := func(i int, r *relay) {
		value := r.sign(0)
		values[r.dhtKey()] = value
		began := time.Now()
		stored, err := honest[i%len(honest)].Put(t.Context(), r.dhtKey(), value)
		puts = append(puts, time.Since(began))
		if err != nil || stored < bucketSize*(100-share)/200 {
			t.Errorf("stored at %d nodes: %v", stored, err)
		}
	}
	for i, r := range made[:records/2] {
		put(i, r)
	}
	puts = nil
	for i, n := range nodes[:silent] {
		if i%2 == 0 {
			n.mute()
		} else {
			n.drip()
		}
	}
	for i, r := range made[records/2:] {
		put(2*i+1, r)
	}
	nobody := w.relay(t).dhtKey()
	for i, n := range honest[:min(len(honest), count(8, 30))] {
		for _, r := range made {
			began := time.Now()
			got, err := n.Get(t.Context(), r.dhtKey())
			gets = append(gets, time.Since(began))
			if err != nil || !bytes.Equal(got, values[r.dhtKey()]) {
				t.Errorf("node %d did not find a record: %v", i, err)
			}
		}
		if i%4 == 0 {
			began := time.Now()
			if _, err := n.Get(t.Context(), nobody); !errors.Is(err, ErrNotFound) {
				t.Errorf("found what nobody has: %v", err)
			}
			misses = append(misses, time.Since(began))
		}
	}
	t.Logf("%d of %d nodes silent: look-ups p50 %v p95 %v max %v; of what nobody has p50 %v max %v; puts p50 %v max %v", silent, size,
		percentile(gets, 50), percentile(gets, 95), percentile(gets, 100), percentile(misses, 50), percentile(misses, 100),
		percentile(puts, 50), percentile(puts, 100))
	if p95 := percentile(gets, 95); p95 > bearable {
		t.Errorf("look-ups take %v", p95)
	}
	if most := percentile(puts, 100); most > lookupTimeout {
		t.Errorf("puts take %v", most)
	}
	for _, n := range honest {
		if n.bans.Len() != 0 {
			t.Error("somebody was banned for being slow")
		}
	}
}
