package discovery

import (
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errFake = errors.New("not to be had")

// fakeTable is a hash table of one's choice.
type fakeTable struct {
	mu     sync.Mutex
	nodes  []hashid.NodeID            // met on every walk
	values map[string][]byte          // found by Get
	down   map[hashid.NodeID]bool     // not to be dialled
	hold   func(ctx context.Context)  // called by Get and Dial, unlocked; may be nil
	walks  []time.Duration            // when walked, since the start
	gets   map[string]int             // how often looked up
	dials  map[hashid.NodeID][]string // when dialled, since the start
	start  time.Time
	busy   int // calls of Get and Dial under way
	most   int // the most there were
}

func newFakeTable() *fakeTable {
	return &fakeTable{
		values: make(map[string][]byte), down: make(map[hashid.NodeID]bool),
		gets: make(map[string]int), dials: make(map[hashid.NodeID][]string), start: time.Now(),
	}
}

func (f *fakeTable) Ask(context.Context, hashid.NodeID) ([]byte, error) { return nil, errFake }

func (f *fakeTable) Walk(context.Context) ([]hashid.NodeID, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.walks = append(f.walks, time.Since(f.start))
	if len(f.nodes) == 0 {
		return nil, errFake
	}
	return slices.Clone(f.nodes), nil
}

func (f *fakeTable) Get(ctx context.Context, keys ...string) ([]byte, error) {
	f.enter()
	defer f.leave(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range keys {
		f.gets[key]++
		if value := f.values[key]; value != nil {
			return value, nil
		}
	}
	return nil, errFake
}

func (f *fakeTable) Dial(ctx context.Context, desc *record.Descriptor) error {
	f.enter()
	defer f.leave(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	id := desc.ID()
	f.dials[id] = append(f.dials[id], time.Since(f.start).Round(time.Millisecond).String())
	if f.down[id] {
		return errFake
	}
	return nil
}

func (f *fakeTable) enter() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy++
	f.most = max(f.most, f.busy)
}

func (f *fakeTable) leave(ctx context.Context) {
	if f.hold != nil {
		f.hold(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy--
}

// set changes the table under its lock.
func (f *fakeTable) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeTable) dialled(id hashid.NodeID) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.dials[id])
}

func (f *fakeTable) looked(id hashid.NodeID) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.gets[record.DescriptorKey(id)]
}

func (f *fakeTable) walked() []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.walks)
}

var testNetwork = [32]byte{1}

// signer is a node whose descriptors a test makes.
type signer struct {
	t   *testing.T
	key ed25519.PrivateKey
	id  hashid.NodeID
}

func newSigner(t *testing.T) *signer {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{t: t, key: key, id: hashid.OfNode(pub)}
}

// sign returns a relay's descriptor made at now, changed as a test wants.
func (s *signer) sign(now time.Time, change ...func(*record.Descriptor)) []byte {
	s.t.Helper()
	d := &record.Descriptor{
		Node: [32]byte(s.key.Public().(ed25519.PublicKey)), FirstEpoch: record.Epoch(now),
		Sequence: uint64(now.Unix()), Expires: now.Add(record.DescriptorLifetime), Flags: record.FlagRelay,
		Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/4001")},
	}
	onion, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range d.Keys {
		d.Keys[i] = [32]byte(onion.PublicKey().Bytes())
	}
	for _, c := range change {
		c(d)
	}
	raw, err := d.Sign(testNetwork, s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	return raw
}

func later(seconds uint64) func(*record.Descriptor) {
	return func(d *record.Descriptor) { d.Sequence += seconds }
}

func withdrawn(d *record.Descriptor) { d.Flags, d.Addrs = record.FlagWithdrawn, nil }

func noRelay(d *record.Descriptor) { d.Flags, d.Addrs = 0, nil }

func at(addr string) func(*record.Descriptor) {
	return func(d *record.Descriptor) { d.Addrs = []multiaddr.Multiaddr{multiaddr.StringCast(addr)} }
}

func newTestDirectory() *Directory {
	return NewDirectory(hashid.NodeID{0xff}, testNetwork, time.Now, slog.New(slog.DiscardHandler))
}

// running runs something in a synctest bubble until the test ends, then checks
// that it returns.
func running(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
}

// learn gives a directory a descriptor that is news.
func learn(t *testing.T, d *Directory, raw []byte) {
	t.Helper()
	if news, err := d.Learn(raw); err != nil || !news {
		t.Fatalf("learnt a descriptor: %v, %v", news, err)
	}
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
