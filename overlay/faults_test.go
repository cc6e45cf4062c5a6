package overlay

import (
	"math/rand/v2"
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

func (r report) passes(id hashid.NodeID) bool {
	return slices.Contains(r.Out, id) || slices.Contains(r.Back, id)
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

// TestFaultyRelayLeaves: whatever a relay does to packets, everything is answered, and
// after a minute of two requests a second none passes it.
func TestFaultyRelayLeaves(t *testing.T) {
	for name, treat := range faults() {
		for _, nodes := range []int{11, 20} {
			synctest.Test(t, func(t *testing.T) {
				n, stop := withFault(t, nodes, false, treat)
				defer stop()
				n.nodes[0].reports()
				if lost := n.talk(500*time.Millisecond, 3*time.Minute); lost > 0 {
					t.Errorf("%s, %d nodes: %d requests were not answered", name, nodes, lost)
				}
				met, last := 0, time.Duration(0)
				for _, said := range n.nodes[0].reports() {
					if said.passes(n.nodes[bad].id) && said.Outcome != Late {
						met++
						last = max(last, said.at)
					}
				}
				t.Logf("%s, %d nodes: %d attempts met it, the last was judged after %v", name, nodes, met, last)
				if last > time.Minute {
					t.Errorf("%s, %d nodes: it was met until %v", name, nodes, last)
				}
			})
		}
	}
}

// TestLoopsFindFaultyRelay: a node that says nothing finds it by its loops, within a
// minute of the first of several losses, and sends few of them but for that minute.
func TestLoopsFindFaultyRelay(t *testing.T) {
	for name, treat := range faults() {
		synctest.Test(t, func(t *testing.T) {
			n, stop := withFault(t, 12, true, treat)
			defer stop()
			n.nodes[0].reports()
			time.Sleep(2 * time.Hour)
			var losses []time.Duration
			said := n.nodes[0].reports()
			met := 0
			for _, r := range said {
				if r.passes(n.nodes[bad].id) && r.Outcome != Late {
					met++
				}
				if r.Outcome == Lost {
					losses = append(losses, r.at)
				}
			}
			if !n.nodes[0].avoids(n.nodes[bad].id) && met > len(said)/10 {
				t.Errorf("%s: it is still there, and was met by %d of %d loops", name, met, len(said))
			}
			// Losses come in bursts: while it is not known, and after each of its rests.
			bursts, spent := 0, time.Duration(0)
			for i, at := range losses {
				if i == 0 || at-losses[i-1] > 2*time.Minute {
					bursts++
				} else {
					spent += at - losses[i-1]
				}
			}
			t.Logf("%s: %d loops in two hours, %d met it, %d were lost in %d bursts of %v in all", name, len(said), met, len(losses), bursts, spent)
			if bursts == 0 || spent > time.Duration(bursts)*time.Minute || len(said) > 400 {
				t.Errorf("%s: %d loops, lost in %d bursts of %v", name, len(said), bursts, spent)
			}
		})
	}
}

// avoids reports whether some relays rest.
func (node *testNode) avoids(hashid.NodeID) bool {
	return node.guarded.Summary().Resting > 0
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
			if met < 20 || lost > 10 {
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
