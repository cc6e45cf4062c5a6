package overlay

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
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
	"chatnt/overlay/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// net is a network in memory: links without a wire, and a hash table in which
// everybody finds everything.
type net struct {
	t      *testing.T
	memory link.Memory
	nodes  []*testNode
	mangle atomic.Pointer[func(*onion.Packet)] // what relays do to packets on the way out

	mu    sync.Mutex
	table map[string][]byte // guarded by mu; by DHT key
}

type testNode struct {
	*Overlay
	id   hashid.NodeID
	key  ed25519.PrivateKey
	dir  *discovery.Directory
	stop func()
}

// The hash table of the network, for discovery.
func (n *net) Walk(context.Context) ([]hashid.NodeID, error) { return nil, nil }

func (n *net) Ask(context.Context, hashid.NodeID) ([]byte, error) {
	return nil, errors.New("not found")
}

func (n *net) Get(_ context.Context, keys ...string) ([]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if raw := n.table[keys[0]]; raw != nil {
		return raw, nil
	}
	return nil, errors.New("not found")
}

func (n *net) Dial(context.Context, *record.Descriptor) error { return nil }

// mangler is a node's link that may change what it sends.
type mangler struct {
	Link
	net *net
}

func (m mangler) Send(to hashid.NodeID, p *onion.Packet) error {
	if change := m.net.mangle.Load(); change != nil {
		(*change)(p)
	}
	return m.Link.Send(to, p)
}

// start runs a network of some nodes, all of which offer the services and are
// known to each other. It is to be called in a bubble of synctest.
func start(t *testing.T, nodes, hops int, services map[string]Service) *net {
	t.Helper()
	n := &net{t: t, table: make(map[string][]byte)}
	for i := range nodes {
		n.add(i, hops, services)
	}
	for _, a := range n.nodes {
		for _, raw := range n.table {
			if _, err := a.dir.Learn(raw); err != nil {
				t.Fatal(err)
			}
		}
	}
	synctest.Wait() // all have dialled all
	return n
}

func (n *net) add(i, hops int, services map[string]Service) {
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
	node.Overlay = New(Config{
		Self: node.id, Hops: hops, Link: mangler{l, n}, Directory: node.dir, Finder: finder, Now: time.Now, Log: log, Services: services,
	})
	n.publish(i, node)
	n.nodes = append(n.nodes, node)

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
}

// stop ends all nodes.
func (n *net) stop() {
	for _, node := range n.nodes {
		node.stop()
	}
}

func (n *net) publish(i int, node *testNode) {
	now := time.Now()
	addr, err := multiaddr.NewMultiaddr(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", i+1))
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

// request sends from one node to another over a path of its own.
func (n *net) request(from, to int, service, body string) (string, *Path, error) {
	ctx, cancel := context.WithTimeout(n.t.Context(), 10*time.Second)
	defer cancel()
	path, err := n.nodes[from].Draw(ctx, n.nodes[to].id)
	if err != nil {
		return "", nil, err
	}
	answer, err := n.nodes[from].Request(ctx, path, service, []byte(body))
	return string(answer), path, err
}

func (n *net) expectNoneWait() {
	n.t.Helper()
	for i, node := range n.nodes {
		node.mu.Lock()
		if len(node.pending) != 0 {
			n.t.Errorf("node %d waits for %d answers", i, len(node.pending))
		}
		node.mu.Unlock()
	}
}

func echo() map[string]Service {
	return map[string]Service{
		"echo":                              func(body []byte) []byte { return append([]byte("re: "), body...) },
		"size":                              func(body []byte) []byte { return fmt.Append(nil, len(body)) },
		"much":                              func([]byte) []byte { return make([]byte, onion.BodySize) },
		"more":                              func([]byte) []byte { return make([]byte, onion.BodySize+1) },
		"none":                              func([]byte) []byte { return nil },
		"slow":                              func([]byte) []byte { time.Sleep(11 * time.Second); return []byte("late") },
		strings.Repeat("s", maxServiceName): func([]byte) []byte { return []byte("long") },
	}
}

// A request and its answer cross as many relays as the network wants, all
// different, and none of them the sender's or the end node.
func TestRequestCrossesRelays(t *testing.T) {
	for hops := 1; hops <= onion.Relays; hops++ {
		synctest.Test(t, func(t *testing.T) {
			n := start(t, hops+2, hops, echo())
			defer n.stop()
			answer, path, err := n.request(0, 1, "echo", "hi")
			if err != nil || answer != "re: hi" {
				t.Fatalf("%d hops: %q, %v", hops, answer, err)
			}
			met := map[hashid.NodeID]bool{n.nodes[0].id: true, n.nodes[1].id: true}
			for _, r := range path.Relays {
				met[r] = true
			}
			if path.End != n.nodes[1].id || len(path.Relays) != hops || len(met) != hops+2 {
				t.Errorf("%d hops: the path is %v", hops, path)
			}
			synctest.Wait() // a relay counts a packet when it has passed it on
			for i, node := range n.nodes {
				want := relay.Stats{Forwarded: 2}
				switch i {
				case 0:
					want = relay.Stats{Replies: 1}
				case 1:
					want = relay.Stats{Delivered: 1}
				}
				if got := node.Stats(); got != want {
					t.Errorf("%d hops: node %d did %+v, want %+v", hops, i, got, want)
				}
			}
			n.expectNoneWait()
		})
	}
}

func TestAllToAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, 8, 3, echo())
		defer n.stop()
		var wg sync.WaitGroup
		for from := range n.nodes {
			for to := range n.nodes {
				if from == to {
					continue
				}
				wg.Go(func() {
					text := fmt.Sprintf("%d to %d", from, to)
					if answer, _, err := n.request(from, to, "echo", text); err != nil || answer != "re: "+text {
						t.Errorf("%s: %q, %v", text, answer, err)
					}
				})
			}
		}
		wg.Wait()
		n.expectNoneWait()
	})
}

