package integration

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"chatnt/discovery/network"
	"chatnt/node"
	"chatnt/node/vault"
)

// TestRestart stops nodes whose profiles are on disk while messages are under
// way, and starts them again on other ports.
func TestRestart(t *testing.T) {
	goHome(t)
	net := newNetwork(t, false)
	alice, bob := newOnDisk(t, "alice", net), newOnDisk(t, "bob", net)
	introduce(t, alice.person, bob.person)
	people := append(newPeople(t, net, 5), alice.person, bob.person)
	start(t, people, len(people)-1)
	roundTrips(alice.person, bob.person, 2)

	if p, err := node.OpenProfile(bob.dir, []byte(passphrase)); !errors.Is(err, vault.ErrInUse) {
		t.Errorf("a second node on a running profile: %v, want %v", err, vault.ErrInUse)
		if err == nil {
			p.Close()
		}
	}

	var want []string
	send := func(text string) string {
		want = append(want, text)
		return alice.send(bob.person, text)
	}
	want = append(want, bob.texts(alice.person)...)

	// The recipient goes and comes back elsewhere.
	bob.stop()
	var last string
	for i := range count(10, 100) {
		last = send(fmt.Sprintf("while bob is away %d", i))
	}
	bob.restart(people[0])
	back := time.Now()
	bob.awaitText(alice.person, want[len(want)-1])
	t.Logf("all is there %.1f s after the recipient's return", time.Since(back).Seconds())
	alice.awaitState(last, "delivered")
	bob.expectTexts(alice.person, want)

	// The sender goes with messages in its outbox, and keeps them.
	bob.stop()
	for i := range count(5, 50) {
		last = send(fmt.Sprintf("before alice goes %d", i))
	}
	alice.stop()
	alice.restart(people[0])
	if got := alice.node.Status().Queued; got != count(5, 50) {
		t.Errorf("%d messages wait after the sender's restart, want %d", got, count(5, 50))
	}
	bob.restart(people[0])
	back = time.Now()
	bob.awaitText(alice.person, want[len(want)-1])
	t.Logf("all is there %.1f s after the recipient's return", time.Since(back).Seconds())
	alice.awaitState(last, "delivered")
	bob.expectTexts(alice.person, want)
	roundTrips(bob.person, alice.person, 2)
}

const passphrase = "the cat sat on the mat"

// onDisk is a person whose profile outlives the node.
type onDisk struct {
	*person
	dir string
}

func newOnDisk(t *testing.T, name string, net *network.Network) *onDisk {
	t.Helper()
	dir := t.TempDir()
	profile, err := node.OpenProfile(dir, []byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	if err := profile.SetNetwork(net, nil); err != nil {
		t.Fatal(err)
	}
	return &onDisk{person: newPerson(t, name, profile), dir: dir}
}

// restart opens the profile of a stopped node again and runs it on another port.
// Identity, node key, network and contacts are the same as before.
func (p *onDisk) restart(joined *person) {
	p.t.Helper()
	ports := p.occupy()
	contacts, hashid, id := asJSON(p.node.Contacts()), p.profile.Hashid(), p.profile.Node()
	profile, err := node.OpenProfile(p.dir, []byte(passphrase))
	if err != nil {
		p.t.Fatal(err)
	}
	p.profile = profile
	if profile.Hashid() != hashid || profile.Node() != id {
		p.t.Errorf("%s is somebody else after a restart", p.name)
	}
	if got, want := profile.Network().ID(), joined.profile.Network().ID(); got != want {
		p.t.Errorf("%s is in network %s after a restart, not in %s", p.name, got, want)
	}
	ready := p.start()
	if got := asJSON(p.node.Contacts()); got != contacts {
		p.t.Errorf("%s has these contacts after a restart:\n%s\nand had\n%s", p.name, got, contacts)
	}
	for _, l := range ready.Listen {
		for _, port := range ports {
			if l == port {
				p.t.Fatalf("%s listens on %s again: this shows nothing", p.name, l)
			}
		}
	}
}

// occupy takes the ports that the stopped node had, until the end of the test.
func (p *onDisk) occupy() []string {
	p.t.Helper()
	var taken []string
	for _, l := range p.node.Status().Listen {
		a, err := multiaddr.NewMultiaddr(l)
		if err != nil {
			p.t.Fatal(err)
		}
		addr, err := manet.ToNetAddr(a)
		if err != nil {
			p.t.Fatal(err)
		}
		hold, err := net.Listen("tcp", addr.String())
		if err != nil {
			p.t.Fatal(err)
		}
		p.t.Cleanup(func() { hold.Close() })
		taken = append(taken, l)
	}
	return taken
}
