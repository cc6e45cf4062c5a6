package overlay

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/overlay/path"
)

// swarm are the exits that somebody has put into one prefix: in prefixed, those that
// are not far below.
const swarm = 4

// prefixed has the nodes from 1 to swarm in one prefix, and each other in its own.
func prefixed(i int) int {
	if i > 0 && i <= swarm {
		return 66
	}
	return i
}

// hoard is an exit that says that it has stored what it keeps for itself, and brings that
// when it is asked for it.
type hoard struct {
	mu   sync.Mutex
	kept map[string][]byte // guarded by mu
	puts int               // guarded by mu
}

func (h *hoard) put(_ context.Context, body []byte, _ SlowService) []byte {
	key, value, _ := parseRecordPut(body)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.puts++
	h.kept[key] = bytes.Clone(value)
	return recordAnswer(recordGood, nil)
}

func (h *hoard) get(ctx context.Context, body []byte, honest SlowService) []byte {
	h.mu.Lock()
	value := h.kept[string(body)]
	h.mu.Unlock()
	if value == nil {
		return honest(ctx, body)
	}
	return recordAnswer(recordGood, value)
}

// asked is how often it was asked to store something.
func (h *hoard) asked() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.puts
}

// An exit does not confirm what itself has stored, also where there are few.
func TestExitDoesNotConfirmItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startExits(t, 3, 1)
		defer e.stop()
		h := &hoard{kept: make(map[string][]byte)}
		e.bend(serviceRecordPut, h.put, 1)
		e.bend(serviceRecordGet, h.get, 1)
		for i := byte(1); h.asked() < 5; i++ {
			c := newPerson(t, i).now()[0]
			if _, err := e.records().Put(t.Context(), c.Key, c.Value); err == nil {
				if got, _ := e.Get(t.Context(), c.Key); !bytes.Equal(got, c.Value) {
					t.Errorf("put %d is confirmed, and not in the table", i)
				}
			}
			time.Sleep(15 * time.Second)
		}
	})
}

// However many exits share a prefix, they do not confirm each other's puts.
func TestPrefixDoesNotConfirmItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startExitsIn(t, 11, 3, prefixed)
		defer e.stop()
		h := &hoard{kept: make(map[string][]byte)}
		e.bend(serviceRecordPut, h.put, every(swarm + 1)[1:]...)
		e.bend(serviceRecordGet, h.get, every(swarm + 1)[1:]...)
		r, stored := e.records(), 0
		for i := byte(1); h.asked() < swarm; i++ {
			c := newPerson(t, i).now()[0]
			if _, err := r.Put(t.Context(), c.Key, c.Value); err == nil {
				stored++
				if got, _ := e.Get(t.Context(), c.Key); !bytes.Equal(got, c.Value) {
					t.Errorf("put %d is confirmed, and not in the table", i)
				}
			}
			for _, id := range r.liars.list() {
				if n := e.index(id); n > swarm {
					t.Errorf("put %d: exit %d, which is honest, is left alone", i, n)
				}
			}
			time.Sleep(15 * time.Second)
		}
		if stored == 0 {
			t.Error("nothing was stored")
		}
	})
}

// Nor can they, by finding none together, hide a record, or have an honest exit left
// alone that has stored one.
func TestPrefixHidesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startExitsIn(t, 11, 3, prefixed)
		defer e.stop()
		e.bend(serviceRecordGet, saysNone, every(swarm + 1)[1:]...)
		r, met, asked := e.records(), 0, 0
		for i := byte(1); met < 20; i++ {
			c := newPerson(t, i).now()[0]
			if _, err := r.Put(t.Context(), c.Key, c.Value); err != nil {
				t.Errorf("put %d: %v", i, err)
			}
			if got, err := r.Get(t.Context(), c.Key); err != nil || !bytes.Equal(got, c.Value) {
				t.Errorf("get %d: %v", i, err)
			}
			for _, q := range e.questions() {
				asked++
				if q.exit <= swarm {
					met++
				}
			}
			time.Sleep(15 * time.Second)
		}
		if n := len(r.liars.list()); n != 0 {
			t.Errorf("%d exits are left alone", n)
		}
		if met > asked/3 { // one prefix of seven
			t.Errorf("of %d questions %d went to the one prefix", asked, met)
		}
		if _, err := r.Get(t.Context(), newPerson(t, 200).now()[0].Key); !errors.Is(err, record.ErrNone) {
			t.Errorf("what is not there: %v", err)
		}
	})
}

