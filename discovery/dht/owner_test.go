package dht

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"

	"github.com/libp2p/go-libp2p/core/host"

	"chatnt/discovery/hashid"
)

// ownRelay signs descriptors of the node behind a host.
func ownRelay(t *testing.T, w *world, h host.Host) *relay {
	t.Helper()
	raw, err := h.Peerstore().PrivKey(h.ID()).Raw()
	if err != nil {
		t.Fatal(err)
	}
	r := w.relay(t)
	r.key = ed25519.PrivateKey(raw)
	r.id = hashid.OfNode(r.key.Public().(ed25519.PublicKey))
	return r
}

// A node has its own descriptor for whoever asks it, also where it is not among
// the nodes nearest to it, and hands on nobody else's.
func TestAsk(t *testing.T) {
	var w world
	nodes := w.many(t, 3*bucketSize/2)
	var asked *node
	var own *relay
	for _, n := range nodes { // one that is not in place by chance
		own = ownRelay(t, &w, n.host)
		nearer := 0
		for _, other := range nodes {
			if other != n && !n.store.nearer(own.dhtKey(), other.host.ID()) {
				nearer++
			}
		}
		if nearer >= bucketSize {
			asked = n
			break
		}
	}
	if asked == nil {
		t.Fatal("every node is among the nearest to its own key")
	}
	want := own.sign(0)
	if _, err := asked.Put(t.Context(), own.dhtKey(), want); err != nil {
		t.Fatal(err)
	}
	reader := w.start(t, asked)
	until(t, "the reader is connected", func() bool { return connected(reader.host, asked.host.ID()) })
	if got, err := reader.Ask(t.Context(), own.id); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the node does not give its descriptor: %v", err)
	}
	if _, err := reader.Ask(t.Context(), w.relay(t).id); !errors.Is(err, ErrNotFound) {
		t.Errorf("asking a node that is not connected: %v", err)
	}
	silent := ownRelay(t, &w, reader.host)
	if _, err := asked.Ask(t.Context(), silent.id); !errors.Is(err, ErrNotFound) {
		t.Errorf("asking a node that has published nothing: %v", err)
	}
}
