package dht

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"chatnt/discovery/record"
)

// firstKey is where a descriptor's onion keys begin: the first byte that differs
// between two of equal sequence and expiry.
const firstKey = 54

// A hostile node among the holders serves something else than the newest record,
// and puts it at all others too. Readers get the newest, holders keep it, and
// the hostile node is banned for what no honest one could hold, by those it
// served it to, and for nothing else. Nobody else is.
func TestBadRecordsAmongTheHolders(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		make   func(w *world, r *relay, newest []byte) []byte
		banned bool
	}{
		"forged": {func(_ *world, r *relay, _ []byte) []byte {
			raw := r.sign(200)
			raw[100] ^= 1
			return raw
		}, true},
		"oversize":  {func(_ *world, r *relay, _ []byte) []byte { return append(r.sign(200), make([]byte, 60_000)...) }, true},
		"another's": {func(w *world, r *relay, _ []byte) []byte { return w.relay(r.t).sign(200) }, true},
		"replayed":  {func(_ *world, r *relay, _ []byte) []byte { return r.sign(50) }, false},
		"equal sequence": {func(_ *world, r *relay, newest []byte) []byte {
			expires, _ := record.Expiry(r.dhtKey(), newest)
			for {
				if raw := r.signUntil(uint64(r.made.Unix()+100), expires); bytes.Compare(raw, newest) < 0 {
					return raw
				}
			}
		}, false},
		"far future": {func(w *world, r *relay, _ []byte) []byte {
			now := w.clock.now()
			return r.signUntil(uint64(now.Add(48*time.Hour).Unix()), now.Add(time.Hour))
		}, false},
		"far future expiry": {func(w *world, r *relay, _ []byte) []byte {
			return r.signUntil(uint64(r.made.Unix()+200), w.clock.now().Add(record.DescriptorLifetime+time.Hour))
		}, false},
		"expired": {func(w *world, r *relay, _ []byte) []byte {
			return r.signUntil(uint64(r.made.Unix()+200), w.clock.now().Add(-time.Second))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var w world
			nodes := w.nodes(t, 4)
			r := w.relay(t)
			newest := r.sign(100)
			for newest[firstKey] < 64 { // there must be lesser ones with an equal sequence
				newest = r.sign(100)
			}
			bad := test.make(&w, r, newest)
			if _, err := nodes[0].Put(t.Context(), r.dhtKey(), newest); err != nil {
				t.Fatal(err)
			}
			hostile := newOutsider(t, nodes...)
			serve(hostile.host, bad)
			for _, n := range nodes {
				until(t, "the hostile node is in all tables", func() bool {
					return n.kad.RoutingTable().Find(hostile.host.ID()) != ""
				})
			}
			for i, n := range nodes {
				if len(bad) < maxRequest && hostile.put(n, r.dhtKey(), bad) {
					t.Errorf("node %d took it", i)
				}
				if got, err := n.Get(t.Context(), r.dhtKey()); err != nil || !bytes.Equal(got, newest) {
					t.Errorf("node %d reads something else: %v", i, err)
				}
			}
			honest := newOutsider(t, nodes...)
			for i, n := range nodes {
				if got := honest.get(n, r.dhtKey()); !bytes.Equal(got, newest) {
					t.Errorf("node %d holds something else", i)
				}
				if n.bans.Banned(hostile.host.ID()) != test.banned {
					t.Errorf("node %d has banned the hostile node: %v", i, !test.banned)
				}
				for _, other := range nodes {
					if n.bans.Banned(other.host.ID()) {
						t.Errorf("node %d has banned an honest node", i)
					}
				}
			}
		})
	}
}

// The newest record vanished with its holders, and an older one, which has
// expired since, is played back: neither holders nor readers take it.
func TestExpiredAfterTheNewestVanished(t *testing.T) {
	t.Parallel()
	var w world
	nodes := w.nodes(t, 4)
	r := w.relay(t)
	older := r.signUntil(uint64(r.made.Unix()), w.clock.now().Add(time.Hour))
	newest := r.sign(100)
	for _, value := range [][]byte{older, newest} {
		if _, err := nodes[0].Put(t.Context(), r.dhtKey(), value); err != nil {
			t.Fatal(err)
		}
	}
	w.clock.forward(time.Hour)
	for _, n := range nodes {
		n.store.drop(r.dhtKey())
	}
	hostile := newOutsider(t, nodes...)
	serve(hostile.host, older)
	for i, n := range nodes {
		until(t, "the hostile node is in all tables", func() bool {
			return n.kad.RoutingTable().Find(hostile.host.ID()) != ""
		})
		if hostile.put(n, r.dhtKey(), older) {
			t.Errorf("node %d took it", i)
		}
		if _, err := n.Get(t.Context(), r.dhtKey()); !errors.Is(err, ErrNotFound) {
			t.Errorf("node %d believes it: %v", i, err)
		}
		if records, _ := n.Held(); records != 0 {
			t.Errorf("node %d holds %d records", i, records)
		}
	}
	// The owner's next one is not held up by it.
	next := r.sign(200)
	if stored, err := nodes[1].Put(t.Context(), r.dhtKey(), next); err != nil || stored < len(nodes)-1 {
		t.Errorf("stored at %d nodes: %v", stored, err)
	}
	if got, err := nodes[2].Get(t.Context(), r.dhtKey()); err != nil || !bytes.Equal(got, next) {
		t.Errorf("the owner's next record is not found: %v", err)
	}
}
