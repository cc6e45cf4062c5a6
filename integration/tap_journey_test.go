package integration

import (
	"slices"
	"testing"

	"chatnt/discovery/hashid"
	"chatnt/overlay/onion"
)

// journey is a request and its answer as frames: four on the way out, of which the
// first goes to the first relay, and four on the way back.
type journey [2 * onion.Layers]*frame

// askInTurn has nodes ask nodes, one request after the other, and finds the frames
// of each.
func askInTurn(t *testing.T, w *wiretap, relays []*bareRelay, n int) []journey {
	t.Helper()
	var found []journey
	for i := range n {
		from, to := relays[i%len(relays)], relays[(i+1+i/len(relays))%len(relays)]
		if from == to {
			continue
		}
		mark := w.count()
		path, err := from.ask(t.Context(), to, inquiries()[i%len(inquiries())])
		if err != nil {
			t.Fatal(err)
		}
		way := slices.Concat([]hashid.NodeID{from.self}, path.Relays, []hashid.NodeID{to.self})
		if j, ok := follow(w.since(mark), way); ok {
			found = append(found, j)
		}
	}
	if len(found) < n/2 {
		t.Errorf("the frames of %d requests of %d can be told from others", len(found), n)
	}
	return found
}

// follow finds, among frames in the order of their sending, those of a request that
// took a way and of its answer, of which it is known whence and whither. It
// reports whether there is no other choice.
func follow(frames []*frame, way []hashid.NodeID) (j journey, ok bool) {
	rest := slices.Clone(frames)
	for i := range onion.Layers {
		on := func(f *frame) bool { return f.from == way[i] && f.to == way[i+1] }
		at := slices.IndexFunc(rest, on)
		if at < 0 || slices.ContainsFunc(rest[at+1:], on) {
			return j, false
		}
		j[i] = rest[at]
		rest = slices.Delete(rest, at, at+1)
	}
	ways := 0
	var walk func(from hashid.NodeID, after, at int)
	walk = func(from hashid.NodeID, after, at int) {
		for i := after; i < len(rest); i++ {
			f := rest[i]
			switch {
			case f.from != from || (f.to == way[0]) != (at == len(j)-1):
			case at == len(j)-1:
				if ways++; ways == 1 {
					j[at] = f
				}
			default:
				if ways == 0 {
					j[at] = f
				}
				walk(f.to, i+1, at+1)
			}
		}
	}
	walk(way[len(way)-1], 0, onion.Layers)
	return j, ways == 1
}
