package node

import (
	"context"
	"sync"
	"testing"
	"time"

	libp2pnetwork "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"chatnt/discovery/hashid"
	"chatnt/discovery/network"
	"chatnt/discovery/record"
	"chatnt/node/vault"
)

func TestApart(t *testing.T) {
	now := time.Unix(1e9, 0)
	drawn := make(map[time.Time]bool)
	for range 1000 {
		at := Apart(now)
		if at.Before(now.Add(10*time.Second)) || at.After(now.Add(40*time.Second)) {
			t.Fatalf("%v", at.Sub(now))
		}
		drawn[at] = true
	}
	if len(drawn) < 990 {
		t.Errorf("of 1000 only %d are different", len(drawn))
	}
	p := &Profile{seen: now}
	for after, want := range map[time.Duration]time.Duration{
		-24 * time.Hour: apartMost, // the clock was set back
		-apartLeast:     apartLeast, 0: 0, time.Hour: 0,
	} {
		if got := p.Unseen(now.Add(after)); got != want {
			t.Errorf("after %v: unseen for %v, want %v", after, got, want)
		}
	}
}

// met is whom a node has been connected with.
type met struct {
	mu   sync.Mutex
	whom map[peer.ID]bool // guarded by mu
}

func (m *met) has(id peer.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.whom[id]
}

// witnessOf runs a node that the network then names to whoever joins, and notes whom it meets.
func witnessOf(t *testing.T, net *network.Network) (*Node, *met) {
	t.Helper()
	own := *net
	p, err := Ephemeral(&own, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := startRunner(t, p, nil)
	n, m := r.current().node, &met{whom: make(map[peer.ID]bool)}
	n.host.Network().Notify(&libp2pnetwork.NotifyBundle{ConnectedF: func(_ libp2pnetwork.Network, c libp2pnetwork.Conn) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.whom[c.RemotePeer()] = true
	}})
	if net.Bootstrap, err = p.withPeerID(addrs(t, r.ready().Listen[0])); err != nil {
		t.Fatal(err)
	}
	return n, m
}

// descriptorOf waits until a node has learned of another.
func descriptorOf(t *testing.T, n *Node, of hashid.NodeID) *record.Descriptor {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		changed := n.directory.Changed()
		for _, d := range n.directory.Usable() {
			if d.ID() == of {
				return d
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatal("it has learned of nothing")
		}
	}
}

// From when one identity's node takes leave until some time later, another's does nothing that a
// third could see; nor is there a trace of it if it ends before that. Nothing that it
// publishes afterwards is of an earlier time.
func TestIdentitiesAreSeenApart(t *testing.T) {
	net := testNetwork(t)
	witness, seen := witnessOf(t, net)
	main, err := Ephemeral(net, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := main.AddIdentity("work", time.Now()); err != nil {
		t.Fatal(err)
	}
	r := startRunner(t, main, nil)
	if ready := r.ready(); ready.Unseen != 0 || len(ready.Listen) == 0 {
		t.Errorf("the first is ready as %+v", ready)
	}
	descriptorOf(t, witness, main.Node())
	if err := r.UseIdentity("work", false); err != nil {
		t.Fatal(err)
	}
	ready := r.ready()
	if ready.Identity != "work" || ready.Listen == nil || len(ready.Listen) > 0 || ready.Unseen < 1 || ready.Unseen > 40 {
		t.Errorf("the other is ready as %+v", ready)
	}
	asked := make(chan *Node, 1)
	go func() { asked <- r.Node().(*Node) }()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { _, _ = r.Next(ctx) }() // which says that it was shown
	work := <-asked
	cancel()
	if s := work.Status(); s.Unseen < 1 || len(s.Listen) > 0 || s.Hashid != ready.Hashid {
		t.Errorf("its status is %+v", s)
	}
	if err := work.SetNick("w"); err != nil {
		t.Errorf("a command meanwhile: %v", err)
	}
	r.stop()
	if err := <-r.over; err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPublicKey(work.host.Peerstore().PubKey(work.host.ID()))
	if err != nil {
		t.Fatal(err)
	}
	keys := record.KeyRecordKeys(work.profile.Hashid())
	if _, err := witness.table.Get(t.Context(), keys[:]...); err == nil || seen.has(id) {
		t.Errorf("met: %v; its record: %v", seen.has(id), err)
	}
	if _, err := witness.table.Get(t.Context(), record.DescriptorKey(work.profile.Node())); err == nil {
		t.Error("its node has told that it leaves, and was never there")
	}

	// It is started once more, and its time comes.
	begins := time.Now().Add(2 * time.Second).Truncate(time.Second)
	again := &Profile{vault: main.vault.Whole()}
	err = again.vault.Update(func(tx *vault.Tx) error {
		return changeRoster(tx, func(r *roster) error { r.Seen = begins; return nil })
	})
	if err == nil {
		err = again.vault.View(again.enter)
	}
	if err != nil {
		t.Fatal(err)
	}
	r = startRunner(t, again, nil)
	if first, second := r.ready(), r.ready(); first.Unseen < 1 || len(first.Listen) > 0 || second.Unseen > 0 || len(second.Listen) == 0 {
		t.Errorf("it is ready as %+v and %+v", first, second)
	}
	if d := descriptorOf(t, witness, again.Node()); d.Sequence < uint64(begins.Unix()) || !seen.has(id) {
		t.Errorf("its descriptor is of %d, and it was not to be seen before %d", d.Sequence, begins.Unix())
	}
}
