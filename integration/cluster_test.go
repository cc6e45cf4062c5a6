package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/network"
	"chatnt/node"
	"chatnt/node/control"
)

const (
	loopback = "/ip4/127.0.0.1/tcp/0"

	// patience bounds every wait. It is no claim about speed: a shared machine
	// under the race detector may be slow.
	patience = 120 * time.Second
)

// person is somebody with a node, and all that the node has told so far, also
// before it was stopped and started again.
type person struct {
	t       testing.TB
	name    string // by which the others know this person
	profile *node.Profile
	now     func() time.Time // the person's clock; nil: a right one
	log     *slog.Logger     // nil: none
	node    *node.Node       // of the last start
	stop    func()           // ends the node; twice is harmless

	mu     sync.Mutex
	events []control.Event // guarded by mu
	more   chan struct{}   // guarded by mu; closed and replaced when an event comes
}

func newPerson(t testing.TB, name string, p *node.Profile) *person {
	return &person{t: t, name: name, profile: p, stop: func() {}, more: make(chan struct{})}
}

// newPeople makes persons with profiles in memory, not running yet, named p0, p1, ...
func newPeople(t testing.TB, net *network.Network, n int) []*person {
	t.Helper()
	var people []*person
	for i := range n {
		p, err := node.Ephemeral(net, nil)
		if err != nil {
			t.Fatal(err)
		}
		people = append(people, newPerson(t, fmt.Sprintf("p%d", i), p))
	}
	return people
}

func newNetwork(t testing.TB, public bool) *network.Network {
	t.Helper()
	net, err := network.New("integration", 3, public)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// introduce makes everybody everybody's contact.
func introduce(t testing.TB, people ...*person) {
	t.Helper()
	for _, a := range people {
		for _, b := range people {
			if a == b {
				continue
			}
			if err := a.profile.Introduce(b.profile.Hashid(), b.name); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// start runs everybody's node, the first one's as the one that all others know
// to join by, and waits until each could use at least usable relays.
func start(t testing.TB, people []*person, usable int) {
	t.Helper()
	first := people[0]
	first.start()
	joined := first.invited()
	for _, p := range people[1:] {
		p.join(joined)
		p.start()
	}
	for _, p := range people {
		p.awaitRelays(usable)
	}
	t.Cleanup(func() { stopAll(people) })
}

// stopAll ends nodes, all at once since each takes a moment to say goodbye.
func stopAll(people []*person) {
	var wg sync.WaitGroup
	for _, p := range people {
		wg.Go(p.stop)
	}
	wg.Wait()
}

// invited is the person's network as its running node would have others join it.
func (p *person) invited() *network.Network {
	p.t.Helper()
	text, err := p.node.Invite()
	if err != nil {
		p.t.Fatal(err)
	}
	invite, err := network.ParseInvite(text)
	if err != nil {
		p.t.Fatal(err)
	}
	return invite.Network
}

// join stores a network with the addresses to join it by.
func (p *person) join(net *network.Network) {
	p.t.Helper()
	if err := p.profile.SetNetwork(net, nil); err != nil {
		p.t.Fatal(err)
	}
}

// start runs the node on any free port and waits until it listens.
func (p *person) start() control.Ready {
	p.t.Helper()
	return p.startAt(loopback)
}

// startAt runs the node where asked.
func (p *person) startAt(listen string) control.Ready {
	p.t.Helper()
	mark := p.mark()
	n, err := node.New(node.Config{Profile: p.profile, Listen: []string{listen}, Now: p.now, Log: p.log})
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := n.Run(ctx); err != nil {
			p.t.Errorf("%s: the node ended: %v", p.name, err)
		}
	})
	wg.Go(func() { p.collect(ctx, n) })
	profile := p.profile
	p.node = n
	p.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		if err := profile.Close(); err != nil {
			p.t.Errorf("%s: closing the profile: %v", p.name, err)
		}
	})
	p.t.Cleanup(p.stop)
	return await(p, mark, "being ready", func(control.Ready) bool { return true })
}

func (p *person) collect(ctx context.Context, n *node.Node) {
	for {
		e, err := n.Next(ctx)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.events = append(p.events, e)
		close(p.more)
		p.more = make(chan struct{})
		p.mu.Unlock()
	}
}

