package integration

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/overlay"
)

// TestNobodyAsksForItself taps the hash tables of a network while people publish, give up and look
// up key records. Nothing that is asked there for a person's record comes from that person's own
// node, nor from that of whoever looks for it.
//
// A node also asks for others, as their exit. So that all that is asked for a key is asked for the
// one whose it is, or for the only one who looks, those who are looked for have left by then.
func TestNobodyAsksForItself(t *testing.T) {
	goHome(t)
	net := newNetwork(t, false)
	tap := newTableTap(t)
	people := newPeople(t, net, 3)
	first := people[0]
	first.start()
	joined := first.invited()
	t.Cleanup(func() { stopAll(people) })
	for _, p := range people[1:] {
		p.join(joined)
		p.start()
	}
	var relays []*bareRelay
	for range 7 {
		relays = append(relays, newExit(t, joined, nil, tap, nil))
	}
	for _, p := range people {
		p.awaitRelays(9)
	}
	for _, r := range relays {
		r.awaitRelays(9)
	}
	w := &watch{t: t, tap: tap, net: net.ID(), clean: make(map[string]hashid.NodeID)}

	// Tom is listed, and una is not. Nobody who is there knows them.
	tom, una, dave := newOnDisk(t, "tom", net), newOnDisk(t, "una", net), newOnDisk(t, "dave", net)
	introduce(t, dave.person, tom.person)
	if err := una.profile.SetListed(false, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*onDisk{tom, una} {
		p.join(joined)
		p.start()
	}
	byLink := una.link()
	toms := w.of(tom.person, record.Locator{Hashid: tom.hashid()})
	unas := w.of(una.person, byLink)
	tap.await(0, pb.Message_PUT_VALUE, toms...)
	tap.await(0, pb.Message_PUT_VALUE, unas...)
	tom.stop()
	una.stop()

	// Dave has tom as a contact, asks una, and is found by nobody.
	mark := tap.mark()
	dave.join(joined)
	dave.start()
	daves := w.of(dave.person, record.Locator{Hashid: dave.hashid()})
	w.lookedFor(dave.person, toms, unas)
	if err := dave.node.Add(byLink, "una", ""); err != nil {
		t.Fatal(err)
	}
	dave.send(tom.person, "hello")
	tap.await(mark, pb.Message_GET_VALUE, toms...)
	tap.await(mark, pb.Message_GET_VALUE, unas...)
	tap.await(0, pb.Message_PUT_VALUE, daves...)
	if err := dave.node.SetListed(false); err != nil {
		t.Fatal(err)
	}
	before := dave.link()
	if err := dave.node.NewLink(); err != nil {
		t.Fatal(err)
	}
	tap.await(0, pb.Message_PUT_VALUE, w.of(dave.person, before)...)
	linked := w.of(dave.person, dave.link())
	tap.await(0, pb.Message_PUT_VALUE, linked...)
	dave.stop()
	mark = tap.mark()
	dave.returns(joined)
	tap.await(mark, pb.Message_PUT_VALUE, linked...)
	w.check(tom.person, una.person, dave.person)

	// And all the same they reach each other.
	tom.returns(joined)
	tom.awaitText(dave.person, "hello")
	una.returns(joined)
	una.awaitRequest(dave.person)
	una.accept(dave.person)
	dave.awaitContact(una.person, "accepted")
	stopAll([]*person{dave.person, tom.person, una.person})
}

// watch knows whose nodes must not ask for which keys.
type watch struct {
	t     *testing.T
	tap   *tableTap
	net   [32]byte
	clean map[string]hashid.NodeID // by key: whose it is
	by    map[string]hashid.NodeID // by key: who looks for it
}

// of returns the keys of the record that is found by a locator, and watches them.
func (w *watch) of(p *person, at record.Locator) []string {
	w.t.Helper()
	pairs, err := at.Places(w.net, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, pair := range pairs {
		for _, key := range pair {
			w.clean[key] = p.profile.Node()
		}
	}
	return slices.Clone(pairs[0][:])
}

func (w *watch) lookedFor(by *person, lists ...[]string) {
	w.by = make(map[string]hashid.NodeID)
	for _, list := range lists {
		for _, key := range list {
			w.by[key] = by.profile.Node()
		}
	}
}

// check looks at all that was asked for the keys that are watched.
func (w *watch) check(people ...*person) {
	w.t.Helper()
	names := make(map[hashid.NodeID]string)
	for _, p := range people {
		names[p.profile.Node()] = p.name
	}
	kinds, from := make(map[pb.Message_MessageType]int), make(map[hashid.NodeID]bool)
	for key, owner := range w.clean {
		list, _ := w.tap.about(0, key)
		for _, r := range list {
			kinds[r.kind]++
			from[r.from] = true
			if r.from == owner {
				w.t.Errorf("%v for a key of %s comes from its own node", r.kind, names[owner])
			}
			if by, ok := w.by[key]; ok && r.from == by {
				w.t.Errorf("%v for a key of %s comes from the node of %s", r.kind, names[owner], names[by])
			}
		}
	}
	for _, kind := range []pb.Message_MessageType{pb.Message_FIND_NODE, pb.Message_GET_VALUE, pb.Message_PUT_VALUE} {
		if kinds[kind] == 0 {
			w.t.Errorf("nobody has asked with %v: this shows nothing", kind)
		}
	}
	if len(from) < 5 {
		w.t.Errorf("only %d nodes have asked", len(from))
	}
	w.t.Logf("requests for %d keys: %v, from %d nodes", len(w.clean), kinds, len(from))
}

// liar is an exit that bends what it is asked: it says that it has stored what it has not, and
// answers with what is forged, with the oldest that it has seen, with nothing or not at all.
type liar struct {
	n atomic.Int64

	mu     sync.Mutex
	oldest map[string][]byte // guarded by mu, by key: as an answer
}

func (l *liar) serve(honest map[string]overlay.SlowService) map[string]overlay.SlowService {
	l.oldest = make(map[string][]byte)
	return map[string]overlay.SlowService{
		"record.put": func(context.Context, []byte) []byte { l.n.Add(1); return []byte{1} },
		"record.get": func(ctx context.Context, body []byte) []byte {
			answer, turn := honest["record.get"](ctx, body), l.n.Add(1)
			l.mu.Lock()
			defer l.mu.Unlock()
			old := l.oldest[string(body)]
			if old == nil && len(answer) > 1 {
				old = slices.Clone(answer)
				l.oldest[string(body)] = old
			}
			switch turn % 4 {
			case 0:
				return []byte{2}
			case 1:
				return nil
			case 2:
				return old
			}
			if len(answer) > 100 {
				answer[100] ^= 1
			}
			return answer
		},
	}
}

// TestLyingExits has people become contacts where two of nine exits lie in every way they can. All
// that these achieve is that others are asked.
func TestLyingExits(t *testing.T) {
	goHome(t)
	net := newNetwork(t, false)
	people := newPeople(t, net, 3)
	first := people[0]
	first.start()
	joined := first.invited()
	for range 6 {
		newRelay(t, joined, nil)
	}
	liars := []*liar{{}, {}}
	for _, l := range liars {
		newExit(t, joined, nil, nil, l.serve)
	}
	for _, p := range people[1:] {
		p.join(joined)
		p.start()
	}
	t.Cleanup(func() { stopAll(people) })
	for _, p := range people {
		p.awaitRelays(10)
	}
	a, b, c := people[0], people[1], people[2]
	for _, pair := range [][2]*person{{a, b}, {b, c}, {c, a}} {
		pair[0].befriend(pair[1])
	}
	// Somebody's record becomes another, and is found by another way.
	if err := a.node.SetListed(false); err != nil {
		t.Fatal(err)
	}
	late := arrive(t, net, first, 1)[0]
	if err := late.node.Add(a.link(), a.name, ""); err != nil {
		t.Fatal(err)
	}
	a.awaitRequest(late)
	a.accept(late)
	late.awaitContact(a, "accepted")
	roundTrips(a, b, 1)
	roundTrips(late, a, 1)
	for i, l := range liars {
		if l.n.Load() == 0 {
			t.Errorf("liar %d was never asked: this shows nothing", i)
		}
	}
	stopAll([]*person{late})
}
