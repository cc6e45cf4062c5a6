package node

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/multiformats/go-multiaddr"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/vault"
	"chatnt/overlay/path"
)

// pathsOf makes the paths of a profile's node, which logs to a buffer.
func pathsOf(t testing.TB, p *Profile) (kept []hashid.NodeID, logged string) {
	t.Helper()
	var log bytes.Buffer
	n := &Node{profile: p, now: timeNow, log: slog.New(slog.NewTextHandler(&log, nil))}
	n.directory = discovery.NewDirectory(p.Node(), p.network.ID(), n.now, n.log)
	paths, err := n.newPaths()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.saveGuards(stateOf(t, p, paths.Keeps())); err != nil {
		t.Fatal(err)
	}
	return paths.Keeps(), log.String()
}

// stateOf is what a node with these guards stores; if there are none, with new ones.
func stateOf(t testing.TB, p *Profile, kept []hashid.NodeID) []byte {
	t.Helper()
	if len(kept) > 0 {
		return p.storedGuards(t)
	}
	c := path.New(path.Rules{Self: p.Node(), Hops: 3})
	drawLater(t, c, someRelays(t, 20))
	return c.State()
}

// drawLater draws a way through relays that are known for a while, so that guards are picked.
func drawLater(t testing.TB, c *path.Chooser, relays []*record.Descriptor) {
	t.Helper()
	if err := c.Ready(timeNow().Add(-time.Minute), relays); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Draw(timeNow(), relays, &record.Descriptor{}); err != nil {
		t.Fatal(err)
	}
}

