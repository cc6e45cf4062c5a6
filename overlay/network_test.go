package overlay

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/overlay/link"
	"chatnt/overlay/onion"
	"chatnt/overlay/path"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// net is a network in memory: links without a wire, and a hash table in which
// everybody finds everything.
type net struct {
	t      testing.TB
	memory link.Memory
	hops   int
	loops  bool                     // node 0 sends some
	prefix func(i int) int          // may be nil: without a prefix rule, and all in one
	config func(i int, cfg *Config) // may be nil
	nodes  []*testNode
	pass   atomic.Pointer[passer] // may be nil: everything passes

	mu    sync.Mutex
	table map[string][]byte // guarded by mu; by DHT key
}

// passer sees what node from sends, may change it, and says whether it passes.
type passer func(from, to hashid.NodeID, p *onion.Packet) bool

type testNode struct {
	*Overlay
	*recorder
	id      hashid.NodeID
	key     ed25519.PrivateKey
	dir     *discovery.Directory
	guarded *Guarded
	stop    func()
}

// The hash table of the network, for discovery.
func (n *net) Walk(context.Context) ([]hashid.NodeID, error) { return nil, nil }

func (n *net) Ask(ctx context.Context, id hashid.NodeID) ([]byte, error) {
	return n.Get(ctx, record.DescriptorKey(id))
}

func (n *net) Get(_ context.Context, keys ...string) (best []byte, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, key := range keys {
		if raw := n.table[key]; raw != nil && (best == nil || record.Newer(raw, best)) {
			best = raw
		}
	}
	if best == nil {
		return nil, errors.New("not found")
	}
	return best, nil
}

func (n *net) Put(_ context.Context, key string, value []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if old := n.table[key]; old != nil && record.Newer(old, value) {
		return 0, errors.New("older than what is there")
	}
	n.table[key] = value
	return 1, nil
}

func (n *net) Dial(context.Context, *record.Descriptor) error { return nil }

// tapped is a node's link, with what the network lets pass.
type tapped struct {
	Link
	net  *net
	self hashid.NodeID
}

func (l tapped) Send(to hashid.NodeID, p *onion.Packet) error {
	if pass := l.net.pass.Load(); pass != nil && !(*pass)(l.self, to, p) {
		l.Put(p)
		return nil
	}
	return l.Link.Send(to, p)
}

func (n *net) tap(pass passer) { n.pass.Store(&pass) }

// start runs a network of some nodes, all of which offer the services and are
// known to each other. It is to be called in a bubble of synctest.
func start(t testing.TB, nodes, hops int, services map[string]Service) *net {
	t.Helper()
	return startWith(t, nodes, hops, func(_ int, cfg *Config) { cfg.Services = services })
}

// startWith is start for nodes that differ.
func startWith(t testing.TB, nodes, hops int, config func(i int, cfg *Config)) *net {
	t.Helper()
	return (&net{t: t, hops: hops, config: config}).run(nodes)
}

func (n *net) run(nodes int) *net {
	n.t.Helper()
	n.table = make(map[string][]byte)
	for i := range nodes {
		n.nodes = append(n.nodes, n.newNode(i))
	}
	n.introduce()
	return n
}

// introduce has all nodes learn the descriptors of all, and waits until they have
// dialled each other. (A benchmark, which is in no bubble, waits by itself.)
func (n *net) introduce() {
	n.t.Helper()
	n.introduceAll()
	if _, bubble := n.t.(*testing.T); bubble {
		synctest.Wait()
	}
}

func (n *net) introduceAll() {
	for _, a := range n.nodes {
		for _, b := range n.nodes {
			if _, err := a.dir.Learn(n.table[record.DescriptorKey(b.id)]); err != nil {
				n.t.Error(err)
			}
		}
	}
}

// renew has all nodes sign their descriptors anew, and learn those of all, as they
// do every two hours: a descriptor serves for six.
func (n *net) renew() {
	n.t.Helper()
	for i, node := range n.nodes {
		n.publish(i, node)
	}
	n.introduce()
}

