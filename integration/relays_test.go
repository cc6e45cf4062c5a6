package integration

import (
	"strings"
	"testing"

	"chatnt/node/control"
)

// TestWantOfRelays sends where a path cannot be built yet: the message stays,
// says how many relays are missing, and goes when they come.
func TestWantOfRelays(t *testing.T) {
	goHome(t)
	people := newPeople(t, newNetwork(t, false), 5)
	introduce(t, people[:2]...)
	alice, bob, late := people[0], people[1], people[4]
	start(t, people[:4], 3)

	id := alice.send(bob, "as soon as we can")
	held := await(alice, 0, "the reason why the text waits", func(e control.StatusChanged) bool {
		return e.ID == id && strings.Contains(e.Reason, ": 1 missing")
	})
	if held.State != "queued" {
		t.Errorf("the text is %q while a relay is missing", held.State)
	}
	if want := "a path needs 3 relays and 2 can be used now: 1 missing"; held.Reason != want {
		t.Errorf("the reason is %q, want %q", held.Reason, want)
	}
	if s := alice.node.Status(); s.Missing != 1 || s.Queued != 1 {
		t.Errorf("status tells of %d missing relays and %d waiting messages, want 1 and 1", s.Missing, s.Queued)
	}
	if got := bob.texts(alice); len(got) != 0 {
		t.Errorf("%q came without a path to come by", got)
	}

	late.join(alice.invited())
	late.start()
	bob.awaitText(alice, "as soon as we can")
	alice.awaitState(id, "delivered")
	if s := alice.node.Status(); s.Missing != 0 || s.Queued != 0 {
		t.Errorf("status tells of %d missing relays and %d waiting messages at the end", s.Missing, s.Queued)
	}
}
