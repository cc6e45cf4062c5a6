package integration

import (
	"math/rand/v2"
	"testing"

	"chatnt/discovery/hashid"
	"chatnt/overlay/onion"
)

// labelled is a frame of which it is known what it is.
type labelled struct {
	*onion.Packet
	position int // 0 to 3 on the way out, the first to the first relay; 4 to 7 on the way back
	hops     int // relays on the path, 1 to 3
	kind     int // of the request or answer in it, as in inquiries
}

// forge makes frames in quantity, with package onion alone: what a network of
// twenty nodes has on its links, without the network.
type forge struct {
	t      *testing.T
	random *rand.Rand
	nodes  []onion.Hop
	keys   []*onion.PrivateKey // of nodes
}

// newForge returns a forge that draws paths by a seed. The keys come from
// crypto/rand.
func newForge(t *testing.T, seed byte) *forge {
	t.Helper()
	f := &forge{t: t, random: rand.New(rand.NewChaCha8([32]byte{seed}))}
	for i := range 20 {
		key, err := onion.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		f.keys = append(f.keys, key)
		f.nodes = append(f.nodes, onion.Hop{Node: hashid.NodeID{byte(i + 1)}, Key: key.Public()})
	}
	return f
}

// some makes n frames of whole journeys, over paths of so many relays and with
// requests of all kinds. Nothing in them is random but what package onion makes so:
// bodies are zeros, but for the reply block.
func (f *forge) some(n, hops int) []labelled {
	f.t.Helper()
	frames := make([]labelled, 0, n+2*onion.Layers)
	for kind := 0; len(frames) < n; kind = (kind + 1) % len(inquiries()) {
		frames = f.journey(frames, hops, kind)
	}
	return frames[:n]
}

// journey appends the frames of one request and its answer.
func (f *forge) journey(frames []labelled, hops, kind int) []labelled {
	f.t.Helper()
	draw := f.random.Perm(len(f.nodes))
	self, end := draw[0], draw[1]
	out, back := append(draw[2:2+hops:2+hops], end), append(draw[2+hops:2+2*hops:2+2*hops], self)
	surb, _, keys, err := onion.NewSURB(f.hops(back))
	if err != nil {
		f.t.Fatal(err)
	}
	p := new(onion.Packet)
	q := inquiries()[kind]
	if err := onion.Wrap(p, f.hops(out), append(surb[:], make([]byte, q.size)...)); err != nil {
		f.t.Fatal(err)
	}
	for i, node := range out {
		frames = append(frames, labelled{clone(p), i, hops, kind})
		f.step(node, p, onion.Deliver)
	}
	if err := surb.Use(p, make([]byte, q.answer)); err != nil {
		f.t.Fatal(err)
	}
	for i, node := range back {
		frames = append(frames, labelled{clone(p), onion.Layers + i, hops, kind})
		f.step(node, p, onion.Reply)
	}
	if _, err := keys.Open(p.Payload()); err != nil {
		f.t.Fatal(err)
	}
	return frames
}

func (f *forge) hops(nodes []int) []onion.Hop {
	hops := make([]onion.Hop, 0, len(nodes))
	for _, n := range nodes {
		hops = append(hops, f.nodes[n])
	}
	return hops
}

// step does what a node does: it takes its layer off p, which is to go on or, at
// the last node, to be of a kind.
func (f *forge) step(node int, p *onion.Packet, last onion.Kind) {
	f.t.Helper()
	h, err := f.keys[node].Open(p)
	switch {
	case err != nil:
		f.t.Fatal(err)
	case h.Kind == onion.Forward:
		h.Strip(p)
	case h.Kind != last:
		f.t.Fatalf("a packet of kind %d ends here, not of kind %d", h.Kind, last)
	case h.Kind == onion.Deliver:
		if _, err := h.Deliver(p); err != nil {
			f.t.Fatal(err)
		}
	}
}

func clone(p *onion.Packet) *onion.Packet {
	c := *p
	return &c
}
