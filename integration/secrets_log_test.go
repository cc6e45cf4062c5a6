package integration

import (
	"bytes"
	"crypto/rand"
	"log/slog"
	"strings"
	"testing"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/control"
	"chatnt/node/ratchet"
)

// TestLogTellsNothing has nodes log all they ever would, while people get to know each
// other, talk, go and come back, relays stop, and somebody sends what nobody can read; and
// looks in the log for who talked to whom, what was said, and where.
func TestLogTellsNothing(t *testing.T) {
	goHome(t)
	const (
		there     = "the manuscript is under the third floorboard"
		back      = "bring the lantern on thursday evening"
		asks      = "we met beside the weighbridge in marrakesh"
		late      = "nobody has collected this sentence yet"
		nickA     = "Quillfeather"
		nickB     = "Saltmarsh"
		localName = "marmalade"
	)
	var out bytes.Buffer // to be read once all nodes have ended
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug - 10}))
	net := newNetwork(t, false)
	alice, bob := newOnDisk(t, "alice", net), newOnDisk(t, "bob", net)
	people := append(newPeople(t, net, 5), alice.person, bob.person)
	for _, p := range people {
		p.log = log
	}
	start(t, people, len(people)-1)
	l := &ledger{t: t}
	l.text("a text", there, back, late)
	l.text("what a request says", asks)
	l.text("a nick", nickA, nickB)
	l.text("a local name", localName)
	l.text("the passphrase", passphrase)
	note := func() { // addresses change with each start
		for _, p := range people {
			l.person(p.hashid().String())
			l.hexadecimal("a node id", p.profile.Node().String())
			for _, a := range p.node.Status().Listen {
				l.address(a)
			}
		}
	}
	note()
	did := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	invite, err := people[0].node.Invite()
	did(err)
	l.invite(invite)

	did(alice.node.SetNick(nickA))
	did(bob.node.SetNick(nickB))
	did(alice.node.Add(record.Locator{Hashid: bob.hashid()}, localName, asks))
	bob.awaitRequest(alice.person)
	did(bob.node.Accept(alice.hashid().String(), localName))
	alice.awaitContact(bob.person, "accepted")
	say := func(from, to *person, text string) string {
		id := from.send(to, text)
		l.hexadecimal("a text's id", id)
		return id
	}
	alice.awaitState(say(alice.person, bob.person, there), control.Delivered)
	bob.awaitState(say(bob.person, alice.person, back), control.Delivered)
	did(alice.node.SetListed(false))
	did(alice.node.NewLink())
	link := alice.link()
	l.key("a link key", link.Link[:])

	// Noise: for bob's mailbox, and for one that is none of his.
	stranger := newRelay(t, people[0].invited(), nil)
	stranger.awaitRelays(len(people))
	for _, to := range []hashid.ID{bob.hashid(), {1}} {
		path, err := stranger.overlay.Draw(bob.profile.Node())
		did(err)
		frame := make([]byte, ratchet.FrameSize)
		_, _ = rand.Read(frame)
		_, err = stranger.overlay.Caller().Try(t.Context(), path, "mailbox.put", append(to[:], frame...))
		did(err)
	}
	l.hexadecimal("a node id", stranger.self.String())

	// Nobody is there to take it, and then some relays are gone as well.
	bob.stop()
	id := say(alice.person, bob.person, late)
	people[4].stop()
	alice.awaitState(say(alice.person, bob.person, late+" 2"), control.Queued)
	bob.log = log
	bob.restart(people[0])
	note()
	bob.awaitText(alice.person, late)
	alice.awaitState(id, control.Delivered)
	stopAll(people)

	if lines := strings.Count(out.String(), "level=DEBUG"); lines < 10 {
		t.Fatalf("the log has %d lines only: this shows nothing", lines)
	}
	l.check("the log", out.Bytes())
	if t.Failed() {
		t.Logf("the log:\n%s", &out)
	}
}
