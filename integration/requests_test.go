package integration

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"chatnt/discovery/network"
	"chatnt/discovery/record"
	"chatnt/node/contact"
	"chatnt/node/control"
	"chatnt/node/message"
)

// TestRequests has strangers become contacts, or not.
func TestRequests(t *testing.T) {
	goHome(t)
	people := newPeople(t, newNetwork(t, false), 7)
	introduce(t, people[5:]...)
	start(t, people, len(people)-1)
	ann, ben, cat, dan, eve := people[0], people[1], people[2], people[3], people[4]
	other, another := people[5], people[6]

	testAccepted(t, ann, ben)
	testRejected(t, ann, ben, cat, other)
	testBothAsk(t, dan, eve)
	testOrder(t, other, another)
	testLimits(t, ann, other, another)
}

// testAccepted has ben say yes to ann, who could not wait.
func testAccepted(t *testing.T, ann, ben *person) {
	t.Helper()
	if err := ann.node.SetNick("Ann of the hill"); err != nil {
		t.Fatal(err)
	}
	ann.add(ben, "we met at the fair")
	early := ann.send(ben, "before you said yes")
	if held := ann.awaitState(early, "queued"); held.Reason != "waits until the contact accepts the request" {
		t.Errorf("a text before acceptance waits because %q", held.Reason)
	}
	asked := ben.awaitRequest(ann)
	if asked.Nick != "Ann of the hill" || asked.Text != "we met at the fair" {
		t.Errorf("the request reads %+v", asked)
	}
	if got := ben.texts(ann); len(got) != 0 {
		t.Errorf("%q came from somebody who is not accepted", got)
	}
	ben.accept(ann)
	ann.awaitContact(ben, "accepted")
	ben.awaitText(ann, "before you said yes")
	ann.awaitState(early, "delivered")
	roundTrips(ben, ann, 3)
	if n := ben.requests(ann); n != 1 {
		t.Errorf("the request was shown %d times", n)
	}
	if open := ben.node.Requests(); len(open) != 0 {
		t.Errorf("requests still open: %v", open)
	}
}

// testRejected has ben say no to cat, who asks again and is not heard.
func testRejected(t *testing.T, ann, ben, cat, other *person) {
	t.Helper()
	cat.add(ben, "")
	ben.awaitRequest(cat)
	waiting := cat.send(ben, "never shown")
	if err := ben.node.Reject(cat.hashid().String()); err != nil {
		t.Fatal(err)
	}
	cat.awaitContact(ben, "rejected")
	if failed := cat.awaitState(waiting, "failed"); failed.Reason == "" {
		t.Error("a text fails without a reason")
	}
	if _, err := cat.node.Send(ben.name, "really not?"); err == nil {
		t.Error("a text to somebody who said no is taken")
	}
	cat.add(ben, "please")
	roundTrips(ben, ann, 3)
	roundTrips(cat, cat.befriend(other), 1)
	roundTrips(ann, ben, 3)
	if n := ben.requests(cat); n != 1 {
		t.Errorf("somebody who was rejected was shown %d times, want once", n)
	}
	if got := ben.texts(cat); len(got) != 0 {
		t.Errorf("%q came from somebody rejected", got)
	}
}

// testBothAsk has two people ask each other at the same time.
func testBothAsk(t *testing.T, dan, eve *person) {
	t.Helper()
	dan.add(eve, "hello")
	eve.add(dan, "hello you")
	dan.awaitContact(eve, "accepted")
	eve.awaitContact(dan, "accepted")
	roundTrips(dan, eve, 3)
	for _, p := range []*person{dan, eve} {
		if open := p.node.Requests(); len(open) != 0 {
			t.Errorf("%s still has requests open: %v", p.name, open)
		}
	}
}

// testOrder sends many short texts and a long one between them.
func testOrder(t *testing.T, other, another *person) {
	t.Helper()
	long := strings.Repeat("0123456789abcde\n", 10<<10/16)
	var sent []string
	var id string
	for i := range count(100, 1000) {
		text := fmt.Sprintf("%d", i)
		if i%100 == 50 {
			text += long
		}
		sent = append(sent, text)
		id = other.send(another, text)
		if i%100 == 99 { // no more than fit the outbox
			other.awaitState(id, "delivered")
		}
	}
	another.awaitText(other, sent[len(sent)-1])
	another.expectTexts(other, sent)
}