func (p *Profile) storedGuards(t testing.TB) (state []byte) {
	t.Helper()
	err := p.vault.View(func(tx *vault.Tx) (err error) {
		state, err = tx.Get(bucketProfile, keyGuards)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func someRelays(t testing.TB, n int) []*record.Descriptor {
	t.Helper()
	var relays []*record.Descriptor
	for i := range n {
		addr, err := multiaddr.NewMultiaddr(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", i+1))
		if err != nil {
			t.Fatal(err)
		}
		d := &record.Descriptor{Flags: record.FlagRelay, Addrs: []multiaddr.Multiaddr{addr}}
		binary.BigEndian.PutUint64(d.Node[:], uint64(i)+1)
		relays = append(relays, d)
	}
	return relays
}

// A node has the guards that it had before it was started anew; those of a damaged
// profile are begun anew, and its log says so.
func TestGuardsAreKept(t *testing.T) {
	p := testProfile(t)
	if kept, logged := pathsOf(t, p); len(kept) != 0 || logged != "" {
		t.Fatalf("a new node keeps %d relays, and logs %q", len(kept), logged)
	}
	first, _ := pathsOf(t, p)
	second, logged := pathsOf(t, p)
	if len(first) != 7 || !slices.Equal(first, second) || logged != "" {
		t.Errorf("it keeps %d relays, then others: %v; it logs %q", len(first), !slices.Equal(first, second), logged)
	}
	state := p.storedGuards(t)
	for _, damaged := range [][]byte{{}, state[:len(state)-1], append([]byte{9}, state[1:]...), append(slices.Clone(state), 0)} {
		err := p.vault.Update(func(tx *vault.Tx) error { return tx.Put(bucketProfile, keyGuards, damaged) })
		if err != nil {
			t.Fatal(err)
		}
		if kept, logged := pathsOf(t, p); len(kept) != 0 || !bytes.Contains([]byte(logged), []byte("guards are lost")) {
			t.Errorf("of a damaged state it keeps %d relays, and logs %q", len(kept), logged)
		}
	}
}

// Guards belong to a node: neither a backup has them, nor another identity of the profile.
func TestGuardsStayBehind(t *testing.T) {
	p := testProfile(t)
	pathsOf(t, p)
	if kept, _ := pathsOf(t, takenBack(t, packed(t, p))); len(kept) != 0 {
		t.Errorf("a restored profile keeps %d relays", len(kept))
	}
	if _, err := p.AddIdentity("other", timeNow()); err != nil {
		t.Fatal(err)
	}
	other, err := p.Use("other", timeNow())
	if err != nil {
		t.Fatal(err)
	}
	if kept, _ := pathsOf(t, other); len(kept) != 0 {
		t.Errorf("another identity keeps %d relays", len(kept))
	}
	back, err := other.Use(p.name, timeNow())
	if err != nil {
		t.Fatal(err)
	}
	if kept, _ := pathsOf(t, back); len(kept) != 7 {
		t.Errorf("back again it keeps %d relays", len(kept))
	}
}

// askedTable is a table of nodes that have moved or not, and answer or not.
type askedTable struct {
	discovery.Table
	answers map[hashid.NodeID][]byte
	dialled []hashid.NodeID
}

func (t *askedTable) Dial(_ context.Context, desc *record.Descriptor) error {
	t.dialled = append(t.dialled, desc.ID())
	if t.answers[desc.ID()] == nil {
		return errors.New("nobody is there")
	}
	return nil
}

func (t *askedTable) Ask(_ context.Context, id hashid.NodeID) ([]byte, error) {
	return t.answers[id], nil
}

// A relay that is known from before is dialled and asked for its descriptor once, and
// not at all when the directory has it.
func TestRelaysFromBeforeAreMet(t *testing.T) {
	other := testProfile(t)
	d := &record.Descriptor{
		Node: [32]byte(other.nodePublic()), Flags: record.FlagRelay, Addrs: someRelays(t, 1)[0].Addrs,
		Sequence: uint64(timeNow().Unix()), Expires: timeNow().Add(record.DescriptorLifetime),
		FirstEpoch: record.Epoch(timeNow()),
	}
	for i := range d.Keys {
		d.Keys[i] = [32]byte{9, byte(i)}
	}
	net := [32]byte{5}
	raw, err := d.Sign(net, other.nodeKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := discovery.NewDirectory(hashid.NodeID{1}, net, timeNow, slog.New(slog.DiscardHandler))
	table := &askedTable{answers: map[hashid.NodeID][]byte{}}
	if meet(t.Context(), dir, table, d) || len(table.dialled) != 1 {
		t.Error("nobody is there, and it is known")
	}
	table.answers[d.ID()] = []byte("no descriptor")
	if meet(t.Context(), dir, table, d) || len(table.dialled) != 2 {
		t.Error("its answer is none, and it is known")
	}
	table.answers[d.ID()] = raw
	for range 2 {
		if !meet(t.Context(), dir, table, d) || len(table.dialled) != 3 {
			t.Errorf("it is not known, or was dialled %d times", len(table.dialled))
		}
	}
}

// Those that are kept are among the first that are met, in any place among as many others.
func TestKeptAreMetFirst(t *testing.T) {
	const n, rounds = 40, 500
	all := someRelays(t, n)
	kept := []hashid.NodeID{all[3].ID(), all[20].ID(), all[39].ID(), {7}}
	var places [6]int
	for range rounds {
		relays := slices.Clone(all)
		keptFirst(relays, kept)
		for i, d := range relays {
			if slices.Contains(kept, d.ID()) {
				if i >= len(places) {
					t.Fatalf("one that is kept is met as number %d", i)
				}
				places[i]++
			}
		}
	}
	for i, n := range places {
		if n < rounds/2-100 || n > rounds/2+100 { // nearly nine standard deviations
			t.Errorf("%d of %d times number %d is one that is kept, and half of them is right", n, rounds, i)
		}
	}
}

// What a person is shown of the paths names nobody.
func TestShownPaths(t *testing.T) {
	c := path.New(path.Rules{Self: hashid.NodeID{1}, Hops: 3})
	relays := someRelays(t, 20)
	drawLater(t, c, relays)
	p := shownPaths(c.Summary(timeNow(), relays))
	if len(p.Guards) != 3 || len(p.Beside) != 4 || len(p.Lost) != 4 || p.Meaning == "" {
		t.Errorf("shown is %+v", p)
	}
	for _, g := range p.Guards {
		if left := g.Until.Sub(timeNow()); !g.Usable || !g.InUse || left < 59*24*time.Hour || left > 90*24*time.Hour {
			t.Errorf("a guard is %+v", g)
		}
	}
}
