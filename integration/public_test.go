package integration

import "testing"

// TestPublicNetworkOnOneMachine has people of a public network write to each other where all of
// it is on one machine: no address range keeps the relays of a path apart there.
func TestPublicNetworkOnOneMachine(t *testing.T) {
	goHome(t)
	people := newPeople(t, newNetwork(t, true), 7)
	introduce(t, people...)
	start(t, people, 5)
	for i, from := range people {
		to := people[(i+1)%len(people)]
		id := from.send(to, "hello")
		to.awaitText(from, "hello")
		from.awaitState(id, "delivered")
	}
}
