package integration

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// party is somebody who runs the real program on a profile on disk, a run after
// another. The process is the last run.
type party struct {
	*process
	t      *testing.T
	name   string
	dir    string
	hashid string
	runs   []*process
}

// newParty makes a profile in a directory of its own that has joined a network.
func newParty(t *testing.T, name, invite string) *party {
	t.Helper()
	return newPartyIn(t, t.TempDir(), name, invite)
}

// newPartyIn makes the profile in dir, where it bears the person's name.
func newPartyIn(t *testing.T, dir, name, invite string) *party {
	t.Helper()
	p := &party{t: t, name: name, dir: filepath.Join(dir, name)}
	run(t, 0, "network", "join", invite, "--data", p.dir)
	p.hashid = strings.TrimSpace(run(t, 0, "id", "--data", p.dir))
	return p
}

// begin starts the program, and does not wait until it is ready.
func (p *party) begin() {
	p.t.Helper()
	p.process = newProcess(p.t, p.name, "node", "--json", "--data", p.dir, "--listen", loopback)
	p.runs = append(p.runs, p.process)
}

// start starts the program and waits until it is ready.
func (p *party) start() {
	p.t.Helper()
	p.begin()
	p.ready()
}

func (p *party) ready() { p.t.Helper(); p.await(0, "ready", has{"hashid": p.hashid}) }

// all returns what a run has told so far.
func (p *process) all() []event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clip(p.events)
}

// say queues a text to a contact and returns its id.
func (p *party) say(to *party, text string) string {
	p.t.Helper()
	done := p.do("/msg " + to.name + " " + text)
	if done["state"] != "queued" {
		p.t.Errorf("%s: /msg is done with state %v", p.name, done["state"])
	}
	return done["id"].(string)
}

// hears waits until a text of somebody has come in this run.
func (p *party) hears(from *party, text string) event {
	p.t.Helper()
	return p.await(0, "message", has{"from": from.hashid, "text": text})
}

func (p *party) awaitState(id, state string) {
	p.t.Helper()
	p.await(0, "status", has{"id": id, "state": state})
}

// quitAll ends runs in order, all at once since each takes a moment to say goodbye.
func quitAll(who ...*party) {
	for _, p := range who {
		p.write("/quit")
	}
	for _, p := range who {
		p.t.Helper()
		<-p.closed
		if err := p.cmd.Wait(); err != nil || p.errs.Len() > 0 {
			p.t.Errorf("%s ends with %v and says\n%s", p.name, err, &p.errs)
		}
	}
}

// newRelays runs a private network of n relays in this process and returns its invite.
func newRelays(t *testing.T, n int) (invite string) {
	t.Helper()
	relays := newPeople(t, newNetwork(t, false), n)
	start(t, relays, n-1)
	invite, err := relays[0].node.Invite()
	if err != nil {
		t.Fatal(err)
	}
	return invite
}

// newContacts returns alice and bob, who run, are each other's contacts and have
// exchanged a text each.
func newContacts(t *testing.T, invite string) (alice, bob *party) {
	t.Helper()
	alice, bob = newParty(t, "alice", invite), newParty(t, "bob", invite)
	meetEachOther(alice, bob)
	return alice, bob
}

// meetEachOther starts two and makes them each other's contacts, who then exchange a text each.
func meetEachOther(a, b *party) {
	a.t.Helper()
	a.begin()
	b.begin()
	a.ready()
	b.ready()
	a.do("/add " + b.hashid + " " + b.name)
	b.await(0, "request", has{"from": a.hashid})
	b.do("/accept " + a.hashid + " " + a.name)
	a.await(0, "contact", has{"hashid": b.hashid, "state": "accepted"})
	talk(a, b, 1, "at first")
}

// talk has two who run exchange n texts each in turns, so that each answers the
// other's, and waits until all have been confirmed.
func talk(a, b *party, n int, about string) {
	a.t.Helper()
	for i := range n {
		there, back := numbered("there", i, about), numbered("back", i, about)
		id := a.say(b, there)
		b.hears(a, there)
		a.awaitState(id, "delivered")
		id = b.say(a, back)
		a.hears(b, back)
		b.awaitState(id, "delivered")
	}
}

func numbered(what string, i int, about string) string {
	return fmt.Sprintf("%s %d, %s", what, i, about)
}
