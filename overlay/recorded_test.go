package overlay

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/overlay/onion"
	"chatnt/overlay/relay"
)

// Somebody who has recorded every packet on every link has all of them sent again:
// in the hour they are of, in the next, when their keys still serve, and when these
// are gone. Nodes that have started anew in between do not know them either.
func TestRecordedPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := make(map[string]int) // by body of the request
		var mu sync.Mutex             // guards calls and records
		n := start(t, 8, 3, map[string]Service{"note": func(body []byte) []byte {
			mu.Lock()
			defer mu.Unlock()
			calls[string(body)]++
			return body
		}})
		defer n.stop()
		type recorded struct {
			from, to hashid.NodeID
			packet   onion.Packet
		}
		var records []recorded
		n.tap(func(from, to hashid.NodeID, p *onion.Packet) bool {
			mu.Lock()
			defer mu.Unlock()
			records = append(records, recorded{from, to, *p})
			return true
		})
		const requests = 40
		for i := range requests {
			text := fmt.Sprint("request ", i)
			if answer, err := n.request(i%8, (i+1+i/8)%8, "note", text, time.Second); err != nil || answer != text {
				t.Fatalf("%q, %v", answer, err)
			}
		}
		synctest.Wait()
		n.pass.Store(nil)
		if len(records) != requests*2*onion.Layers {
			t.Fatalf("%d packets for %d requests", len(records), requests)
		}

		// again sends what was recorded and returns what nodes did with it.
		again := func() (did relay.Stats) {
			before := make([]relay.Stats, len(n.nodes))
			for i, node := range n.nodes {
				before[i] = node.Stats()
				node.reports()
			}
			for _, r := range records {
				l := n.nodes[n.index(r.from)].cfg.Link
				p := l.Get()
				*p = r.packet
				if err := l.Send(r.to, p); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			for i, node := range n.nodes {
				s := node.Stats()
				did.Forwarded += s.Forwarded - before[i].Forwarded
				did.Delivered += s.Delivered - before[i].Delivered
				did.Replies += s.Replies - before[i].Replies
				did.Replayed += s.Replayed - before[i].Replayed
				did.Unreadable += s.Unreadable - before[i].Unreadable
				if said := node.reports(); len(said) > 0 {
					t.Errorf("an asker reports %v", outcomes(said))
				}
			}
			return did
		}
		all, hour := uint64(len(records)), time.Now().Truncate(time.Hour)
		for _, minute := range []int{0, 59, 60, 119} {
			time.Sleep(time.Until(hour.Add(time.Duration(minute) * time.Minute)))
			if did := again(); did != (relay.Stats{Replayed: all}) {
				t.Errorf("of %d packets sent again in minute %d became %+v", all, minute, did)
			}
		}
		const anew = 5 // starts anew
		toAnew := uint64(0)
		for _, r := range records {
			if n.index(r.to) == anew {
				toAnew++
			}
		}
		n.restart(anew)
		synctest.Wait()
		if did := again(); toAnew == 0 || did != (relay.Stats{Replayed: all - toAnew, Unreadable: toAnew}) {
			t.Errorf("of %d packets sent again, %d of them to a node that has started anew, became %+v", all, toAnew, did)
		}
		time.Sleep(time.Until(hour.Add(2 * time.Hour)))
		if did := again(); did != (relay.Stats{Unreadable: all}) {
			t.Errorf("of %d packets sent again in minute 120 became %+v", all, did)
		}
		for text, n := range calls {
			if n != 1 {
				t.Errorf("the service was called %d times for %s", n, text)
			}
		}
		if len(calls) != requests {
			t.Errorf("the service was called for %d requests of %d", len(calls), requests)
		}
		n.introduce()
		if answer, err := n.request(0, anew, "note", "one more", time.Second); err != nil || answer != "one more" {
			t.Errorf("after all that: %q, %v", answer, err)
		}
	})
}
