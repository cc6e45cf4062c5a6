package integration

import (
	"strings"
	"testing"
	"time"

	"chatnt/discovery/network"
	"chatnt/discovery/record"
	"chatnt/node"
	"chatnt/node/control"
)

// TestUnlisted has alice, a contact of bob's, stop being listed, and carol never be. Who has a link
// finds them, also when all that was found before has expired and lies elsewhere; who has the hashid
// alone does not, and is told so. A node that keeps their records learns nothing of whom they are.
func TestUnlisted(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, false)
	clock := newWallClock(0)
	alice, bob, carol := newOnDisk(t, "alice", net), newOnDisk(t, "bob", net), newOnDisk(t, "carol", net)
	introduce(t, alice.person, bob.person)
	if err := carol.profile.SetListed(false, clock.now()); err != nil {
		t.Fatal(err)
	}
	people := append(newPeople(t, net, 4), alice.person, bob.person, carol.person)
	for _, p := range people {
		p.now = clock.now
	}
	start(t, people, len(people)-1)
	keeper, stopKeeper := newKeeper(t, people[0].invited(), clock.now)
	roundTrips(alice.person, bob.person, 1)

	if err := alice.node.SetListed(false); err != nil {
		t.Fatal(err)
	}
	if alice.node.ID().Listed || alice.node.Status().Listed {
		t.Error("alice is still listed")
	}
	alice.awaitState(alice.send(bob.person, "after the link"), "delivered") // so bob has the link, too
	link := alice.link()
	keeper.awaitWithdrawal(record.Locator{Hashid: alice.hashid()})

	// Both are found by link alone: carol by what her request says.
	if err := carol.node.Add(link, "alice", "I have your link"); err != nil {
		t.Fatal(err)
	}
	alice.awaitRequest(carol.person)
	alice.accept(carol.person)
	carol.awaitContact(alice.person, "accepted")
	roundTrips(carol.person, alice.person, 1)

	dave := arrive(t, net, people[0], 1)[0]
	dave.add(alice.person, "I have your hashid")
	dave.awaitReason("this person is not to be found this way any more: ask for a new invite")

	bobs := record.Locator{Hashid: bob.hashid()}
	if n := len(keeper.finds(bobs, keeper.awaitListed(bobs))); n < 4 {
		t.Errorf("of bob, who is listed, a node that keeps his record has %d things: it is blind", n)
	}
	carols := keeper.awaitUnlisted(carol.link(), clock.now())
	for _, found := range keeper.finds(carol.link(), carols) {
		t.Errorf("of carol, who was never listed, a node that keeps her record has %s", found)
	}
	stopKeeper()
	stopAll(append(people, dave))

	// All that anybody has of alice has expired. Her records lie in other places now, at other nodes.
	clock.set(record.KeyRecordLifetime + 24*time.Hour)
	later := newPeople(t, net, 4)
	for _, p := range later {
		p.now = clock.now
		p.join(net)
	}
	later[0].start()
	joined := later[0].invited()
	for _, p := range later[1:] {
		p.join(joined)
		p.start()
	}
	keeper, _ = newKeeper(t, joined, clock.now)
	alice.returns(joined)
	bob.returns(joined)
	t.Cleanup(func() { stopAll(append(later, alice.person, bob.person)) })
	bob.awaitRelays(5)
	bob.awaitState(bob.send(alice.person, "two weeks later"), "delivered")
	alice.awaitText(bob.person, "two weeks later")
	if again := alice.link(); again != link {
		t.Error("alice's link has changed")
	}
	for _, found := range keeper.finds(link, keeper.awaitUnlisted(link, clock.now())) {
		t.Errorf("of alice a node that keeps her record has %s", found)
	}
	eve := newPeople(t, net, 1)[0]
	eve.now = clock.now
	eve.join(joined)
	eve.start()
	eve.awaitRelays(5)
	eve.add(alice.person, "I have your hashid, too")
	eve.awaitReason("who is not listed is found with an invite only")
	if n := alice.requests(dave) + alice.requests(eve); n > 0 {
		t.Errorf("%d requests came by the hashid", n)
	}
}

// TestLinkIsGivenUp has alice give up the link that frank has, and be listed again: her contact follows,
// frank does not find her by the link, and anybody does by the hashid.
func TestLinkIsGivenUp(t *testing.T) {
	t.Parallel()
	net := newNetwork(t, false)
	people := newPeople(t, net, 7)
	alice, bob, frank, grace := people[0], people[1], people[2], people[3]
	introduce(t, alice, bob)
	start(t, people, len(people)-1)
	if err := alice.node.NewLink(); err == nil || !strings.Contains(err.Error(), "/set listed off") {
		t.Errorf("a link that there is not was given up: %v", err)
	}
	if err := alice.node.SetListed(false); err != nil {
		t.Fatal(err)
	}
	old := alice.link()
	alice.awaitState(alice.send(bob, "the first link"), "delivered")
	keeper, _ := newKeeper(t, alice.invited(), time.Now)
	if err := alice.node.NewLink(); err != nil {
		t.Fatal(err)
	}
	if alice.link() == old {
		t.Fatal("the link is the same")
	}
	keeper.await("the withdrawal of a link", func(values map[string][][]byte) bool {
		places, err := old.Places(net.ID(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range places[0] {
			if len(values[key]) == 0 {
				return false
			}
		}
		return true
	})
	if err := frank.node.Add(old, "alice", ""); err != nil {
		t.Fatal(err)
	}
	frank.awaitReason("this person is not to be found this way any more: ask for a new invite")
	alice.awaitState(alice.send(bob, "the second link"), "delivered")
	roundTrips(bob, alice, 1)

	if err := alice.node.SetListed(true); err != nil {
		t.Fatal(err)
	}
	grace.befriend(alice)
	roundTrips(grace, alice, 1)
	// The new link goes on, and takes the place of the old one.
	if err := frank.node.Add(alice.link(), "alice", ""); err != nil {
		t.Fatal(err)
	}
	alice.awaitRequest(frank)
	alice.accept(frank)
	frank.awaitContact(alice, "accepted")
}

// link is what this person's invite says of it.
func (p *person) link() record.Locator {
	p.t.Helper()
	text, err := p.node.InviteMe(false)
	if err != nil {
		p.t.Fatal(err)
	}
	invite, err := network.ParseInvite(text)
	if err != nil {
		p.t.Fatal(err)
	}
	if invite.Network != nil || invite.Person != p.hashid() {
		p.t.Errorf("the invite is not to %s alone", p.name)
	}
	return invite.Locator()
}

// awaitReason waits until the node has said what a message waits for.
func (p *person) awaitReason(reason string) {
	p.t.Helper()
	await(p, 0, "the reason: "+reason, func(e control.StatusChanged) bool {
		return e.State == control.Queued && strings.Contains(e.Reason, reason)
	})
}

// returns starts the node of a profile on disk again, in a network that has other nodes now.
func (p *onDisk) returns(joined *network.Network) {
	p.t.Helper()
	profile, err := node.OpenProfile(p.dir, []byte(passphrase))
	if err != nil {
		p.t.Fatal(err)
	}
	p.profile = profile
	p.join(joined)
	p.start()
}
