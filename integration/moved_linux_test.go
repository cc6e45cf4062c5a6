package integration

import (
	"slices"
	"testing"
	"time"
)

// TestMovedAddress takes a running node's address away and gives it another, as a
// laptop has that is carried from one room to the next. Its old connections are
// dead without a word: nothing that is sent from or to the old address arrives.
func TestMovedAddress(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	goHome(t)
	s := newSpace(t, 7)
	contact, moved := s.nodes[1], s.nodes[6]
	for i, addr := range []string{"10.77.0.101/24", "10.77.0.102/24", spaceAddr(6)}[:count(2, 3)] {
		began := time.Now()
		moved.do("!ip addr flush dev eth0")
		moved.do("!ip addr add " + addr + " dev eth0")
		exchange(contact, moved, "at "+addr)
		moved.awaitUsable(5)
		took := time.Since(began)
		t.Logf("move %d: sends, receives and has five usable relays after %.1f s", i+1, took.Seconds())
		if took > 10*time.Second {
			t.Errorf("move %d: works again only after %v", i+1, took)
		}
	}
	// Who has never met it finds it where it is now: a relay is usable once dialled.
	began := time.Now()
	late := s.add(s.nodes[0].do("/invite")["invite"].(string))
	late.awaitUsable(7)
	if relays := late.do("/peers")["relays"].([]any); !slices.Contains(relays, any(moved.id)) {
		t.Errorf("a new node does not reach the one that moved; it reaches %v", relays)
	}
	t.Logf("a new node reaches it %.1f s after its own start", time.Since(began).Seconds())
	s.quit()
}
