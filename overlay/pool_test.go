package overlay

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/overlay/fair"
)

// workshop is a pool whose jobs take as long as they are told, and note when.
type workshop struct {
	*pool
	stop func()

	mu      sync.Mutex
	begun   map[hashid.NodeID]int // guarded by mu
	order   []hashid.NodeID       // guarded by mu; as they began
	running int                   // guarded by mu
	most    int                   // guarded by mu
}

// newWorkshop starts a pool without limits to its rate, unless some are given.
func newWorkshop(budget *fair.Budget[hashid.NodeID]) *workshop {
	w := &workshop{pool: newPool(limitsOf("slow")), begun: make(map[hashid.NodeID]int)}
	w.budget = budget
	if budget == nil {
		w.budget = fair.NewBudget[hashid.NodeID](0, math.MaxInt32)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { w.run(ctx); close(done) }()
	w.stop = func() { cancel(); <-done }
	synctest.Wait()
	return w
}

func (w *workshop) task(from hashid.NodeID, takes time.Duration) {
	w.add(from, func(ctx context.Context) {
		w.mu.Lock()
		w.begun[from]++
		w.order = append(w.order, from)
		w.running++
		w.most = max(w.most, w.running)
		w.mu.Unlock()
		select {
		case <-time.After(takes):
		case <-ctx.Done():
		}
		w.mu.Lock()
		w.running--
		w.mu.Unlock()
	})
}

// times is how often jobs of a neighbour have begun.
func (w *workshop) times(from hashid.NodeID) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.begun[from]
}

// A neighbour that asks for more than there is has half of the places to run and
// half of those to wait. What others ask for begins at once.
func TestPoolIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkshop(nil)
		defer w.stop()
		flood, honest := hashid.NodeID{66}, hashid.NodeID{1}
		for range 1000 {
			w.task(flood, 5*time.Second)
		}
		synctest.Wait()
		if s := w.stats(); s.Running != slowAtOnce/2 || s.Waiting != slowQueued/2 || s.NoRoom != 1000-(slowAtOnce+slowQueued)/2 {
			t.Errorf("one that floods: %+v", s)
		}
		for range 4 {
			w.task(honest, time.Second)
		}
		synctest.Wait()
		if n := w.times(honest); n != 4 {
			t.Errorf("%d of another's 4 have begun", n)
		}
		time.Sleep(time.Hour)
		w.pool.mu.Lock()
		if len(w.queues) != 0 || len(w.turns) != 0 {
			t.Errorf("%d queues are left, %d turns", len(w.queues), len(w.turns))
		}
		w.pool.mu.Unlock()
		w.stop()
		if w.most > slowAtOnce || w.begun[honest] != 4 {
			t.Errorf("%d were carried out at once", w.most)
		}
		// Eight at a time, five seconds each: 16 are done when time is up for the rest.
		if s := w.stats(); s.Done != 16+4 || s.Expired != slowQueued/2-8 || s.Running != 0 || s.Waiting != 0 {
			t.Errorf("in the end: %+v", s)
		}
	})
}

// Where many flood, turns go round: who asks for little waits for one turn of each.
func TestPoolTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkshop(nil)
		defer w.stop()
		const floods = 20
		for range 100 {
			for i := range byte(floods) {
				w.task(hashid.NodeID{66, i}, 100*time.Millisecond)
			}
		}
		honest := hashid.NodeID{1}
		synctest.Wait()
		w.mu.Lock()
		before := len(w.order)
		w.mu.Unlock()
		w.task(honest, time.Second)
		time.Sleep(time.Second)
		w.stop()
		at := -1
		for i, from := range w.order {
			if from == honest {
				at = i - before
			}
		}
		if at < 0 || at > floods+slowAtOnce { // those that start together note it in any order
			t.Errorf("the turn of one that asks for little came after %d others", at)
		}
		least, most := math.MaxInt, 0
		for i := range byte(floods) {
			n := w.begun[hashid.NodeID{66, i}]
			least, most = min(least, n), max(most, n)
		}
		if least == 0 {
			t.Errorf("some of those that flood had %d turns, some %d", least, most)
		}
	})
}

// The rate is shared, too, and holds in all.
func TestPoolLimitsTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkshop(newPool(limitsOf("slow")).budget)
		defer w.stop()
		const minutes = 5
		for i := range minutes * 600 { // ten a second each of two
			w.task(hashid.NodeID{66, byte(i % 2)}, 0)
			w.task(hashid.NodeID{66, byte(i % 2)}, 0)
			if i%10 == 0 { // one a second
				w.task(hashid.NodeID{1}, 0)
			}
			time.Sleep(100 * time.Millisecond)
		}
		w.stop()
		if n := w.begun[hashid.NodeID{1}]; n != minutes*60 {
			t.Errorf("of %d that a neighbour asked for, %d were carried out", minutes*60, n)
		}
		all := w.begun[hashid.NodeID{1}] + w.begun[hashid.NodeID{66, 0}] + w.begun[hashid.NodeID{66, 1}]
		if limit := slowBurst + minutes*60*slowRate; all > limit || all < limit-slowBurst {
			t.Errorf("%d were carried out in %d minutes, the limit is %d", all, minutes, limit)
		}
		if s := w.stats(); s.Limited == 0 || s.NoRoom != 0 || s.Done != uint64(all) {
			t.Errorf("%+v", s)
		}
	})
}

