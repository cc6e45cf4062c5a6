package integration

import (
	"crypto/ed25519"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chatnt/discovery/hashid"
)

// TestProfileTellsNothing uses the real program as people do who keep no history,
// and looks through all that it leaves on the disk and on standard error for what
// was said, by whom, to whom and where: while it runs, after it was killed, and
// after it has ended.
//
// One thing lies open by design: config.toml of whoever made the network holds
// the addresses to listen on, and is held to nothing but these.
func TestProfileTellsNothing(t *testing.T) {
	t.Parallel()
	const (
		networkName = "Kestrel Cellar"
		toBob       = "the manuscript is under the third floorboard"
		toAlice     = "bring the lantern on thursday evening"
		undelivered = "nobody has collected this sentence yet"
		asksBob     = "we met beside the weighbridge in marrakesh"
		asksAlice   = "an old friend of the beekeeper writes here"
		asksNobody  = "is anybody still at the observatory"
	)
	long := strings.Repeat("the long letter about the orchard goes on and on. ", 100)
	nicks := []string{"Quillfeather", "Saltmarsh", "Thistledown"}
	locals := []string{"marmalade", "copperpot", "wintergreen"}

	founder := &party{t: t, name: "alice", dir: filepath.Join(t.TempDir(), "alice")}
	invite := strings.TrimSpace(run(t, 0, "network", "create", networkName, "--listen", loopback, "--data", founder.dir))
	founder.hashid = strings.TrimSpace(run(t, 0, "id", "--data", founder.dir))
	alice, bob, carol := founder, newParty(t, "bob", invite), newParty(t, "carol", invite)
	people := []*party{alice, bob, carol}
	l := &ledger{t: t}
	net := l.invite(invite)
	l.text("the passphrase", passphrase)
	l.text("a text", toBob, toAlice, undelivered, long[50:100])
	l.text("what a request says", asksBob, asksAlice, asksNobody)
	l.text("a nick", nicks...)
	l.text("a local name", locals...)
	nobody := hashid.Of(ed25519.PublicKey("nobody has this key"))
	l.person(nobody.String())

	for i, p := range people {
		p.begin()
		p.ready()
		p.do("/nick " + nicks[i])
	}
	relays := newPeople(t, net, 4)
	for _, r := range relays {
		r.start()
	}
	t.Cleanup(func() { stopAll(relays) })
	for _, r := range relays {
		r.awaitRelays(5)
		l.hexadecimal("a node id", r.profile.Node().String())
		l.person(r.hashid().String())
		text, err := r.node.Invite()
		if err != nil {
			t.Fatal(err)
		}
		l.invite(text)
		for _, a := range r.node.Status().Listen {
			l.address(a)
		}
	}

	// Contacts, texts both ways, and what has no end: a request that nobody
	// answers, one to nobody, texts to somebody who has gone.
	alice.do("/add " + bob.hashid + " " + locals[0] + " " + asksBob)
	bob.await(0, "request", has{"from": alice.hashid, "text": asksBob})
	bob.do("/accept " + alice.hashid + " " + locals[1])
	alice.await(0, "contact", has{"hashid": bob.hashid, "state": "accepted"})
	for i, text := range []string{toBob, long, toBob} {
		id := alice.do("/msg " + locals[0] + " " + text)["id"]
		bob.await(0, "message", has{"id": id})
		alice.await(0, "status", has{"id": id, "state": "delivered"})
		id = bob.do(fmt.Sprintf("/msg %s %s %d", locals[1], toAlice, i))["id"]
		alice.await(0, "message", has{"id": id})
		bob.await(0, "status", has{"id": id, "state": "delivered"})
	}
	carol.do("/add " + alice.hashid + " " + locals[2] + " " + asksAlice)
	alice.await(0, "request", has{"from": carol.hashid, "text": asksAlice})
	alice.do("/add " + nobody.String() + " somebody " + asksNobody)
	alice.do("/set listed off")
	for _, p := range people {
		l.all(p.process)
		l.invite(p.do("/invite")["invite"].(string))
	}
	l.scan("while they run", people)

	bob.kill()
	alice.do("/msg " + locals[0] + " " + undelivered)
	l.all(alice.process)
	l.scan("after one was killed", people)
	bob.begin()
	bob.await(0, "message", has{"text": undelivered})
	l.all(bob.process)
	carol.kill()
	id := alice.do("/msg " + locals[0] + " " + undelivered)["id"].(string)
	bob.await(0, "message", has{"id": id})
	bob.do("/msg " + locals[1] + " " + toAlice + " again")
	bob.kill() // what it has just taken in may not be noted as shown
	alice.do("/msg " + locals[0] + " " + undelivered)
	quitAll(alice)
	l.all(alice.process)
	l.all(bob.process)
	l.scan("at the end", people)
	for _, p := range people {
		for i, run := range p.runs {
			l.check(fmt.Sprintf("standard error of %s, run %d", p.name, i), run.errs.Bytes())
		}
	}
}

// scan looks through the profiles and the home directories that the program was given.
func (l *ledger) scan(when string, people []*party) {
	l.t.Helper()
	for _, p := range people {
		for _, run := range p.runs {
			for _, v := range run.cmd.Env {
				if home, ok := strings.CutPrefix(v, "HOME="); ok {
					if entries, err := os.ReadDir(home); err != nil || len(entries) > 0 {
						l.t.Errorf("%s: outside its profile %s left %v, %v", when, p.name, entries, err)
					}
				}
			}
		}
		err := fs.WalkDir(os.DirFS(p.dir), ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || name == "." {
				return err
			}
			l.check("the names of files", []byte(name))
			if d.Type() == fs.ModeSocket {
				return nil
			}
			raw, err := fs.ReadFile(os.DirFS(p.dir), name)
			if err != nil {
				return err
			}
			if name == "config.toml" && p == people[0] {
				if own := p.runs[0].await(0, "ready", nil)["listen"].([]any)[0]; string(raw) != fmt.Sprintf("listen = ['%s']\n", own) {
					l.t.Errorf("%s: config.toml of %s holds more than the address to listen on, or another:\n%s", when, p.name, raw)
				}
				return nil
			}
			l.check(fmt.Sprintf("%s, %s of %s", when, name, p.name), raw)
			return nil
		})
		if err != nil {
			l.t.Error(err)
		}
	}
}
