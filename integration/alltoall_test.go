package integration

import (
	"fmt"
	"testing"
)

// TestAllToAll has twenty nodes in one process, on real sockets, exchange
// messages all to all: each comes once, and in its sender's order.
func TestAllToAll(t *testing.T) {
	goHome(t)
	nodes, each := 20, count(3, 30)
	if underRace { // it would take minutes
		nodes, each = 10, 1
	}
	people := newPeople(t, newNetwork(t, false), nodes)
	introduce(t, people...)
	start(t, people, len(people)-1)

	texts := make(map[string][]string) // by sender and recipient
	var last []func()
	for _, from := range people {
		for _, to := range people {
			if from == to {
				continue
			}
			var sent []string
			for k := range each {
				text := fmt.Sprintf("%d from %s to %s", k, from.name, to.name)
				sent = append(sent, text)
				id := from.send(to, text)
				last = append(last, func() { from.awaitState(id, "delivered") })
			}
			texts[from.name+to.name] = sent
		}
	}
	for _, wait := range last {
		wait()
	}
	for _, from := range people {
		for _, to := range people {
			if from != to {
				want := texts[from.name+to.name]
				to.awaitText(from, want[len(want)-1])
				to.expectTexts(from, want)
			}
		}
	}
	for _, p := range people {
		if queued := p.node.Status().Queued; queued != 0 {
			t.Errorf("%s has %d messages in its outbox although all were delivered", p.name, queued)
		}
	}
}
