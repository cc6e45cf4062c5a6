package overlay

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multiformats/go-multiaddr"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/overlay/path"
)

// awayTable is the table of a node that has an uplink or not. A dial takes 0.3 s, and
// five without an uplink.
type awayTable struct {
	raws map[hashid.NodeID][]byte
	down atomic.Bool
	gone atomic.Pointer[map[hashid.NodeID]bool] // relays that cannot be dialled
}

func (*awayTable) Walk(context.Context) ([]hashid.NodeID, error) { return nil, nil }
func (*awayTable) Get(context.Context, ...string) ([]byte, error) {
	return nil, errors.New("not found")
}

func (a *awayTable) Ask(_ context.Context, id hashid.NodeID) ([]byte, error) {
	if a.down.Load() {
		return nil, errors.New("no answer")
	}
	return a.raws[id], nil
}

func (a *awayTable) Dial(ctx context.Context, desc *record.Descriptor) error {
	takes, err := 300*time.Millisecond, error(nil)
	if gone := a.gone.Load(); a.down.Load() || gone != nil && (*gone)[desc.ID()] {
		takes, err = 5*time.Second, errors.New("no answer")
	}
	select {
	case <-time.After(takes):
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// away is a node in a large network that has picked its guards, and may lose its uplink
// or sleep.
type away struct {
	*awayTable
	t       *testing.T
	dir     *discovery.Directory
	guarded *Guarded
	end     *record.Descriptor
	first   map[hashid.NodeID]bool // its guards
}

// awayNode is to be called in a bubble of synctest. It stops with the returned function.
func awayNode(t *testing.T, relays int) (a *away, stop func()) {
	t.Helper()
	a = &away{t: t, awayTable: &awayTable{raws: make(map[hashid.NodeID][]byte)}, first: make(map[hashid.NodeID]bool)}
	a.dir = discovery.NewDirectory(hashid.NodeID{0xff}, [32]byte{}, time.Now, slog.New(slog.DiscardHandler))
	for i := range relays + 1 {
		desc, raw := farRelay(t, i)
		if a.end = desc; i == relays {
			break
		}
		a.raws[desc.ID()] = raw
		if _, err := a.dir.Learn(raw); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = a.dir.Run(ctx, a) })
	a.guarded = NewGuarded(a.dir, path.New(path.Rules{Self: hashid.NodeID{0xff}, Hops: 3, Apart: true}), time.Now, nil)
	time.Sleep(time.Duration(relays) * 400 * time.Millisecond)
	known(t, a.guarded)
	if _, err := a.guarded.Draw(a.end); err != nil || len(a.dir.Usable()) != relays {
		t.Fatalf("with %d relays: %v", len(a.dir.Usable()), err)
	}
	for _, k := range a.guarded.Summary().Guards {
		a.first[k.ID] = true
	}
	return a, func() { cancel(); wg.Wait() }
}

// farRelay makes a relay in an IPv4 /16 of its own.
func farRelay(t *testing.T, i int) (*record.Descriptor, []byte) {
	t.Helper()
	var seed [ed25519.SeedSize]byte
	binary.BigEndian.PutUint64(seed[:], uint64(i)+1)
	key := ed25519.NewKeyFromSeed(seed[:])
	addr, err := multiaddr.NewMultiaddr(fmt.Sprintf("/ip4/%d.%d.0.1/tcp/4001", 20+i/250, i%250))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	d := &record.Descriptor{
		Node: [32]byte(key.Public().(ed25519.PublicKey)), Flags: record.FlagRelay, Addrs: []multiaddr.Multiaddr{addr},
		Sequence: uint64(now.Unix()), Expires: now.Add(record.DescriptorLifetime), FirstEpoch: record.Epoch(now),
	}
	for j := range d.Keys {
		d.Keys[j] = [32]byte{byte(j + 1), 9}
	}
	raw, err := d.Sign([32]byte{}, key)
	if err == nil {
		d, err = record.ParseDescriptor([32]byte{}, raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d, raw
}

// draws draws a way each second for a while, hears of lost ones where the uplink is down,
// and counts those that began with a guard, and with a stranger.
func (a *away) draws(d time.Duration) (guards, strangers int) {
	a.t.Helper()
	var wg sync.WaitGroup
	defer wg.Wait()
	for until := time.Now().Add(d); time.Now().Before(until); time.Sleep(time.Second) {
		way, err := a.guarded.Draw(a.end)
		if err != nil {
			continue
		}
		out, _ := way.IDs()
		if a.first[out[0]] {
			guards++
		} else {
			strangers++
		}
		if a.down.Load() {
			wg.Go(func() { time.Sleep(5 * time.Second); a.dir.Suspect(out[0]) })
		}
	}
	return guards, strangers
}

// Without an uplink no guards are picked, however long that lasts, and when it is back the
// guards of before stand first, within half a minute.
func TestOutageKeepsGuards(t *testing.T) {
	for _, lasts := range []time.Duration{time.Minute, 3 * time.Minute, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			a, stop := awayNode(t, 200)
			defer stop()
			a.down.Store(true)
			if _, strangers := a.draws(lasts); strangers > 0 {
				t.Errorf("in %v without an uplink %d ways begin with strangers", lasts, strangers)
			}
			a.down.Store(false)
			a.draws(35 * time.Second)
			guards, strangers := a.draws(5 * time.Minute)
			if kept := len(a.guarded.Summary().Guards); kept != 3 || strangers > 0 || guards < 299 {
				t.Errorf("%v without an uplink: %d guards are kept; then %d ways begin with them, %d with strangers", lasts, kept, guards, strangers)
			}
		})
	}
}

// When only the guards are gone, another is picked within seconds.
func TestGuardsGoneAreReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, stop := awayNode(t, 100)
		defer stop()
		a.gone.Store(&a.first)
		for id := range a.first {
			a.dir.Suspect(id)
		}
		a.draws(20 * time.Second)
		if _, strangers := a.draws(20 * time.Second); strangers < 19 || len(a.guarded.Summary().Guards) != 4 {
			t.Errorf("of 20 ways %d begin with others, and there are %d guards", strangers, len(a.guarded.Summary().Guards))
		}
	})
}

// A node that wakes in a network of hundreds, again and again, and has something to send
// at once, does so by its guards.
func TestWakesKeepGuards(t *testing.T) {
	for _, relays := range []int{60, 400} {
		synctest.Test(t, func(t *testing.T) {
			a, stop := awayNode(t, relays)
			defer stop()
			for range 8 {
				a.dir.Redial(a.guarded.Keeps()...)
				guards, strangers := a.draws(30 * time.Second)
				if guards < 25 || strangers > 0 {
					t.Errorf("%d relays: in half a minute %d ways begin with guards, %d with strangers", relays, guards, strangers)
				}
				time.Sleep(time.Duration(relays) * 400 * time.Millisecond)
			}
			if s := a.guarded.Summary(); len(s.Guards) != 3 || len(s.Second) != 4 {
				t.Errorf("%d relays: %d guards are kept, and %d next to them", relays, len(s.Guards), len(s.Second))
			}
		})
	}
}
