package integration

import (
	"path/filepath"
	"strings"
	"testing"

	"chatnt/discovery/network"
)

// TestOneLinkForBoth has carol join alice's network and ask alice, who is not listed, with one link, by
// the real program. Afterwards alice has hidden from who has the hashid alone.
func TestOneLinkForBoth(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := func(name string) string { return filepath.Join(dir, name) }
	first := strings.TrimSpace(run(t, 0, "network", "create", "family", "--listen", loopback, "--data", data("alice")))
	invite, err := network.ParseInvite(first)
	if err != nil {
		t.Fatal(err)
	}
	if !invite.Person.IsZero() {
		t.Error("an invite to a network is to a person, too")
	}
	alice := newProcess(t, "alice", "node", "--json", "--data", data("alice"))
	hashid := alice.await(0, "ready", nil)["hashid"].(string)
	alice.do("/set listed off")
	relays := newPeople(t, invite.Network, 4)
	for _, r := range relays {
		r.start()
	}
	t.Cleanup(func() { stopAll(relays) })
	for _, r := range relays {
		r.awaitRelays(4)
	}

	both := alice.do("/invite")["invite"].(string)
	run(t, 0, "network", "join", both, "--data", data("carol"))
	carol := newProcess(t, "carol", "node", "--json", "--listen", loopback, "--data", data("carol"))
	carol.do("/add " + both + " alice it is me")
	asked := alice.await(0, "request", has{"text": "it is me"})["from"].(string)
	alice.do("/accept " + asked + " carol")
	carol.await(0, "contact", has{"hashid": hashid, "name": "alice", "state": "accepted"})
	id := carol.do("/msg alice hello")["id"]
	alice.await(0, "message", has{"name": "carol", "text": "hello"})
	carol.await(0, "status", has{"id": id, "state": "delivered"})

	run(t, 0, "network", "join", first, "--data", data("dave"))
	dave := newProcess(t, "dave", "node", "--json", "--listen", loopback, "--data", data("dave"))
	dave.do("/add " + hashid + " alice")
	dave.awaitFunc(0, "that alice is not to be found", func(e event) bool {
		reason, _ := e["reason"].(string)
		withdrawn := strings.Contains(reason, "this person is not to be found this way any more: ask for a new invite")
		return e["event"] == "status" && e["state"] == "queued" && (withdrawn || strings.Contains(reason, "found with an invite only"))
	})
	for _, p := range []*process{alice, carol, dave} {
		p.quit()
	}
	for _, p := range []string{"alice", "carol"} {
		if shown := run(t, 0, "status", "--data", data(p)); strings.Contains(shown, "listed       no: ") != (p == "alice") {
			t.Errorf("the status of %s is\n%s", p, shown)
		}
	}
}
