package overlay

import (
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/overlay/onion"
)

// faulty is the link of a relay that mistreats what it forwards.
type faulty struct {
	Link
	treat func(to hashid.NodeID, p *onion.Packet) (after time.Duration, pass bool)
	wait  *sync.WaitGroup
}

func (f faulty) Send(to hashid.NodeID, p *onion.Packet) error {
	after, pass := f.treat(to, p)
	switch {
	case !pass:
		f.Put(p)
		return nil
	case after > 0:
		f.wait.Go(func() {
			time.Sleep(after)
			_ = f.Link.Send(to, p)
		})
		return nil
	}
	return f.Link.Send(to, p)
}

// faults are what a bad relay does, by name.
func faults() map[string]func(hashid.NodeID, *onion.Packet) (time.Duration, bool) {
	r := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	return map[string]func(hashid.NodeID, *onion.Packet) (time.Duration, bool){
		"drops everything": func(hashid.NodeID, *onion.Packet) (time.Duration, bool) { return 0, false },
		"drops half": func(hashid.NodeID, *onion.Packet) (time.Duration, bool) {
			mu.Lock()
			defer mu.Unlock()
			return 0, r.IntN(2) == 0
		},
		"delays by 5 s": func(hashid.NodeID, *onion.Packet) (time.Duration, bool) { return 5 * time.Second, true },
		"corrupts payloads": func(_ hashid.NodeID, p *onion.Packet) (time.Duration, bool) {
			p[len(p)-1] ^= 1
			return 0, true
		},
		"corrupts headers": func(_ hashid.NodeID, p *onion.Packet) (time.Duration, bool) {
			p[0] ^= 1
			return 0, true
		},
	}
}

const bad = 2 // the node that is faulty in these tests; 0 sends, 1 answers

// withFault runs a network in which one relay is faulty.
func withFault(t *testing.T, nodes int, loops bool, treat func(hashid.NodeID, *onion.Packet) (time.Duration, bool)) (n *net, stop func()) {
	t.Helper()
	wait := new(sync.WaitGroup)
	n = (&net{t: t, hops: 3, loops: loops, config: func(i int, cfg *Config) {
		cfg.Services = echo()
		if i == bad {
			cfg.Link = faulty{cfg.Link, treat, wait}
		}
	}}).run(nodes)
	return n, func() { wait.Wait(); n.stop() }
}

// talk sends a request every so often for a while, and waits until all are answered or
// a minute has passed. It returns how many were not.
func (n *net) talk(every, during time.Duration) (unanswered int) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range int(during / every) {
		wg.Go(func() {
			if answer, err := n.request(0, 1, "echo", "hi", time.Minute); err != nil || answer != "re: hi" {
				mu.Lock()
				unanswered++
				mu.Unlock()
			}
		})
		time.Sleep(every)
	}
	wg.Wait()
	return unanswered
}

// never is how long something took that by chance had no occasion to happen.
const never = -1

// inMost runs something that ends by chance sooner or later, a few times for each of
// the faults, and wants it to be soon in most of them. What had no occasion to happen is
// run again.
func inMost(t *testing.T, run func(t *testing.T, treat func(hashid.NodeID, *onion.Packet) (time.Duration, bool)) time.Duration) {
	t.Helper()
	tries := 3
	if os.Getenv("CHATNT_LONG") == "1" {
		tries = 15
	}
	for name, treat := range faults() {
		var took []time.Duration
		for runs := 0; len(took) < tries; runs++ {
			if runs == 3*tries {
				t.Fatalf("%s: in %d runs of %d there was no occasion", name, runs-len(took), runs)
			}
			synctest.Test(t, func(t *testing.T) {
				if d := run(t, treat); d != never {
					took = append(took, d)
				}
			})
		}
		slices.Sort(took)
		within := time.Minute
		if name == "drops half" {
			within = 90 * time.Second
		}
		if t.Logf("%s: %v", name, took); took[tries/2] > within {
			t.Errorf("%s: it took %v, want %v in most cases", name, took, within)
		}
	}
}

// TestFaultyRelayLeaves: whatever a relay does to packets, everything is answered, and
// with two requests a second none passes it after a minute.
func TestFaultyRelayLeaves(t *testing.T) {
	sizes := []int{11}
	if os.Getenv("CHATNT_LONG") == "1" {
		sizes = []int{11, 20}
	}
	for _, nodes := range sizes {
		inMost(t, func(t *testing.T, treat func(hashid.NodeID, *onion.Packet) (time.Duration, bool)) (last time.Duration) {
			n, stop := withFault(t, nodes, true, treat)
			defer stop()
			n.nodes[0].reports()
			if lost := n.talk(500*time.Millisecond, 2*time.Minute); lost > 0 {
				t.Errorf("%d nodes: %d requests were not answered", nodes, lost)
			}
			for _, said := range n.nodes[0].reports() {
				if said.passes(n.nodes[bad].id) && said.Outcome != Late {
					last = max(last, said.at)
				}
			}
			if last == 0 {
				t.Errorf("%d nodes: it was never met", nodes)
			}
			return last
		})
	}
}

