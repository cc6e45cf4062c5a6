package dht

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	libp2precord "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"

	"chatnt/discovery/hashid"
)

// A node learns what others have of it, whoever is slow: an older copy of its profile goes on
// with a descriptor that nobody takes for news if it goes by its own.
func TestOwnDescriptorIsWhatOthersHave(t *testing.T) {
	var w world
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := crypto.UnmarshalEd25519PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	own := &relay{key: key, id: hashid.OfNode(key.Public().(ed25519.PublicKey)), made: w.clock.now(), t: t, w: &w}
	other, bans := w.start(t), new(Bans)
	node := w.startOn(t, newHost(t, bans, loopback, libp2p.Identity(identity)), bans, addrInfos([]*node{other}))
	until(t, "they have met", func() bool { return node.Size() == 1 })
	older, newer := own.sign(0), own.sign(1)
	if err := node.store.keep(own.dhtKey(), older); err != nil {
		t.Fatal(err)
	}
	answer(other.host, func(req *pb.Message) *pb.Message {
		time.Sleep(2 * grace) // it is slow
		resp := pb.NewMessage(req.GetType(), req.GetKey(), 0)
		resp.Record = libp2precord.MakePutRecord(own.dhtKey(), newer)
		return resp
	})
	if got, err := node.Get(t.Context(), own.dhtKey()); err != nil || !bytes.Equal(got, newer) {
		t.Errorf("it has not waited for what others have: %v", err)
	}
	other.mute()
	if got, err := node.Get(t.Context(), own.dhtKey()); !errors.Is(err, ErrNotFound) {
		t.Errorf("nobody answers, and it has found %v (%v)", len(got), err)
	}
}
