package integration

import (
	"crypto/rand"
	"encoding/hex"
	mathrand "math/rand/v2"
	"slices"
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/overlay/onion"
)

// bystander is a relay in a process of its own: a whole node.
type bystander struct {
	*child
	id hashid.NodeID
}

// bystanders starts n of them, who know each other, and a relay in this process by
// whose directory others find them.
func bystanders(t *testing.T, n int) ([]*bystander, *bareRelay) {
	t.Helper()
	first := newPeople(t, newNetwork(t, false), 1)
	start(t, first, 0)
	invite, err := first[0].node.Invite()
	if err != nil {
		t.Fatal(err)
	}
	all := make([]*bystander, n)
	for i := range all {
		b := &bystander{child: startChild(t, "node", nodeConfig{Invite: invite, Log: true})}
		var status struct{ Node string }
		b.ask("status", nil, &status)
		raw, err := hex.DecodeString(status.Node)
		if err != nil {
			t.Fatal(err)
		}
		b.id = hashid.NodeID(raw)
		all[i] = b
	}
	guide := newRelay(t, first[0].invited(), nil)
	guide.awaitRelays(n + 1)
	return all, guide
}

// remembered looks through the memory and the log of a bystander for traces, and
// counts those that it may have. Others fail the test.
func (b *bystander) remembered(t *testing.T, s *traces, f *finder) (size, known int) {
	t.Helper()
	where, wrong := "the memory", 0
	look := func(piece []byte) {
		f.find(piece, func(m match) {
			if tr := s.of(m); slices.Contains(tr.known, b.id) {
				known++
			} else if wrong++; wrong <= 10 {
				t.Errorf("%s of a relay holds %s, %d bytes of it", where, tr.what, m.length)
			}
		})
	}
	size = lookThrough(t, b.process.Process.Pid, look)
	where = "the log"
	var log string
	b.ask("log", nil, &log)
	look([]byte(log))
	if log == "" {
		t.Error("a relay has logged nothing: this shows nothing")
	}
	return size, known
}

// TestRelaysRememberNobody has a node that is in no directory and no hash table
// send packets to another such node, through relays in processes of their own, each
// packet with a reply block, and be answered. Then it looks, in all the memory of
// each relay and all it has logged, for who sent and who received (their nodes, and
// the hashids in the packets), for what was sent, and for what is in reply blocks.
// The first relays may know the sender's node, the last the recipient's, and nobody
// anything else.
//
// It does not look for relays of a path: all nodes know all relays. Nor does it
// show that who takes the memory of a relay learns nothing of what it passes on
// now, or has passed on in this hour and the last: the onion keys are there, and
// open what was recorded on its links.
func TestRelaysRememberNobody(t *testing.T) {
	goHome(t)
	relays, guide := bystanders(t, 7)
	firsts, middles, lasts := relays[:2], relays[2:5], relays[5:]
	s := new(traces)
	answered := make(chan onion.SURBID, 1)
	from, to := newLoner(t, guide), newLoner(t, guide)
	from.reply = func(id onion.SURBID, _ *[onion.PayloadSize]byte) { answered <- id }
	to.deliver = func(body []byte) {
		surb, err := onion.ParseSURB(body[:onion.SURBSize])
		if err != nil {
			t.Error(err)
			return
		}
		p, first := to.link.Get(), surb.First()
		if err := surb.Use(p, body); err != nil {
			t.Error(err)
			return
		}
		s.add("a frame of the recipient's", clone(p)[:], first)
		if err := to.link.Send(first, p); err != nil {
			t.Error(err)
		}
	}
	for i := range firsts { // nobody can dial the two
		from.meet(firsts[i].id)
		to.meet(lasts[i].id)
	}
	s.addNode("the sender", from, firsts[0].id, firsts[1].id)
	s.addNode("the recipient", to, lasts[0].id, lasts[1].id)
	const text = "the manuscript is under the third floorboard of the mill"
	s.addSecret(newTextSecret("a text", text))
	var sender, recipient hashid.ID
	for _, id := range []*hashid.ID{&sender, &recipient} {
		_, _ = rand.Read(id[:])
		s.addSecret(newSecret("a hashid", id[:]))
		s.addSecret(newTextSecret("a hashid", id.String()))
	}

	random := mathrand.New(mathrand.NewChaCha8([32]byte{4}))
	path := func(end onion.Hop, ways ...[]*bystander) (hops []onion.Hop) {
		for _, some := range ways {
			relay := some[random.IntN(len(some))]
			hops = append(hops, from.hopOf(relay.id, time.Duration(random.IntN(20))*time.Millisecond))
		}
		return append(hops, end)
	}
	packets := count(60, 500)
	for range packets {
		surb, id, _, err := onion.NewSURB(path(from.hop(), lasts, middles, firsts))
		if err != nil {
			t.Fatal(err)
		}
		s.add("a reply block's id", id[:])
		s.add("a reply block's seed", surb[onion.SURBSize-32:])
		body := slices.Concat(surb[:], sender[:], recipient[:], []byte(text))
		filling := make([]byte, onion.BodySize-len(body))
		_, _ = rand.Read(filling)
		s.add("what is in a packet", filling)
		out := path(to.hop(), firsts, middles, lasts)
		p := from.link.Get()
		if err := onion.Wrap(p, out, append(body, filling...)); err != nil {
			t.Fatal(err)
		}
		s.add("a frame of the sender's", clone(p)[:], out[0].Node)
		if err := from.link.Send(out[0].Node, p); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-answered:
			if got != id {
				t.Error("another answer came")
			}
		case <-time.After(patience):
			t.Fatal("no answer came")
		}
	}

	f, all := s.finder(), 0
	for _, b := range relays {
		size, known := b.remembered(t, s, f)
		all += size
		if known == 0 && !slices.Contains(middles, b) {
			t.Error("a relay does not know its neighbour: this shows nothing")
		}
	}
	t.Logf("%d packets and as many answers; %d MB of memory of %d relays looked through", packets, all/1e6, len(relays))
}
