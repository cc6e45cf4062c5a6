package integration

import (
	"fmt"
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/overlay/onion"
)

// TestRelaysStartAnew has every relay that two people may write through start anew,
// one after the other, while texts are under way in both directions: in the middle
// of the hour, with other onion keys and at another port. What was on its way
// through it is lost with its keys; each text comes, once and in order.
func TestRelaysStartAnew(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, false)
	people := newPeople(t, net, 2)
	introduce(t, people...)
	alice, bob := people[0], people[1]
	var relays []*onDisk
	for i := range 5 {
		relays = append(relays, newOnDisk(t, fmt.Sprintf("relay %d", i), net))
		people = append(people, relays[i].person)
	}
	start(t, people, len(people)-1)
	guide := newRelay(t, alice.invited(), nil)
	guide.awaitRelays(len(people))

	var sent, back []string
	var lastSent, lastBack string
	burst := func() {
		for range count(10, 50) {
			sent, back = append(sent, fmt.Sprintf("there %d", len(sent))), append(back, fmt.Sprintf("back %d", len(back)))
			lastSent, lastBack = alice.send(bob, sent[len(sent)-1]), bob.send(alice, back[len(back)-1])
		}
	}
	for range count(1, 5) {
		for _, r := range relays {
			old := guide.keyOf(r.profile.Node())
			burst()
			r.stop() // and with it what it has taken in
			burst()
			r.restart(alice)
			burst()
			for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C { // no event tells of other keys
				if guide.keyOf(r.profile.Node()) != old {
					tick.Stop()
					break
				}
				if t.Context().Err() != nil {
					return
				}
			}
		}
	}
	alice.awaitState(lastSent, "delivered")
	bob.awaitState(lastBack, "delivered")
	bob.expectTexts(alice, sent)
	alice.expectTexts(bob, back)
	forwarded := 0
	for _, r := range relays {
		if r.node.Status().Forwarded > 0 {
			forwarded++
		}
	}
	if forwarded == 0 {
		t.Error("no relay has passed anything on since it started anew: this shows nothing")
	}
	t.Logf("%d texts each way; %d relays of %d have passed packets on since they started anew", len(sent), forwarded, len(relays))
}

// keyOf is the onion key of this hour that a relay is known to have.
func (r *bareRelay) keyOf(id hashid.NodeID) (key onion.PublicKey) {
	if desc, ok := r.directory.Lookup(id); ok {
		key, _ = desc.KeyAt(time.Now())
	}
	return key
}