func (n *net) newNode(i int) *testNode {
	seed := [ed25519.SeedSize]byte{byte(i + 1)}
	node := &testNode{key: ed25519.NewKeyFromSeed(seed[:])}
	node.id = hashid.OfNode(node.key.Public().(ed25519.PublicKey))
	log := slog.New(slog.DiscardHandler)
	node.dir = discovery.NewDirectory(node.id, [32]byte{}, time.Now, log)
	finder, err := discovery.NewFinder(node.dir, n)
	if err != nil {
		n.t.Fatal(err)
	}
	l := n.memory.New(node.id, func(from hashid.NodeID, p *onion.Packet) { node.Receive(from, p) }, nil)
	node.guarded = NewGuarded(node.dir, path.New(path.Rules{Self: node.id, Hops: n.hops, Apart: n.prefix != nil}), time.Now, nil)
	node.recorder = &recorder{Paths: node.guarded, begun: time.Now()}
	cfg := Config{Self: node.id, Link: tapped{l, n, node.id}, Paths: node.recorder, Finder: finder, Now: time.Now, Log: log}
	if n.loops && i == 0 {
		cfg.Loops = node.guarded
	}
	if n.config != nil {
		n.config(i, &cfg)
	}
	node.Overlay = New(cfg)
	n.publish(i, node)

	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, part := range []func(context.Context) error{
		l.Run, node.Run, func(ctx context.Context) error { return node.dir.Run(ctx, n) },
	} {
		wg.Go(func() {
			if err := part(ctx); err != nil {
				n.t.Error(err)
			}
		})
	}
	node.stop = func() { cancel(); wg.Wait() }
	return node
}

// restart stops a node and starts it anew, with other onion keys.
func (n *net) restart(i int) {
	n.nodes[i].stop()
	n.nodes[i] = n.newNode(i)
}

// stop ends all nodes.
func (n *net) stop() {
	for _, node := range n.nodes {
		node.stop()
	}
}

func (n *net) publish(i int, node *testNode) {
	now := time.Now()
	prefix := 0
	if n.prefix != nil {
		prefix = n.prefix(i)
	}
	addr, err := multiaddr.NewMultiaddr(fmt.Sprintf("/ip4/10.%d.0.1/tcp/%d", prefix, i+1))
	if err != nil {
		n.t.Fatal(err)
	}
	d := &record.Descriptor{
		Node: [32]byte(node.key.Public().(ed25519.PublicKey)), Flags: record.FlagRelay, Addrs: []multiaddr.Multiaddr{addr},
		Sequence: uint64(now.Unix()), Expires: now.Add(record.DescriptorLifetime),
	}
	first, keys, err := node.Keys(now)
	if err != nil {
		n.t.Fatal(err)
	}
	d.FirstEpoch = first
	for i, k := range keys {
		d.Keys[i] = k
	}
	raw, err := d.Sign([32]byte{}, node.key)
	if err != nil {
		n.t.Fatal(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.table[record.DescriptorKey(node.id)] = raw
}

// try makes one attempt from one node to another.
func (n *net) try(from, to int, service, body string) (string, *Path, error) {
	ctx, cancel := context.WithTimeout(n.t.Context(), 10*time.Second)
	defer cancel()
	path, err := n.nodes[from].Draw(n.nodes[to].id)
	if err != nil {
		return "", nil, err
	}
	answer, err := n.nodes[from].Caller().Try(ctx, path, service, []byte(body))
	return string(answer), path, err
}

// request sends from one node to another until an answer comes.
func (n *net) request(from, to int, service, body string, within time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(n.t.Context(), within)
	defer cancel()
	answer, err := n.nodes[from].Caller().Request(ctx, n.nodes[to].id, service, []byte(body), Fast)
	return string(answer), err
}

// expectNoneWait waits until all that is awaited is forgotten, and then for nobody
// to be waiting.
func (n *net) expectNoneWait() {
	n.t.Helper()
	time.Sleep(Slow.Patience(2*onion.Relays) + lateFor)
	synctest.Wait()
	for i, node := range n.nodes {
		t := node.awaited
		t.mu.Lock()
		if len(t.byID) != 0 || len(t.order) != 0 || t.late.Len() != 0 || t.attempts.Taken() != 0 || t.replies.Taken() != 0 {
			n.t.Errorf("node %d waits for %d answers: %d, %d late, %d and %d places", i,
				len(t.byID), len(t.order), t.late.Len(), t.attempts.Taken(), t.replies.Taken())
		}
		t.mu.Unlock()
	}
}

func (n *net) index(id hashid.NodeID) int {
	return slices.IndexFunc(n.nodes, func(node *testNode) bool { return node.id == id })
}