// Time is over ten seconds after a request came, while it waits or runs; and when
// the node stops, which waits for the last to end.
func TestPoolEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkshop(nil)
		begin := time.Now()
		over := make(chan time.Duration)
		w.add(hashid.NodeID{1}, func(ctx context.Context) { <-ctx.Done(); over <- time.Since(begin) })
		if took := <-over; took != slowWithin {
			t.Errorf("a job ended after %v", took)
		}
		ended := false
		w.add(hashid.NodeID{1}, func(ctx context.Context) {
			<-ctx.Done()
			time.Sleep(time.Second)
			ended = true
		})
		for range slowAtOnce {
			w.task(hashid.NodeID{1}, time.Minute)
		}
		synctest.Wait()
		w.stop()
		if !ended {
			t.Error("the pool has not waited for a job")
		}
		w.task(hashid.NodeID{2}, 0)
		synctest.Wait()
		if s := w.stats(); s.Running != 0 || s.Waiting != 0 || s.NoRoom != slowAtOnce/2+1+1 || w.times(hashid.NodeID{2}) != 0 {
			t.Errorf("when it has stopped: %+v", s)
		}
		if idle := newPool(limitsOf("slow")); true { // that does not run
			idle.add(hashid.NodeID{1}, func(context.Context) { t.Error("a job without a pool") })
			if idle.stats().NoRoom != 1 {
				t.Errorf("%+v", idle.stats())
			}
		}
	})
}

// A slow service holds nobody back: while it works, the neighbour that its request
// came by brings others.
func TestSlowServiceHoldsNobodyBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startWith(t, 5, 3, func(_ int, cfg *Config) {
			cfg.Services = echo()
			cfg.Slow = map[string]SlowService{
				"late": func(ctx context.Context, _ []byte) []byte { <-ctx.Done(); return []byte("late") },
				"nil":  func(context.Context, []byte) []byte { return nil },
			}
		})
		defer n.stop()
		var wg sync.WaitGroup
		for range 6 {
			for _, service := range []string{"late", "nil"} {
				wg.Go(func() {
					if answer, err := n.request(0, 1, service, "hi", time.Minute); err == nil {
						t.Errorf("%s: %q", service, answer)
					}
				})
			}
		}
		time.Sleep(time.Second)
		began := time.Now()
		if answer, err := n.request(2, 1, "echo", "hi", time.Second); err != nil || answer != "re: hi" || time.Since(began) != 0 {
			t.Errorf("%q, %v after %v", answer, err, time.Since(began))
		}
		wg.Wait()
		n.expectNoneWait()
		if s := n.nodes[1].Served(); s.Running != 0 || s.Done == 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Who asks an exit through all of its neighbours, as any path does, has to bring more than
// it answers a second to keep others out, and has only its part then. Honest questions
// come once in three seconds, from any neighbour.
func TestFloodAtAnExit(t *testing.T) {
	for _, test := range []struct{ rate, least int }{{20, 100}, {40, 97}, {80, 30}} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(limitsOf(serviceRecordGet))
			w := &workshop{pool: p, begun: make(map[hashid.NodeID]int)}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { w.run(ctx); close(done) }()
			synctest.Wait()
			r := rand.New(rand.NewPCG(1, uint64(test.rate)))
			neighbour := func() hashid.NodeID { return hashid.NodeID{byte(r.IntN(19))} }
			asked, answered := 0, 0
			for second := range 600 {
				at := -1
				if second%3 == 0 {
					at = r.IntN(test.rate)
				}
				for i := range test.rate {
					w.task(neighbour(), 200*time.Millisecond)
					wait := time.Duration(r.Int64N(int64(time.Second))) / time.Duration(test.rate)
					time.Sleep(wait)
					if i == at && second > 120 { // the burst is over
						before := p.stats()
						w.task(neighbour(), 200*time.Millisecond)
						after := p.stats()
						if asked++; after.Limited+after.NoRoom == before.Limited+before.NoRoom {
							answered++
						}
					}
					time.Sleep(time.Second/time.Duration(test.rate) - wait)
				}
			}
			cancel()
			<-done
			s := p.stats()
			t.Logf("%d a second: %d of %d honest questions are answered; %+v", test.rate, answered, asked, s)
			if answered*100 < asked*test.least || s.Expired > 0 {
				t.Errorf("%d a second: %d of %d honest questions are answered, %d too late", test.rate, answered, asked, s.Expired)
			}
		})
	}
}

// What floods one service takes nothing from another.
func TestServicesAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startExits(t, 2, 1)
		defer e.stop()
		from, o := hashid.NodeID{1}, e.nodes[1]
		for range slowBurst + 10 {
			o.pools[serviceRecordPut].add(from, func(context.Context) {})
		}
		before := o.Served()
		o.pools[serviceRecordGet].add(from, func(context.Context) {})
		synctest.Wait()
		if after := o.Served(); before.Limited == 0 || after.Limited != before.Limited || after.NoRoom != before.NoRoom {
			t.Errorf("a look-up beside a flood of puts: %+v, then %+v", before, after)
		}
	})
}