func (p *person) hashid() hashid.ID { return p.profile.Hashid() }

// mark is the number of events so far, for waiting for later ones.
func (p *person) mark() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.events)
}

// since returns the events after a mark, and what is closed when more come.
func (p *person) since(mark int) ([]control.Event, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.events[mark:len(p.events):len(p.events)], p.more
}

// await waits for an event after a mark and returns it.
func await[E control.Event](p *person, mark int, what string, ok func(E) bool) E {
	p.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		events, more := p.since(mark)
		for _, e := range events {
			mark++
			if e, is := e.(E); is && ok(e) {
				return e
			}
		}
		select {
		case <-more:
		case <-deadline.C:
			p.t.Fatalf("%s waited in vain for %s; %s", p.name, what, p.last())
		}
	}
}

// last says what the node told last, for the reader of a failed test.
func (p *person) last() string {
	events, _ := p.since(0)
	var b strings.Builder
	fmt.Fprintf(&b, "status %s; the last of %d events:\n", asJSON(p.node.Status()), len(events))
	for _, e := range events[max(0, len(events)-20):] {
		fmt.Fprintf(&b, "  %s %s\n", e.Event(), asJSON(e))
	}
	return b.String()
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (p *person) awaitRelays(n int) {
	p.t.Helper()
	await(p, 0, fmt.Sprintf("%d usable relays", n), func(e control.RelaysChanged) bool { return e.Usable >= n })
}

// send queues a text to somebody and returns its id.
func (p *person) send(to *person, text string) string {
	p.t.Helper()
	id, err := p.node.Send(to.hashid().String(), text)
	if err != nil {
		p.t.Fatalf("%s cannot send to %s: %v", p.name, to.name, err)
	}
	return id.String()
}

// awaitState waits until a text of this person's has entered a state.
func (p *person) awaitState(id, state string) control.StatusChanged {
	p.t.Helper()
	return await(p, 0, "the text "+id+" to be "+state, func(e control.StatusChanged) bool {
		return e.ID == id && e.State == state
	})
}

func (p *person) awaitText(from *person, text string) control.MessageReceived {
	p.t.Helper()
	return await(p, 0, fmt.Sprintf("%.40q from %s", text, from.name), func(e control.MessageReceived) bool {
		return e.From == from.hashid().String() && e.Text == text
	})
}

func (p *person) awaitContact(who *person, state string) control.ContactChanged {
	p.t.Helper()
	return await(p, 0, who.name+" to be "+state, func(e control.ContactChanged) bool {
		return e.Hashid == who.hashid().String() && e.State == state
	})
}

func (p *person) awaitRequest(from *person) control.RequestReceived {
	p.t.Helper()
	return await(p, 0, "a request from "+from.name, func(e control.RequestReceived) bool {
		return e.From == from.hashid().String()
	})
}

// texts returns what somebody has told this person so far, in the order shown.
func (p *person) texts(from *person) []string {
	events, _ := p.since(0)
	var texts []string
	for _, e := range events {
		if m, ok := e.(control.MessageReceived); ok && m.From == from.hashid().String() {
			texts = append(texts, m.Text)
		}
	}
	return texts
}

// requests returns how often somebody's request has been shown.
func (p *person) requests(from *person) int {
	events, _ := p.since(0)
	n := 0
	for _, e := range events {
		if r, ok := e.(control.RequestReceived); ok && r.From == from.hashid().String() {
			n++
		}
	}
	return n
}

// expectTexts checks that somebody's texts came once each and in order. The last
// of them must have come.
func (p *person) expectTexts(from *person, want []string) {
	p.t.Helper()
	if got := p.texts(from); !slices.Equal(got, want) {
		p.t.Errorf("%s got %d texts from %s, want these %d in order:\n%.1000q\nwant\n%.1000q",
			p.name, len(got), from.name, len(want), got, want)
	}
}

// roundTrips has two contacts exchange texts n times. What was on its way to
// either of them before has come by then, as far as anybody can tell from outside.
func roundTrips(a, b *person, n int) {
	a.t.Helper()
	for i := range n {
		there, back := fmt.Sprintf("there %d", i), fmt.Sprintf("back %d", i)
		a.send(b, there)
		b.awaitText(a, there)
		b.send(a, back)
		a.awaitText(b, back)
	}
}
