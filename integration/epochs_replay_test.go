package integration

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/overlay/link"
	"chatnt/overlay/onion"
)

// recorder is a relay that keeps all it has ever forwarded.
type recorder struct {
	mu      sync.Mutex // guards the fields below
	link    *link.Link
	packets []recorded
}

type recorded struct {
	to     hashid.NodeID
	packet onion.Packet
}

func (r *recorder) forward(l *link.Link, to hashid.NodeID, p *onion.Packet) error {
	r.mu.Lock()
	r.link = l
	r.packets = append(r.packets, recorded{to, *p})
	r.mu.Unlock()
	return l.Send(to, p)
}

func (r *recorder) done() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return uint64(len(r.packets))
}

// again sends the first n packets once more, as far as the link takes them.
func (r *recorder) again(n int) {
	r.mu.Lock()
	old, l := r.packets[:n], r.link
	r.mu.Unlock()
	for _, one := range old {
		p := l.Get()
		*p = one.packet
		_ = l.Send(one.to, p)
	}
}

// TestOldPackets has a relay send all that it has passed on once more: soon after,
// an hour later, when the keys still serve, and two hours later. Every packet is
// dropped where it comes, and no text comes again.
func TestOldPackets(t *testing.T) {
	t.Parallel()
	clock := newWallClock(0)
	people := newPeople(t, newNetwork(t, false), 6)
	for _, p := range people {
		p.now = clock.now
	}
	introduce(t, people[:2]...)
	alice, bob := people[0], people[1]
	start(t, people, len(people)-1)
	evil := new(recorder)
	newRelay(t, alice.invited(), evil)
	for _, p := range people {
		p.awaitRelays(len(people))
	}

	const least = 50 // packets, of texts and receipts and of what answers them
	var sent []string
	for evil.done() < least {
		text := fmt.Sprint("text ", len(sent))
		sent = append(sent, text)
		alice.awaitState(alice.send(bob, text), "delivered")
		bob.awaitText(alice, text)
	}
	dropped := func() (sum uint64) {
		for _, p := range people {
			sum += p.node.Status().Dropped
		}
		return sum
	}
	tick := time.NewTicker(20 * time.Millisecond) // no event tells of what is dropped
	defer tick.Stop()
	for hours, when := range []string{"soon", "an hour later", "two hours later"} {
		clock.set(time.Duration(hours) * time.Hour)
		before := dropped()
		for deadline, next := time.Now().Add(patience), time.Now(); dropped() < before+least; <-tick.C {
			// A node that finds its clock put forward closes its connections, with what
			// is under way on them.
			if now := time.Now(); now.After(next) {
				evil.again(least)
				next = now.Add(2 * time.Second)
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: of %d packets sent again %d were dropped", when, least, dropped()-before)
			}
		}
	}
	bob.expectTexts(alice, sent)
}