// testLimits sends the longest text there is, and what is refused at once.
func testLimits(t *testing.T, ann, other, another *person) {
	t.Helper()
	longest := strings.Repeat("x", message.MaxText)
	id := other.send(another, longest)
	other.awaitState(id, "delivered")
	another.awaitText(other, longest)
	for what, text := range map[string]string{
		"too long": longest + "x", "empty": "", "not UTF-8": "\xff",
	} {
		if _, err := other.node.Send(another.name, text); err == nil {
			t.Errorf("a text that is %s is taken", what)
		}
	}
	if _, err := other.node.Send("nobody", "hello"); !errors.Is(err, contact.ErrUnknown) {
		t.Errorf("a text to nobody: %v", err)
	}
	if err := other.node.Add(record.Locator{Hashid: other.hashid()}, "me", ""); err == nil {
		t.Error("somebody is its own contact")
	}
	if err := other.node.Add(record.Locator{Hashid: ann.hashid()}, "ann", strings.Repeat("x", message.MaxRequestText+1)); err == nil {
		t.Error("a request of any length is taken")
	}
}

// TestStrangersAreBounded has more strangers ask than may wait for an answer.
func TestStrangersAreBounded(t *testing.T) {
	goHome(t)
	net := newNetwork(t, false)
	people := newPeople(t, net, 6)
	asked, friend := people[0], people[1]
	introduce(t, asked, friend)
	start(t, people, len(people)-1)

	// They come in groups, since many nodes at once are much to ask of a machine.
	const group = 8
	var strangers, here []*person
	for len(strangers) < contact.MaxRequests {
		stopAll(here)
		here = arrive(t, net, asked, group)
		for _, s := range here {
			s.add(asked, "may I?")
		}
		for _, s := range here {
			asked.awaitRequest(s)
		}
		strangers = append(strangers, here...)
	}
	late := arrive(t, net, asked, 1)[0]
	late.add(asked, "may I too?")
	roundTrips(friend, asked, 10)
	if got := len(asked.node.Requests()); got != contact.MaxRequests {
		t.Errorf("%d requests are open, want %d", got, contact.MaxRequests)
	}
	if asked.requests(late) != 0 {
		t.Error("a request too many was shown")
	}
	for i, s := range strangers {
		if n := asked.requests(s); n != 1 {
			t.Errorf("the request of stranger %d was shown %d times", i, n)
		}
	}
	for _, s := range here[:2] {
		if err := asked.node.Accept(s.hashid().String(), "stranger-"+s.name); err != nil {
			t.Fatal(err)
		}
		s.awaitContact(asked, "accepted")
		roundTrips(s, asked, 1)
	}
}

// arrive has n new people join the network that somebody is in.
func arrive(t *testing.T, net *network.Network, host *person, n int) []*person {
	t.Helper()
	people := newPeople(t, net, n)
	joined := host.invited()
	for _, p := range people {
		p.join(joined)
		p.start()
	}
	for _, p := range people {
		p.awaitRelays(5)
	}
	return people
}

// add sends somebody a request, under the name all know it by.
func (p *person) add(who *person, text string) {
	p.t.Helper()
	if err := p.node.Add(record.Locator{Hashid: who.hashid()}, who.name, text); err != nil {
		p.t.Fatalf("%s cannot add %s: %v", p.name, who.name, err)
	}
}

// accept says yes to somebody's request.
func (p *person) accept(who *person) {
	p.t.Helper()
	if err := p.node.Accept(who.hashid().String(), who.name); err != nil {
		p.t.Fatalf("%s cannot accept %s: %v", p.name, who.name, err)
	}
}

// befriend has this person ask somebody who says yes.
func (p *person) befriend(who *person) *person {
	p.t.Helper()
	p.add(who, "")
	who.awaitRequest(p)
	who.accept(p)
	p.awaitContact(who, "accepted")
	await(who, 0, p.name+" to be accepted", func(e control.ContactChanged) bool {
		return e.Hashid == p.hashid().String() && e.State == "accepted"
	})
	return who
}
