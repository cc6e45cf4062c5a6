//go:build linux

package integration

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	kad "github.com/libp2p/go-libp2p-kad-dht"

	"chatnt/discovery/record"
)

const (
	surveyors = 5  // relays that join and look people up
	perRelay  = 40 // look-ups by each
)

// survey is what look-ups of key records cost.
type survey struct {
	P50, P95 time.Duration // until the record was there, both its keys being asked for at once
	Depth    float64       // hops to the nearest peer found, mean over all keys
	Deepest  int
	Requests float64 // mean for one key
}

// surveyed joins a few relays, made of the parts of whole nodes, to the network
// of people, and has them look up the key records of some at random.
func surveyed(t *testing.T, people []*person) survey {
	t.Helper()
	var (
		s      survey
		joined = people[0].invited()
		relays []*bareRelay
		times  []time.Duration
		keys   int
	)
	for range surveyors {
		r := newRelay(t, joined, nil)
		r.awaitRelays(min(len(people), 20))
		relays = append(relays, r)
	}
	for _, r := range relays {
		for range perRelay {
			who := people[rand.N(len(people))]
			took, ways := r.lookup(t, who)
			times = append(times, took)
			for _, w := range ways {
				if w.nearest == nil {
					continue // the other key's record was there before anybody answered
				}
				keys++
				s.Depth += float64(w.depth())
				s.Deepest = max(s.Deepest, w.depth())
				s.Requests += float64(w.requests)
			}
		}
	}
	s.Depth /= float64(keys)
	s.Requests /= float64(keys)
	slices.Sort(times)
	s.P50, s.P95 = times[len(times)/2], times[len(times)*95/100]
	return s
}

// lookup finds a person's key record and tells how long it took and which way
// the look-up of each of its keys went.
func (r *bareRelay) lookup(t *testing.T, who *person) (time.Duration, []*way) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ctx, events := kad.RegisterForLookupEvents(ctx)
	ways := make(map[string]*way)
	var reading sync.WaitGroup
	reading.Go(func() {
		for e := range events {
			w := ways[e.ID.String()]
			if w == nil {
				w = &way{hops: make(map[string]int)}
				ways[e.ID.String()] = w
			}
			w.follow(e)
		}
	})
	keys := record.KeyRecordKeys(who.hashid())
	began := time.Now()
	_, err := r.table.Get(ctx, keys[:]...)
	took := time.Since(began)
	cancel()
	reading.Wait()
	if err != nil {
		t.Errorf("a key record was not found: %v", err)
	}
	list := make([]*way, 0, len(ways))
	for _, w := range ways {
		list = append(list, w)
	}
	return took, list
}

// way is how one look-up went.
type way struct {
	hops     map[string]int // to each peer heard of: 1 for those in the own table, one more than whoever named it for others
	requests int
	nearest  *kad.PeerKadID // of those that answered
	distance []byte
}

func (w *way) follow(e *kad.LookupEvent) {
	if e.Request != nil {
		w.requests += len(e.Request.Waiting)
		w.hear(e, e.Request)
	}
	if e.Response != nil {
		w.hear(e, e.Response)
		for _, p := range e.Response.Queried {
			if d := xor(p.Kad, e.Key.Kad); w.nearest == nil || slices.Compare(d, w.distance) < 0 {
				w.nearest, w.distance = p, d
			}
		}
	}
}

func (w *way) hear(e *kad.LookupEvent, u *kad.LookupUpdateEvent) {
	from := 0
	if u.Source != nil && u.Source.Peer != e.Node.Peer {
		from = w.hops[string(u.Source.Peer)]
	}
	for _, p := range u.Heard {
		if _, known := w.hops[string(p.Peer)]; !known {
			w.hops[string(p.Peer)] = from + 1
		}
	}
}

// depth is the number of hops to the nearest peer that answered.
func (w *way) depth() int {
	if w.nearest == nil {
		return 0
	}
	return w.hops[string(w.nearest.Peer)]
}

func xor(a, b []byte) []byte {
	d := make([]byte, len(a))
	for i := range d {
		d[i] = a[i] ^ b[i]
	}
	return d
}
