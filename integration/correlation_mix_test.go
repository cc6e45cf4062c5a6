package integration

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/overlay"
	"chatnt/overlay/link"
	"chatnt/overlay/onion"
	"chatnt/overlay/relay"
)

// traffic is what goes through a network: conversations of one sender and one
// recipient each, who are no relays and write to nobody else.
type traffic struct {
	relays        int
	conversations int
	every         time.Duration // on average, from one message of a sender to the next; Poisson
	latency       overlay.Latency
	messages      int // in all conversations together
	seed          byte
}

// passage is one message, and when it was where. The times are what those could have
// noted who watched.
type passage struct {
	conversation int
	relays       [onion.Relays]int
	in, out      [onion.Relays]time.Duration // when it reached each relay and left it, from the beginning
}

func (f *passage) entered() time.Duration { return f.in[0] }
func (f *passage) left() time.Duration    { return f.out[onion.Relays-1] }

// mix is a network of real relays on links in memory, that take no time: it is the
// relays' delays alone that mix. It follows each packet through all relays.
type mix struct {
	traffic
	t      *testing.T
	memory link.Memory
	nodes  []*mixNode // relays first, then the conversations' recipients, then their senders
	random *rand.Rand
	begin  time.Time

	mu       sync.Mutex // guards the fields below
	passages []*passage
	onWire   map[[16]byte]int      // by the beginning of a frame: the passage
	held     map[*onion.Packet]int // by a relay: the passage
	place    map[hashid.NodeID]int // of a relay, in nodes
}

type mixNode struct {
	id    hashid.NodeID
	link  *link.Link
	relay *relay.Relay // nil: an end
	key   onion.PublicKey
}

// run has all messages sent, in virtual time, and returns what became of them.
func (tr traffic) run(t *testing.T) (passages []*passage) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := &mix{
			traffic: tr, t: t, random: rand.New(rand.NewChaCha8([32]byte{tr.seed})), begin: time.Now(),
			onWire: make(map[[16]byte]int), held: make(map[*onion.Packet]int), place: make(map[hashid.NodeID]int),
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for i := range tr.relays + 2*tr.conversations {
			m.add(ctx, i, &running)
		}
		synctest.Wait()
		for range tr.messages {
			time.Sleep(time.Duration(m.random.ExpFloat64() * float64(tr.every) / float64(tr.conversations)))
			m.send(m.random.IntN(tr.conversations))
		}
		time.Sleep(onion.Relays * onion.MaxDelay)
		cancel()
		running.Wait()
		passages = m.passages
	})
	for i, f := range passages {
		if f.out[onion.Relays-1] == 0 {
			t.Fatalf("message %d of %d was lost", i, len(passages))
		}
	}
	return passages
}

func (m *mix) add(ctx context.Context, i int, running *sync.WaitGroup) {
	n := &mixNode{id: hashid.NodeID{1, byte(i >> 8), byte(i)}}
	m.nodes = append(m.nodes, n)
	receive := func(_ hashid.NodeID, p *onion.Packet) { n.link.Put(p) }
	if i < m.relays {
		m.place[n.id] = i
		receive = func(from hashid.NodeID, p *onion.Packet) {
			m.arrived(n.id, p)
			n.relay.Handle(from, p)
		}
		n.relay = relay.New(relay.Config{
			Self: n.id, Now: time.Now,
			Send: func(to hashid.NodeID, p *onion.Packet) error {
				m.leaves(n.id, p)
				return n.link.Send(to, p)
			},
			Free:    func(p *onion.Packet) { m.t.Error("a relay dropped a packet"); n.link.Put(p) },
			Deliver: func(hashid.NodeID, []byte) { m.t.Error("a packet ended at a relay") },
			Reply:   func(onion.SURBID, *[onion.PayloadSize]byte) { m.t.Error("a reply came to a relay") },
		})
	}
	n.link = m.memory.New(n.id, receive, nil)
	parts := []func(context.Context) error{n.link.Run}
	if n.relay != nil {
		parts = append(parts, n.relay.Run)
		m.newKey(n)
	} else {
		m.endKey(n)
	}
	for _, part := range parts {
		running.Go(func() {
			if err := part(ctx); err != nil {
				m.t.Error(err)
			}
		})
	}
}

func (m *mix) newKey(n *mixNode) {
	_, keys, err := n.relay.Keys(m.begin)
	if err != nil {
		m.t.Fatal(err)
	}
	n.key = keys[0]
}

// endKey gives an end a key that nobody has: what comes there has been seen to leave
// the last relay, and is opened no further.
func (m *mix) endKey(n *mixNode) {
	key, err := onion.GenerateKey()
	if err != nil {
		m.t.Fatal(err)
	}
	n.key = key.Public()
}

// send sends one message of a conversation, over a path drawn evenly.
func (m *mix) send(conversation int) {
	f := &passage{conversation: conversation}
	var hops []onion.Hop
	for i, r := range m.random.Perm(m.relays)[:onion.Relays] {
		f.relays[i] = r
		hops = append(hops, onion.Hop{Node: m.nodes[r].id, Key: m.nodes[r].key, Delay: m.latency.Delay(m.random.Uint64())})
	}
	to := m.nodes[m.relays+conversation]
	from := m.nodes[m.relays+m.conversations+conversation]
	p := from.link.Get()
	if err := onion.Wrap(p, append(hops, onion.Hop{Node: to.id, Key: to.key}), nil); err != nil {
		m.t.Fatal(err)
	}
	m.mu.Lock()
	m.passages = append(m.passages, f)
	m.onWire[[16]byte(p[:])] = len(m.passages) - 1
	m.mu.Unlock()
	if err := from.link.Send(hops[0].Node, p); err != nil {
		m.t.Fatal(err)
	}
}

// arrived notes that a packet has reached a relay.
func (m *mix) arrived(at hashid.NodeID, p *onion.Packet) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, ok := m.onWire[[16]byte(p[:])]
	if !ok {
		m.t.Error("a packet came that nobody sent")
		return
	}
	delete(m.onWire, [16]byte(p[:]))
	m.held[p] = i
	m.note(i, at, &m.passages[i].in)
}

// leaves notes that a relay sends a packet on.
func (m *mix) leaves(from hashid.NodeID, p *onion.Packet) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, ok := m.held[p]
	if !ok {
		m.t.Error("a packet leaves that did not come")
		return
	}
	delete(m.held, p)
	m.onWire[[16]byte(p[:])] = i
	m.note(i, from, &m.passages[i].out)
}

// note writes down a time, with mu held.
func (m *mix) note(i int, at hashid.NodeID, times *[onion.Relays]time.Duration) {
	for k, r := range m.passages[i].relays {
		if r == m.place[at] {
			times[k] = time.Since(m.begin) + 1 // zero is never
			return
		}
	}
	m.t.Error("a packet is at a relay that is not on its path")
}
