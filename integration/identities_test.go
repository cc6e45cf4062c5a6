package integration

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"chatnt/discovery/network"
)

// TestTwoIdentities has two identities of one profile talk to bob, one after the
// other. Bob sees two strangers at two nodes; neither gets what is for the other, and
// what waits for one comes when it is used again. The profile is that of whoever made
// the network: its invite names nobody but the node that does not run then.
func TestTwoIdentities(t *testing.T) {
	t.Parallel()
	alice := &party{t: t, name: "alice", dir: t.TempDir() + "/alice"}
	invite := strings.TrimSpace(run(t, 0, "network", "create", "family", "--listen", loopback, "--data", alice.dir))
	alice.hashid = strings.TrimSpace(run(t, 0, "id", "--data", alice.dir))
	parsed, err := network.ParseInvite(invite)
	if err != nil {
		t.Fatal(err)
	}
	alice.start()
	made := alice.do("/id new work")
	work, workNode := made["hashid"].(string), made["node"].(string)
	bob := newParty(t, "bob", invite)
	bob.start()
	relays := newPeople(t, parsed.Network, 4)
	for _, r := range relays {
		r.start()
	}
	t.Cleanup(func() { stopAll(relays) })
	bob.awaitFunc(0, "five usable relays", usable(5))
	mainReady := alice.await(0, "ready", nil)
	mainNode := mainReady["node"].(string)

	// The first one.
	alice.do("/add " + bob.hashid + " bob")
	bob.await(0, "request", has{"from": alice.hashid})
	bob.do("/accept " + alice.hashid + " ada")
	alice.await(0, "contact", has{"hashid": bob.hashid, "state": "accepted"})
	alice.awaitState(alice.say(bob, "from the first"), "delivered")
	bob.await(0, "message", has{"from": alice.hashid, "text": "from the first"})

	// The other, at another node and port; the first one's is gone.
	mark := len(alice.all())
	alice.do("/id use work -now")
	ready := alice.await(mark, "ready", has{"hashid": work, "identity": "work"})
	if ready["node"] != workNode || workNode == mainNode {
		t.Errorf("the nodes of the two are %v and %v", mainNode, ready["node"])
	}
	if strings.Join(listens(ready), " ") == strings.Join(listens(mainReady), " ") {
		t.Error("both listen at one port, which tells that they are one person")
	}
	for _, a := range listens(mainReady) {
		if conn, err := net.DialTimeout("tcp", dialAddr(t, a), time.Second); err == nil {
			conn.Close()
			t.Error("the first one's node is still there")
		}
	}
	if known := alice.do("/contacts")["contacts"].([]any); len(known) != 0 {
		t.Errorf("the second identity knows %v", known)
	}
	forFirst := bob.do("/msg ada for the first alone")["id"].(string)
	alice.do("/add " + bob.hashid + " robert nice to meet you")
	request := bob.await(0, "request", has{"from": work})
	if request["text"] != "nice to meet you" || request["name"] != "" {
		t.Errorf("bob is asked by %v", request)
	}
	bob.do("/accept " + work + " walter")
	alice.await(mark, "contact", has{"hashid": bob.hashid, "name": "robert", "state": "accepted"})
	alice.awaitState(alice.do("/msg robert from the second")["id"].(string), "delivered")
	bob.await(0, "message", has{"from": work, "name": "walter", "text": "from the second"})
	toSecond := bob.do("/msg walter for the second")["id"].(string)
	alice.await(mark, "message", has{"from": bob.hashid, "name": "robert", "text": "for the second"})
	bob.awaitState(toSecond, "delivered")
	if path := bob.do("/path"); path["id"] != toSecond || path["end"] != workNode {
		t.Errorf("the way to the second ends at %v", path["end"])
	}
	for _, e := range alice.all()[mark:] {
		if e["text"] == "for the first alone" || e["name"] == "bob" {
			t.Errorf("while the second is in use comes %v", e)
		}
	}

	// The first again, with what was waiting for it.
	mark = len(alice.all())
	alice.do("/id use main -now")
	if back := alice.await(mark, "ready", has{"hashid": alice.hashid, "identity": "main"}); back["node"] != mainNode {
		t.Errorf("the first one's node is %v now", back["node"])
	}
	alice.await(mark, "message", has{"from": bob.hashid, "name": "bob", "text": "for the first alone"})
	bob.awaitState(forFirst, "delivered")
	if path := bob.do("/path"); path["id"] != forFirst || path["end"] != mainNode {
		t.Errorf("the way to the first ends at %v", path["end"])
	}
	if got := bob.texts(alice.hashid); len(got) != 1 || len(bob.texts(work)) != 1 {
		t.Errorf("bob has %q and %q", got, bob.texts(work))
	}

	// Both move to another machine, each with what waits. What is sent without a node is sent by the one named.
	quitAll(bob)
	alice.say(bob, "moved with the first")
	quitAll(alice)
	run(t, 3, "send", "robert", "moved with the second", "--id", "work", "--wait", "0s", "--data", alice.dir)
	file := filepath.Join(t.TempDir(), "backup")
	run(t, 0, "backup", file, "--data", alice.dir)
	if err := os.RemoveAll(alice.dir); err != nil {
		t.Fatal(err)
	}
	alice.dir = filepath.Join(t.TempDir(), "another", "alice")
	run(t, 0, "restore", file, "--data", alice.dir)
	bob.start()
	alice.begin()
	if moved := alice.await(0, "ready", has{"hashid": work, "identity": "work"}); moved["node"] == workNode || moved["unseen"] != nil {
		t.Errorf("the second one's node is %v, unseen for %v", moved["node"], moved["unseen"])
	}
	bob.await(0, "message", has{"from": work, "name": "walter", "text": "moved with the second"})
	for _, e := range bob.all() {
		if e["from"] == alice.hashid || e["hashid"] == alice.hashid {
			t.Errorf("while the second is in use comes %v", e)
		}
	}
	mark = len(alice.all())
	alice.do("/id use main -now")
	if back := alice.await(mark, "ready", has{"hashid": alice.hashid}); back["node"] == mainNode {
		t.Error("the first one's node is the old machine's")
	}
	bob.hears(alice, "moved with the first")

	// One is deleted: it is as if it had never been, and the other goes on.
	alice.do("/id delete work -now")
	quitAll(alice)
	alice.start()
	alice.awaitState(alice.say(bob, "still here"), "delivered")
	if list := alice.do("/id list")["identities"].([]any); len(list) != 1 {
		t.Errorf("the identities are %v", list)
	}
	quitAll(alice, bob)
}

// usable holds for an event that says that n relays are usable.
func usable(n float64) func(event) bool {
	return func(e event) bool {
		usable, ok := e["usable"].(float64)
		return e["event"] == "relays" && ok && usable >= n
	}
}

func listens(ready event) (list []string) {
	for _, a := range ready["listen"].([]any) {
		list = append(list, a.(string))
	}
	return list
}

// dialAddr is what a multiaddr is to package net.
func dialAddr(t *testing.T, text string) string {
	t.Helper()
	a, err := multiaddr.NewMultiaddr(text)
	if err != nil {
		t.Fatal(err)
	}
	_, at, err := manet.DialArgs(a)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
