package integration

import (
	"testing"
	"time"

	"chatnt/node/control"
)

// TestLatency sends a slow text among fast ones. It comes later than they do, which goes for its
// answer too, and is not repeated before its time.
func TestLatency(t *testing.T) {
	goHome(t)
	people := newPeople(t, newNetwork(t, false), 7)
	alice, bob := people[0], people[1]
	introduce(t, alice, bob)
	start(t, people, len(people)-1)
	roundTrips(alice, bob, 3)

	// The first of a text's attempts is answered over six relays, each of which holds it for two
	// seconds on average: in one of three million cases they all together take less than half a second.
	began := time.Now()
	id, err := alice.node.SendAs(bob.name, "slowly", control.How{Latency: "slow"})
	if err != nil {
		t.Fatal(err)
	}
	alice.awaitState(id.String(), "sent")
	if took := time.Since(began); took < 500*time.Millisecond {
		t.Errorf("a slow text is sent and answered within %v", took)
	}
	bob.awaitText(alice, "slowly")
	alice.awaitState(id.String(), "delivered")
	if n := len(bob.texts(alice)); n != 4 {
		t.Errorf("%d texts came", n)
	}
	t.Logf("a slow text is confirmed after %.1f s", time.Since(began).Seconds())

	// What is set for all holds for receipts, too.
	if err := bob.node.SetLatency("slow"); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	alice.awaitState(alice.send(bob, "take your time"), "delivered")
	t.Logf("a fast text with a slow receipt is confirmed after %.1f s", time.Since(began).Seconds())
	if alice.node.Status().Latency != "fast" || bob.node.Status().Latency != "slow" {
		t.Error("what is set is not told")
	}
}
