package dht

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Ids ground to lie nearer to one of a record's two places than any honest node
// take every copy that is put there and deny it. The record is found all the
// same, and whoever put it is told.
func TestSybilsRoundAKey(t *testing.T) {
	t.Parallel()
	honest, sizes := 24, []int{20}
	if count(0, 1) == 1 {
		honest, sizes = 60, []int{20, 40, 80}
	}
	for _, sybils := range sizes {
		t.Run(fmt.Sprint(sybils), func(t *testing.T) { surround(t, honest, sybils) })
	}
}

func surround(t *testing.T, honest, sybils int) {
	t.Helper()
	var w world
	nodes := w.many(t, honest)
	want, keys := w.keyRecord(t)
	nearest := func() float64 { return distances(keys[0], []peer.ID{byDistance(nodes, keys[0])[0].host.ID()})[0] }
	apart := func() float64 { return distance(placeOf(keys[0]), placeOf(keys[1])).fraction() }
	// Grinding until nearer than this takes a second or two. And in so small a
	// network half of all nodes are near to both keys if those are near to each other.
	for nearest() < 0.01 || apart() < 0.5 {
		want, keys = w.keyRecord(t)
	}
	g := newGang(t, grind(t, placeOf(keys[0]), 500*sybils, sybils))
	if g.distances(keys[0])[sybils-1] >= nearest() {
		t.Fatal("the attack has no teeth: an honest node lies nearer")
	}
	g.approach(t, nodes, 12)

	owner, readers := nodes[0], nodes[1:min(len(nodes), count(11, 60))]
	for range sizesKept {
		if _, err := owner.Walk(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range keys {
		stored, err := owner.Put(t.Context(), key, want)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d nodes say that they stored it", stored)
	}
	first, both := 0, 0
	for _, n := range readers {
		if _, err := n.Get(t.Context(), keys[0]); err == nil {
			first++
		}
		if got, err := n.Get(t.Context(), keys[:]...); err == nil && bytes.Equal(got, want) {
			both++
		}
	}
	t.Logf("%d honest nodes, %d Sybils: found by %d of %d readers under the first key, by %d under both",
		honest, sybils, first, len(readers), both)
	if first > len(readers)/2 {
		t.Error("the attack has no teeth: the first key is enough")
	}
	if both != len(readers) {
		t.Error("the second key did not help everybody")
	}

	until(t, "the alarm is raised", func() bool { return owner.Crowded() > 0 })
	if n := owner.Crowded(); n != 1 {
		t.Errorf("%d places are said to be crowded, want 1", n)
	}
	dense := owner.crowds.places[keys[0]].far
	t.Logf("the last of the nearest is at %.5f; %.5f expected", dense[len(dense)-1], float64(len(dense))/float64(honest+sybils))
	for _, n := range readers {
		if n.bans.Len() != 0 {
			t.Error("somebody was banned for knowing nothing")
		}
	}
	// Whoever has another node put records does not raise the alarm there.
	other := nodes[1]
	for range sizesKept {
		if _, err := other.Walk(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := other.PutForOthers(t.Context(), keys[0], want); n == 0 || err != nil {
		t.Errorf("put for others: %d, %v", n, err)
	}
	if n := len(other.crowds.places); n != 0 {
		t.Errorf("%d places of others' records are watched", n)
	}
	// With the crowd gone, the next put finds nothing wrong.
	for _, h := range g.hosts {
		if err := h.Network().Close(); err != nil {
			t.Error(err)
		}
	}
	until(t, "the alarm ends", func() bool {
		if _, err := owner.Put(t.Context(), keys[0], want); err != nil {
			t.Fatal(err)
		}
		return owner.Crowded() == 0
	})
}

func (g *gang) distances(key string) []float64 {
	var ids []peer.ID
	for _, member := range g.infos {
		ids = append(ids, member.ID)
	}
	return distances(key, ids)
}
