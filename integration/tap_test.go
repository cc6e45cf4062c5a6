package integration

import (
	"math"
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/overlay/onion"
)

// TestTap has twenty nodes that are tapped and three people with whole nodes among
// them, and looks at each frame that came or went at any of the twenty: people
// converse, and nodes ask each other what the services of a node are asked, with
// the same bytes each time, since what is the same before it is wrapped is what
// would show.
//
// Not seen is what two of the three people's nodes send to each other directly.
func TestTap(t *testing.T) {
	goHome(t)
	const tapped = 20
	asked, each := count(80, 1000), count(15, 200)
	if underRace { // it would take minutes
		asked, each = 40, 3
	}
	net := newNetwork(t, false)
	people := newPeople(t, net, 3)
	introduce(t, people...)
	start(t, people[:1], 0)
	joined := people[0].invited()
	w := newWiretap(net.Protocol("onion/x25519/1"))
	var relays []*bareRelay
	for range tapped {
		relays = append(relays, newRelay(t, joined, nil, w.tap, offer))
	}
	for _, p := range people[1:] {
		p.join(joined)
		p.start()
	}
	t.Cleanup(func() { stopAll(people) })
	for _, r := range relays {
		r.awaitRelays(tapped + len(people) - 1)
	}
	for _, p := range people {
		p.awaitRelays(tapped + len(people) - 1)
	}

	journeys := askInTurn(t, w, relays, asked)
	converse(t, people, relays, each)
	frames := w.end(t)

	for _, r := range relays {
		if s := r.link.Stats(); s.Broken > 0 { // a neighbour may go on by another stream: on a newer connection
			t.Errorf("streams broke: %+v", s)
		}
	}
	seen := make(map[hashid.NodeID]int)
	both := 0
	for _, f := range frames {
		seen[f.from]++
		seen[f.to]++
		if !f.sent.IsZero() && !f.received.IsZero() {
			both++
		}
	}
	for _, p := range people {
		if seen[p.profile.Node()] == 0 {
			t.Errorf("nothing was seen of %s: this shows nothing", p.name)
		}
	}
	if both < len(frames)/2 {
		t.Errorf("%d of %d frames were seen at both ends: this shows little", both, len(frames))
	}
	expectNothingShared(t, frames)
	expectPositionUnknown(t, journeys)
}

// expectNothingShared compares all frames with each other.
func expectNothingShared(t *testing.T, frames []*frame) {
	t.Helper()
	pieces := make([][]byte, len(frames))
	for i, f := range frames {
		pieces[i] = f.Packet[:]
	}
	began := time.Now()
	var found int
	shared(pieces, func(hay int, m match) {
		if found++; found > 10 {
			return
		}
		a, b := frames[m.needle], frames[hay]
		t.Errorf("%d bytes at %d of one frame are at %d of another, %s", m.length, m.at, m.in, related(a, b))
	})
	if found > 10 {
		t.Errorf("and %d more", found-10)
	}
	pairs := 0 // of a frame that a node got and one that it sent
	in, out := make(map[hashid.NodeID]int), make(map[hashid.NodeID]int)
	for _, f := range frames {
		in[f.to]++
		out[f.from]++
	}
	for id, n := range in {
		pairs += n * out[id]
	}
	t.Logf("%d frames compared at every offset, among them %d pairs of what a node got and what it sent, in %v",
		len(frames), pairs, time.Since(began).Round(time.Millisecond))
}

func related(a, b *frame) string {
	switch {
	case a == b:
		return "the same"
	case a.to == b.from || a.from == b.to:
		return "which the same node passed on"
	case a.from == b.from && a.to == b.to:
		return "of the same link"
	}
	return "of another link"
}

// expectPositionUnknown has the position of tapped frames guessed by who has learnt
// from many that package onion made.
func expectPositionUnknown(t *testing.T, journeys []journey) {
	t.Helper()
	const most = 5 // standard errors: these frames are others each time
	z := newPuzzle("the position of tapped frames", 2*onion.Layers, byPosition)
	learn := func(f labelled) {
		z.frames, z.labels = append(z.frames, f.Packet), append(z.labels, f.position)
	}
	for _, f := range newForge(t, 3).some(count(4_000, 20_000), onion.Relays) {
		learn(f)
	}
	z.learn = len(z.frames)
	for _, j := range journeys {
		for i, f := range j {
			learn(labelled{Packet: &f.Packet, position: i})
		}
	}
	for how, learn := range learners() {
		if off := z.solve(t, how, learn); math.Abs(off) > most {
			t.Errorf("%s can be guessed by %s: off by %.1f standard errors", z.what, how, off)
		}
	}
}
