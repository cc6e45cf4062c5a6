package integration

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

const (
	// A node that has run for so long is found, and finds, without fail.
	settled = time.Minute

	// What has left without a word is not on a path any more after so long: its
	// connections are dead after 30 s, and a dial of 5 s tells.
	forgotten = time.Minute

	changes        = 3 // nodes that leave in an hour, and as many that come
	fewest         = 6 // nodes there are at the least: two ends, three relays, one that has just gone
	longestAbsence = 10 * time.Minute

	sampleEvery = 5 * time.Minute
	clocksApart = 5 * time.Minute // at the most

	lateAnswer = 3 * time.Second // of the service "late"
	requestTry = 5 * time.Second
	tries      = 3
)

// world is a simulated network and whoever lives in it.
type world struct {
	t       *testing.T
	ether   ether
	network [32]byte
	rand    *rand.Rand
	start   time.Time

	nodes []*steadyNode // those that run
	away  []*inhabitant // those that may come back
	gone  map[hashid.NodeID]time.Time
	hosts int // addresses given out
	born  int // inhabitants ever

	lost time.Time // when the last node left without a word

	requests, repeats int
	samples           int
	oldest            [2]time.Duration // age of the oldest descriptor and key record seen
}

const (
	ofNode = iota
	ofPerson
)

func newWorld(t *testing.T, seed uint64) *world {
	return &world{
		t: t, network: [32]byte{1}, rand: rand.New(rand.NewPCG(seed, seed)), start: time.Now(), gone: make(map[hashid.NodeID]time.Time),
	}
}

// add starts an inhabitant's node, at an address never used before.
func (w *world) add(who *inhabitant) {
	w.hosts++
	var ip [4]byte
	binary.BigEndian.PutUint32(ip[:], 0x01000000+uint32(w.hosts))
	addr := netip.AddrPortFrom(netip.AddrFrom4(ip), 4001)
	var seeds []peer.AddrInfo
	for _, n := range w.nodes[:min(2, len(w.nodes))] {
		seeds = append(seeds, n.info())
	}
	delete(w.gone, who.node())
	w.nodes = append(w.nodes, startSteady(w.t, &w.ether, w.network, who, addr, seeds...))
}

// newcomer is somebody new, with a clock of its own.
func (w *world) newcomer() *inhabitant {
	w.born++
	return newInhabitant(w.t, time.Duration(w.rand.Int64N(int64(clocksApart)+1))-clocksApart/2)
}

// remove stops a node.
func (w *world) remove(i int, farewell bool) *inhabitant {
	n := w.nodes[i]
	w.nodes = append(w.nodes[:i:i], w.nodes[i+1:]...)
	n.stop(farewell)
	w.gone[n.node()] = time.Now()
	if !farewell {
		w.lost = time.Now()
	}
	return n.inhabitant
}

func (w *world) stop() {
	for len(w.nodes) > 0 {
		w.remove(len(w.nodes)-1, w.rand.IntN(2) == 0)
	}
}

// fail reports what is wrong, and when.
func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Errorf("%v: %s", time.Since(w.start).Round(time.Millisecond), fmt.Sprintf(format, args...))
}

// old are the nodes that have run long enough to be relied on.
func (w *world) old() []*steadyNode {
	var nodes []*steadyNode
	for _, n := range w.nodes {
		if time.Since(n.born) > settled {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// check looks at all that must hold at any time: every node has published
// records that are as young as they should be, everybody finds them, and nobody
// would use a node that is gone.
func (w *world) check() {
	w.t.Helper()
	w.samples++
	nodes := w.old()
	for i, n := range nodes {
		w.checkDirectory(n, nodes)
		// Over the samples, everybody looks for everybody.
		reader := nodes[(i+1+w.samples%(len(nodes)-1))%len(nodes)]
		for _, key := range record.KeyRecordKeys(n.person()) {
			raw, err := reader.table.DHT.Get(w.t.Context(), key)
			if err != nil {
				w.fail("a person's key record is not to be found: %v", err)
				continue
			}
			w.checkAge(n, ofPerson, raw)
		}
		raw, err := reader.table.DHT.Get(w.t.Context(), record.DescriptorKey(n.node()))
		if err != nil {
			w.fail("a node's descriptor is not to be found: %v", err)
			continue
		}
		w.checkAge(n, ofNode, raw)
	}
}

// checkAge checks that a record was renewed in time: within its period and the
// fifth by which that is spread.
func (w *world) checkAge(n *steadyNode, what int, raw []byte) {
	w.t.Helper()
	period := [...]time.Duration{ofNode: steadyDescriptor, ofPerson: steadyKeyRecord}[what]
	age := n.age(raw)
	w.oldest[what] = max(w.oldest[what], age)
	if most := period + period/5 + time.Minute; age > most {
		w.fail("a record of kind %d found is %v old, and is to be renewed after %v", what, age, most)
	}
}

// checkDirectory checks what a node knows of the others.
func (w *world) checkDirectory(n *steadyNode, nodes []*steadyNode) {
	w.t.Helper()
	usable := make(map[hashid.NodeID]*record.Descriptor)
	for _, d := range n.directory.Usable() {
		usable[d.ID()] = d
		if left, ok := w.gone[d.ID()]; ok && time.Since(left) > forgotten {
			w.fail("a node that left %v ago is used as a relay", time.Since(left))
		}
	}
	for _, other := range nodes {
		if other == n {
			continue
		}
		d := usable[other.node()]
		if d == nil {
			known, ok := n.directory.Lookup(other.node())
			w.fail("a relay that is there cannot be used (known: %v, %+v)", ok, known)
			continue
		}
		if age := time.Duration(other.now().Unix()-int64(d.Sequence)) * time.Second; age > steadyDescriptor*6/5+time.Minute {
			w.fail("a descriptor in a directory is %v old", age)
		}
	}
}

// request sends a request between two random nodes through three relays and
// counts how often it has to be repeated.
func (w *world) request(service string) {
	w.t.Helper()
	nodes := w.old()
	from := nodes[w.rand.IntN(len(nodes))]
	to := nodes[w.rand.IntN(len(nodes))]
	if from == to {
		return
	}
	w.requests++
	// Until the loss of a node is noticed, some paths lead through it.
	var causes []error
	for try := 0; try < tries || time.Since(w.lost) < forgotten; try++ {
		err := ask(w.t.Context(), from, to, service)
		if err == nil {
			w.repeats += try
			return
		}
		causes = append(causes, err)
	}
	w.fail("no answer to %d requests to %q: %v", len(causes), service, causes)
}

// ask sends one request and checks its answer.
func ask(ctx context.Context, from, to *steadyNode, service string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTry)
	defer cancel()
	path, err := from.overlay.Draw(to.node())
	if err != nil {
		return err
	}
	body := fmt.Appendf(nil, "%d", rand.Uint64())
	answer, err := from.overlay.Caller().Try(ctx, path, service, body)
	if err != nil {
		return err
	}
	if string(answer) != string(body) {
		return errors.New("the answer is another's")
	}
	return nil
}

var _ discovery.Table = (*steadyTable)(nil)
