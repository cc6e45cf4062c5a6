package integration

import (
	"errors"
	"os"
	"testing"
	"time"

	"chatnt/discovery/record"
	"chatnt/node/control"
)

// TestOlderCopyIsOffTheList puts a copy of alice's profile in place that was made while she was listed, after
// she has been taken off the list. Nobody is given a listed record of hers again; she is told, and her contact,
// who knows of a link key that the copy has never had, follows.
func TestOlderCopyIsOffTheList(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, false)
	alice := newOnDisk(t, "alice", net)
	people := newPeople(t, net, 6)
	bob := people[1]
	introduce(t, alice.person, bob)
	start(t, append(people, alice.person), len(people))
	joined := people[0].invited()
	keeper, _ := newKeeper(t, joined, time.Now)
	roundTrips(alice.person, bob, 1)

	alice.stop()
	older := t.TempDir()
	if err := os.CopyFS(older, os.DirFS(alice.dir)); err != nil {
		t.Fatal(err)
	}
	alice.returns(joined)
	if err := alice.node.SetListed(false); err != nil {
		t.Fatal(err)
	}
	at := record.Locator{Hashid: alice.hashid()}
	keeper.awaitWithdrawal(at)
	link := alice.link()
	alice.awaitState(alice.send(bob, "after the link"), "delivered")

	alice.stop()
	alice.dir = older
	mark := alice.mark()
	before, _ := keeper.all()
	alice.returns(joined)
	await(alice.person, mark, "a warning of the older copy", func(e control.Warning) bool { return e.About == "listing" })
	if alice.node.ID().Listed || alice.link().Link.IsZero() || alice.link() == link {
		t.Error("alice is listed, or has no link key of her own")
	}
	roundTrips(alice.person, bob, 1)
	roundTrips(bob, alice.person, 1)
	keeper.awaitUnlisted(alice.link(), time.Now())
	after, _ := keeper.all()
	for _, key := range record.KeyRecordKeys(at.Hashid) {
		for _, raw := range after[key][len(before[key]):] {
			if _, err := at.Parse(net.ID(), raw); !errors.Is(err, record.ErrWithdrawn) {
				t.Errorf("alice was listed again: %v", err)
			}
		}
	}
}
