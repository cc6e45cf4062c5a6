package integration

import (
	"testing"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// TestNobodyIsAskedForWhoHasQuit has somebody write to a contact who has left. Those who keep records
// are asked neither for that person nor for its node, by nobody: they do not see that anything is sent. When
// the contact is back it arrives all the same.
func TestNobodyIsAskedForWhoHasQuit(t *testing.T) {
	goHome(t)
	net := newNetwork(t, false)
	tap := newTableTap(t)
	people := newPeople(t, net, 2)
	first, dave := people[0], people[1]
	tom := newOnDisk(t, "tom", net)
	introduce(t, dave, tom.person)
	first.start()
	joined := first.invited()
	for _, p := range []*person{dave, tom.person} {
		p.join(joined)
		p.start()
	}
	t.Cleanup(func() { stopAll(people) })
	for range 6 {
		newExit(t, joined, nil, tap, nil)
	}
	for _, p := range []*person{first, dave, tom.person} {
		p.awaitRelays(8)
	}
	roundTrips(dave, tom.person, 1) // dave has looked tom up: the next time is in 40 minutes or later
	self := dave.profile.Node()
	pairs, err := record.Locator{Hashid: tom.hashid()}.Places(net.ID(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	asked := func(mark int, by *hashid.NodeID, keys ...string) (n int) {
		list, _ := tap.about(mark, keys...)
		for _, r := range list {
			if r.kind != pb.Message_PUT_VALUE && (by == nil || r.from == *by) {
				n++
			}
		}
		return n
	}
	tom.stop()
	mark := tap.mark()
	dave.send(tom.person, "are you there?")
	<-time.After(time.Duration(count(15, 120)) * time.Second) // more than an attempt takes
	if n := asked(mark, nil, append(pairs[0][:], record.DescriptorKey(tom.profile.Node()))...); n > 0 {
		t.Errorf("tables were asked %d times for somebody who was written to", n)
	}
	mark = tap.mark()
	began := time.Now()
	tom.returns(joined)
	tom.awaitText(dave, "are you there?")
	t.Logf("it arrives %v after its recipient has come back", time.Since(began).Round(time.Millisecond))
	if n := asked(mark, &self, record.DescriptorKey(tom.profile.Node())); n > 0 {
		t.Errorf("dave's node asked %d times for tom's", n)
	}
	tom.stop()
}