func TestSizes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, 5, 3, echo())
		defer n.stop()
		long := strings.Repeat("s", maxServiceName)
		for _, test := range []struct {
			service, body string
			want          int // bytes of the answer; -1: refused
		}{
			{"size", "", 1},
			{"size", strings.Repeat("x", MaxRequest), 4},
			{long, strings.Repeat("x", MaxRequest), 4},
			{long, strings.Repeat("x", MaxRequest+1), -1},
			{"size", strings.Repeat("x", MaxRequest+maxServiceName-len("size")), 4},
			{"size", strings.Repeat("x", MaxRequest+maxServiceName-len("size")+1), -1},
			{long + "s", "", -1},
			{"", "", -1},
			{"none", "", 0},
			{"much", "", onion.BodySize},
		} {
			answer, _, err := n.request(0, 1, test.service, test.body)
			if (err != nil) != (test.want < 0) || errors.Is(err, ErrNoAnswer) || (err == nil && len(answer) != test.want) {
				t.Errorf("%s with %d bytes: an answer of %d, %v, want %d", test.service, len(test.body), len(answer), err, test.want)
			}
		}
		n.expectNoneWait()
	})
}

// Without an answer a request ends with its ctx, and nothing of it stays: when
// the service is not known, its answer does not fit or comes too late, or when
// packets are damaged on the way.
func TestNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, 5, 3, echo())
		defer n.stop()
		expect := func(service string) {
			t.Helper()
			began := time.Now()
			if answer, _, err := n.request(0, 1, service, "hi"); !errors.Is(err, ErrNoAnswer) || answer != "" {
				t.Errorf("%s: %q, %v", service, answer, err)
			}
			if took := time.Since(began); took != 10*time.Second {
				t.Errorf("%s: it took %v", service, took)
			}
			n.expectNoneWait()
		}
		expect("unknown")
		expect("more")
		expect("slow")
		time.Sleep(time.Minute) // the late answer comes
		if got := n.nodes[0].Stats().Replies; got != 1 {
			t.Errorf("%d late answers came", got)
		}
		flip := func(p *onion.Packet) { p[onion.Size-1] ^= 1 }
		n.mangle.Store(&flip)
		expect("echo")
		// Only the answer is damaged: what the end node and the relays after it send.
		sent := new(atomic.Int64)
		answerOnly := func(p *onion.Packet) {
			if sent.Add(1) > 4 {
				flip(p)
			}
		}
		n.mangle.Store(&answerOnly)
		expect("echo")
		if got := n.nodes[0].Stats().Replies; got != 2 {
			t.Errorf("%d answers came, late or damaged", got)
		}
		n.mangle.Store(nil)
		if answer, _, err := n.request(0, 1, "echo", "hi"); err != nil || answer != "re: hi" {
			t.Errorf("after all that: %q, %v", answer, err)
		}
	})
}

func TestTooFewRelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, 4, 3, echo()) // two of them are the ends
		defer n.stop()
		_, _, err := n.request(0, 1, "echo", "hi")
		var short *discovery.ShortageError
		if !errors.As(err, &short) || short.Need != 3 || short.Have != 2 {
			t.Errorf("with two relays: %v", err)
		}
		if _, err := n.nodes[0].Draw(t.Context(), hashid.NodeID{1}); !errors.Is(err, discovery.ErrNoDescriptor) {
			t.Errorf("to a node that is not there: %v", err)
		}
	})
}

// A path is good for the epoch it was drawn in and the next: after that the end
// node has forgotten the key, and only a new path reaches it.
func TestPathOutlivesItsEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, 5, 3, echo())
		defer n.stop()
		path, err := n.nodes[0].Draw(t.Context(), n.nodes[1].id)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []error{nil, nil, ErrNoAnswer} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			if _, err := n.nodes[0].Request(ctx, path, "echo", nil); !errors.Is(err, want) {
				t.Errorf("after %d epochs: %v, want %v", i, err, want)
			}
			cancel()
			time.Sleep(record.EpochLength)
		}
		if _, _, err := n.request(0, 1, "echo", ""); err != nil {
			t.Errorf("over a new path: %v", err)
		}
	})
}

// Requests that wait are bounded.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, 5, 3, echo())
		defer n.stop()
		o := n.nodes[0].Overlay
		for i := range maxPending {
			if !o.expect(onion.SURBID{byte(i), byte(i >> 8)}, &pending{}) {
				t.Fatalf("no room for request %d", i)
			}
		}
		if _, _, err := n.request(0, 1, "echo", "hi"); !errors.Is(err, ErrBusy) {
			t.Errorf("one too many: %v", err)
		}
		o.forget(onion.SURBID{})
		if _, _, err := n.request(0, 1, "echo", "hi"); err != nil {
			t.Errorf("with room for one: %v", err)
		}
	})
}

// An answer that nobody waits for is dropped, and a damaged one is the last of
// its reply block.
func TestRepliesInVain(t *testing.T) {
	o := &Overlay{cfg: Config{Log: slog.New(slog.DiscardHandler)}, pending: make(map[onion.SURBID]*pending)}
	_, id, keys := testSURB(t)
	wait := &pending{keys: keys, answer: make(chan []byte, 1)}
	o.expect(id, wait)
	for i := range 3 {
		o.reply(onion.SURBID{1}, new([onion.PayloadSize]byte))
		if waiting := len(o.pending); i == 0 && waiting != 1 || i > 0 && waiting != 0 || len(wait.answer) != 0 {
			t.Errorf("%d wait, %d answers", waiting, len(wait.answer))
		}
		o.reply(id, new([onion.PayloadSize]byte))
	}
}

func testSURB(t testing.TB) (onion.SURB, onion.SURBID, *onion.ReplyKeys) {
	t.Helper()
	k, err := onion.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	s, id, keys, err := onion.NewSURB([]onion.Hop{{Node: hashid.NodeID{1}, Key: k.Public()}, {Node: hashid.NodeID{2}, Key: k.Public()}})
	if err != nil {
		t.Fatal(err)
	}
	return s, id, keys
}

func TestRequestGolden(t *testing.T) {
	var surb onion.SURB
	copy(surb[:], bytes.Repeat([]byte{0xaa}, onion.SURBSize))
	got, err := appendRequest([]byte("before"), &surb, "ab", []byte("body"))
	want := slices.Concat([]byte("before\x01"), surb[:], []byte("\x02abbody"))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%x, %v", got, err)
	}
}

// Whatever parses is what appendRequest would have written.
func FuzzParseRequest(f *testing.F) {
	surb, _, _ := testSURB(f)
	good, err := appendRequest(nil, &surb, "mailbox.put", []byte("body"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{})
	f.Add([]byte{kindRequest})
	f.Add(good[:1+onion.SURBSize])
	f.Add(good[:1+onion.SURBSize+5])
	f.Add(append([]byte{2}, good[1:]...))
	f.Add(append(good[:1+onion.SURBSize:1+onion.SURBSize], 0))
	f.Add(append(good[:1+onion.SURBSize:1+onion.SURBSize], bytes.Repeat([]byte{33}, 40)...))
	f.Add(append(slices.Clone(good), make([]byte, onion.BodySize)...))
	f.Fuzz(func(t *testing.T, payload []byte) {
		surb, service, body, err := parseRequest(payload)
		if err != nil {
			return
		}
		again, err := appendRequest(nil, &surb, service, body)
		if err != nil || !bytes.Equal(again, payload) {
			t.Errorf("%x became %x, %v", payload, again, err)
		}
	})
}