// TestLoopsFindFaultyRelay: a node that says nothing finds it by its loops, within a
// minute of the first doubt, and sends no more of them in all than it may. The few loops
// of five calm hours can miss a relay that is not next to a guard and drops half of them.
func TestLoopsFindFaultyRelay(t *testing.T) {
	const hours = 5 // descriptors live for six
	inMost(t, func(t *testing.T, treat func(hashid.NodeID, *onion.Packet) (time.Duration, bool)) time.Duration {
		n, stop := withFault(t, 12, true, treat)
		defer stop()
		n.nodes[0].reports()
		var doubt, rests int // seconds
		for at := range int(hours * time.Hour / time.Second) {
			time.Sleep(time.Second)
			if doubt == 0 && n.nodes[0].doubts() > 0 {
				doubt = at
			}
			if doubt > 0 && rests == 0 && n.nodes[0].guarded.Summary().Resting > 0 {
				rests = at
			}
		}
		loops := len(n.nodes[0].reports())
		calm := int(hours * time.Hour / loopEvery)
		if most := loopsSoon + int(hours*time.Hour/loopAgain) + 2*calm; loops < calm/4 || loops > most {
			t.Errorf("%d loops in %d hours, at most %d are right; doubt after %d s", loops, hours, most, doubt)
		}
		switch {
		case doubt == 0:
			return never
		case rests == 0:
			return hours * time.Hour
		}
		return time.Duration(rests-doubt) * time.Second
	})
}

// TestSilentNode: while all is well a node sends few loops, all of them come back, and
// now and then they go to another end: not one time in twenty in such a while to none.
func TestSilentNode(t *testing.T) {
	moved := false
	for range 5 {
		synctest.Test(t, func(t *testing.T) {
			n := (&net{t: t, hops: 3, loops: true}).run(20)
			defer n.stop()
			n.nodes[0].reports()
			time.Sleep(5 * time.Hour)
			said := n.nodes[0].reports()
			ends := make(map[hashid.NodeID]bool)
			for _, r := range said {
				if ends[r.End] = true; r.Outcome != Answered {
					t.Fatalf("%+v", r)
				}
			}
			want := int(5 * time.Hour / loopEvery)
			if len(said) < want/6 || len(said) > want*2 { // five standard deviations
				t.Errorf("%d loops in five hours, want some %d", len(said), want)
			}
			moved = moved || len(ends) > 1
		})
		if moved {
			return
		}
	}
	t.Error("they always go to the same end")
}

// TestLoopsAreBounded: however much is lost, and for however long, there is an end to
// the loops that a node sends for it.
func TestLoopsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := (&net{t: t, hops: 3, loops: true}).run(12)
		defer n.stop()
		r := rand.New(rand.NewPCG(1, 2))
		var mu sync.Mutex
		n.tap(func(hashid.NodeID, hashid.NodeID, *onion.Packet) bool {
			mu.Lock()
			defer mu.Unlock()
			return r.IntN(20) > 0 // of eight steps
		})
		time.Sleep(time.Hour)
		n.nodes[0].reports()
		time.Sleep(4 * time.Hour)
		loops := len(n.nodes[0].reports())
		calm, soon := int(4*time.Hour/loopEvery), int(4*time.Hour/loopAgain)
		t.Logf("%d loops in four hours, %d for what is lost and %d anyway", loops, soon, calm)
		if loops < 2*calm || loops > soon+2*calm+loopsSoon { // much is lost or little, as chance has it
			t.Errorf("%d loops in four hours, want some %d", loops, soon+calm)
		}
	})
}

// TestHonestRelayStays: one relay drops what comes from another, and only that: after a
// minute the other is still on paths, and nothing is lost.
func TestHonestRelayStays(t *testing.T) {
	for _, nodes := range []int{11, 20} {
		synctest.Test(t, func(t *testing.T) {
			const framed = 3
			n := start(t, nodes, 3, echo())
			defer n.stop()
			n.tap(func(from, to hashid.NodeID, _ *onion.Packet) bool {
				return from != n.nodes[framed].id || to != n.nodes[bad].id
			})
			if lost := n.talk(500*time.Millisecond, 90*time.Second); lost > 0 {
				t.Errorf("%d nodes: %d requests were not answered", nodes, lost)
			}
			n.nodes[0].reports()
			if lost := n.talk(500*time.Millisecond, 2*time.Minute); lost > 0 {
				t.Errorf("%d nodes: later %d requests were not answered", nodes, lost)
			}
			met, lost := 0, 0
			for _, said := range n.nodes[0].reports() {
				if said.passes(n.nodes[framed].id) {
					met++
				}
				if said.Outcome == Lost {
					lost++
				}
			}
			t.Logf("%d nodes: later %d attempts met it, %d were lost", nodes, met, lost)
			if met < 5 || lost > 10 { // of some 30 by chance, and none if it were left out
				t.Errorf("%d nodes: later %d attempts met it, and %d were lost", nodes, met, lost)
			}
		})
	}
}

// TestRelaysKilled: two of ten relays end in the middle of 200 requests, unseen by
// anybody: each is answered.
func TestRelaysKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, 11, 3, echo())
		killed := make(chan struct{})
		go func() {
			defer close(killed)
			time.Sleep(3 * time.Second)
			n.nodes[4].stop()
			n.nodes[5].stop()
		}()
		n.nodes[0].reports()
		unanswered := n.talk(50*time.Millisecond, 10*time.Second)
		<-killed
		said := n.nodes[0].reports()
		lost := 0
		for _, r := range said {
			if r.Outcome == Lost {
				lost++
			}
		}
		t.Logf("%d attempts for 200 requests, %d of them lost", len(said), lost)
		if unanswered > 0 || lost == 0 {
			t.Errorf("%d of 200 requests were not answered; %d attempts were lost", unanswered, lost)
		}
		n.stop() // twice is harmless
	})
}