// Of two exits that are asked for one key the second is in another prefix than the
// first, and the swarm comes up as often as any other prefix.
func TestExitsAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startExitsIn(t, 11, 3, prefixed)
		defer e.stop()
		const rounds = 400
		first := 0
		for range rounds {
			s := &session{records: e.records()}
			_, a, err := s.path(nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, b, err := s.path(nil, []*record.Descriptor{a})
			if err != nil {
				t.Fatal(err)
			}
			i, j := e.index(a.ID()), e.index(b.ID())
			if prefixed(i) == prefixed(j) {
				t.Fatalf("exits %d and %d are asked for one key", i, j)
			}
			if i <= swarm {
				first++
			}
		}
		if first < 20 || first > 110 { // a seventh is 57, with a standard deviation of 7
			t.Errorf("the swarm comes up first in %d of %d rounds", first, rounds)
		}
	})
}

// barred are paths that lead to some ends only.
type barred struct {
	Paths
	leads func(id hashid.NodeID) bool
	why   error // that none leads anywhere
	tried int
}

func (b *barred) Ready() error { return cmp.Or(b.why, b.Paths.Ready()) }

func (b *barred) Draw(end *record.Descriptor) (*path.Way, error) {
	b.tried++
	if !b.leads(end.ID()) {
		return nil, &path.PrefixError{Need: 4, Have: 9}
	}
	return b.Paths.Draw(end)
}

// When no path leads to the exit that was drawn, another is asked, a few times.
func TestExitWithoutPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startExits(t, 10, 3)
		defer e.stop()
		paths := &barred{Paths: e.nodes[0].cfg.Paths, leads: func(id hashid.NodeID) bool { return e.index(id) > 5 }}
		e.nodes[0].cfg.Paths = paths
		r := e.records()
		for i := range byte(10) {
			if err := r.Ready(); err != nil {
				t.Errorf("round %d: %v", i, err)
			}
			if _, err := r.Get(t.Context(), newPerson(t, i).now()[0].Key); !errors.Is(err, record.ErrNone) {
				t.Errorf("round %d: %v", i, err)
			}
			time.Sleep(15 * time.Second)
		}
		paths.leads, paths.tried = func(hashid.NodeID) bool { return false }, 0
		var none *path.PrefixError
		if err := r.Ready(); !errors.As(err, &none) || paths.tried != exitsDrawn {
			t.Errorf("where no path leads to any of them: %v after %d tries", err, paths.tried)
		}
		paths.why, paths.tried = path.ErrWaits, 0
		if _, err := r.Get(t.Context(), newPerson(t, 1).now()[0].Key); err == nil || paths.tried != 1 {
			t.Errorf("where no path leads anywhere: %v after %d tries", err, paths.tried)
		}
	})
}

// Exits to which no path leads are not drawn again before the others, also if all have
// been asked before.
func TestExitsAreDrawnOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startExits(t, exitsDrawn, 3)
		defer e.stop()
		only := 0
		e.nodes[0].cfg.Paths = &barred{Paths: e.nodes[0].cfg.Paths, leads: func(id hashid.NodeID) bool { return e.index(id) == only }}
		for i := range 5 * (exitsDrawn - 1) {
			only = 1 + i%(exitsDrawn-1)
			s := &session{records: e.records()}
			for _, n := range e.nodes {
				s.asked = append(s.asked, n.id)
			}
			if _, exit, err := s.path(nil, nil); err != nil || e.index(exit.ID()) != only {
				t.Errorf("round %d: %v", i, err)
			}
		}
	})
}

// Relays in one prefix have one voice, and one relay has.
func TestVoices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startExitsIn(t, 8, 3, prefixed)
		defer e.stop()
		desc := func(i int) *record.Descriptor {
			d, ok := e.nodes[0].dir.Lookup(e.nodes[i].id)
			if !ok {
				t.Fatalf("node %d is not known", i)
			}
			return d
		}
		for _, test := range []struct {
			said []int
			want bool
		}{
			{[]int{5, 6}, true}, {[]int{5, 5}, false}, {[]int{1, 2, 3, 4}, false}, {[]int{1, 2, 3, 7}, true}, {[]int{6, 1}, true},
		} {
			v, agree := voices{ends: e.nodes[0].guarded}, false
			for _, i := range test.said {
				agree = v.add(desc(i))
			}
			if agree != test.want {
				t.Errorf("exits %v agree: %v", test.said, agree)
			}
		}
	})
}
