package overlay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/overlay/link"
	"chatnt/overlay/onion"
	"chatnt/overlay/relay"
)

func echo() map[string]Service {
	return map[string]Service{
		"echo":                              func(body []byte) []byte { return append([]byte("re: "), body...) },
		"size":                              func(body []byte) []byte { return fmt.Append(nil, len(body)) },
		"much":                              func([]byte) []byte { return make([]byte, onion.BodySize) },
		"more":                              func([]byte) []byte { return make([]byte, onion.BodySize+1) },
		"empty":                             func([]byte) []byte { return []byte{} },
		"none":                              func([]byte) []byte { return nil },
		"slow":                              func([]byte) []byte { time.Sleep(11 * time.Second); return []byte("late") },
		strings.Repeat("s", maxServiceName): func([]byte) []byte { return []byte("long") },
	}
}

// A request and its answer cross as many relays as the network wants, all
// different, and none of them the sender's or the end node.
func TestRequestCrossesRelays(t *testing.T) {
	for hops := 1; hops <= onion.Relays; hops++ {
		synctest.Test(t, func(t *testing.T) {
			n := start(t, hops+2, hops, echo())
			defer n.stop()
			answer, path, err := n.try(0, 1, "echo", "hi")
			if err != nil || answer != "re: hi" {
				t.Fatalf("%d hops: %q, %v", hops, answer, err)
			}
			met := map[hashid.NodeID]bool{n.nodes[0].id: true, n.nodes[1].id: true}
			for _, r := range path.Relays {
				met[r] = true
			}
			if path.End != n.nodes[1].id || len(path.Relays) != hops || len(met) != hops+2 {
				t.Errorf("%d hops: the path is %v", hops, path)
			}
			synctest.Wait() // a relay counts a packet when it has passed it on
			for i, node := range n.nodes {
				want := relay.Stats{Forwarded: 2}
				switch i {
				case 0:
					want = relay.Stats{Replies: 1}
				case 1:
					want = relay.Stats{Delivered: 1}
				}
				if got := node.Stats(); got != want {
					t.Errorf("%d hops: node %d did %+v, want %+v", hops, i, got, want)
				}
			}
			said := n.nodes[0].reports()
			if outcomes(said) != "answered 0s" || said[0].End != n.nodes[1].id || len(said[0].Out) != hops || len(said[0].Back) != hops {
				t.Errorf("%d hops: reported is %+v", hops, said)
			}
			n.expectNoneWait()
		})
	}
}

func TestAllToAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, 8, 3, echo())
		defer n.stop()
		var wg sync.WaitGroup
		for from := range n.nodes {
			for to := range n.nodes {
				if from == to {
					continue
				}
				wg.Go(func() {
					text := fmt.Sprintf("%d to %d", from, to)
					if answer, err := n.request(from, to, "echo", text, time.Second); err != nil || answer != "re: "+text {
						t.Errorf("%s: %q, %v", text, answer, err)
					}
				})
			}
		}
		wg.Wait()
		n.expectNoneWait()
	})
}

func TestSizes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, 5, 3, echo())
		defer n.stop()
		long := strings.Repeat("s", maxServiceName)
		for _, test := range []struct {
			service, body string
			want          int // bytes of the answer; -1: refused
		}{
			{"size", "", 1},
			{"size", strings.Repeat("x", MaxRequest), 4},
			{long, strings.Repeat("x", MaxRequest), 4},
			{long, strings.Repeat("x", MaxRequest+1), -1},
			{"size", strings.Repeat("x", MaxRequest+maxServiceName-len("size")), 4},
			{"size", strings.Repeat("x", MaxRequest+maxServiceName-len("size")+1), -1},
			{long + "s", "", -1},
			{"", "", -1},
			{"empty", "", 0},
			{"much", "", onion.BodySize},
		} {
			answer, _, err := n.try(0, 1, test.service, test.body)
			if (err != nil) != (test.want < 0) || errors.Is(err, ErrNoAnswer) || (err == nil && len(answer) != test.want) {
				t.Errorf("%s with %d bytes: an answer of %d, %v, want %d", test.service, len(test.body), len(answer), err, test.want)
			}
			again, err := n.request(0, 1, test.service, test.body, time.Second)
			if (err != nil) != (test.want < 0) || errors.Is(err, ErrNoAnswer) || again != answer {
				t.Errorf("%s with %d bytes: an answer of %d to a request, %v", test.service, len(test.body), len(again), err)
			}
		}
		n.expectNoneWait()
	})
}

// Without an answer an attempt ends with its ctx, and nothing of it stays: when
// the service is not known, has no answer, one that does not fit or that comes too
// late, or when packets are damaged on the way.
func TestNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, 5, 3, echo())
		defer n.stop()
		expect := func(service, reported string) {
			t.Helper()
			n.nodes[0].reports()
			began := time.Now()
			if answer, _, err := n.try(0, 1, service, "hi"); !errors.Is(err, ErrNoAnswer) || answer != "" {
				t.Errorf("%s: %q, %v", service, answer, err)
			}
			if took := time.Since(began); took != 10*time.Second {
				t.Errorf("%s: it took %v", service, took)
			}
			n.expectNoneWait()
			if got := outcomes(n.nodes[0].reports()); got != reported {
				t.Errorf("%s: reported is %q, want %q", service, got, reported)
			}
		}
		expect("unknown", "lost 2s")
		expect("none", "lost 2s")
		expect("more", "lost 2s")
		expect("slow", "lost 2s, late 11s")
		if got := n.nodes[0].Stats().Replies; got != 1 {
			t.Errorf("%d late answers came", got)
		}
		flip := func(_, _ hashid.NodeID, p *onion.Packet) bool { p[onion.Size-1] ^= 1; return true }
		n.tap(flip)
		expect("echo", "lost 2s")
		// Only the answer is damaged: what the end node and the relays after it send.
		sent := new(atomic.Int64)
		n.tap(func(from, to hashid.NodeID, p *onion.Packet) bool { return sent.Add(1) <= 4 || flip(from, to, p) })
		expect("echo", "lost 0s") // which shows when it is opened
		if got := n.nodes[0].Stats().Replies; got != 2 {
			t.Errorf("%d answers came, late or damaged", got)
		}
		n.pass.Store(nil)
		if answer, _, err := n.try(0, 1, "echo", "hi"); err != nil || answer != "re: hi" {
			t.Errorf("after all that: %q, %v", answer, err)
		}
	})
}

func TestTooFewRelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, 4, 3, echo()) // two of them are the ends
		defer n.stop()
		_, _, err := n.try(0, 1, "echo", "hi")
		var short *discovery.ShortageError
		if !errors.As(err, &short) || short.Need != 3 || short.Have != 2 {
			t.Errorf("with two relays: %v", err)
		}
		if _, err := n.request(0, 1, "echo", "hi", time.Minute); !errors.As(err, &short) || short.Have != 2 {
			t.Errorf("a request with two relays: %v", err)
		}
		if _, err := n.nodes[0].Draw(hashid.NodeID{1}); !errors.Is(err, discovery.ErrNoDescriptor) {
			t.Errorf("to a node that is not there: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) { // nobody is looked up who could not be reached
		n := start(t, 3, 3, echo())
		defer n.stop()
		var short *discovery.ShortageError
		if _, err := n.nodes[0].Draw(hashid.NodeID{1}); !errors.As(err, &short) || short.Have != 2 {
			t.Errorf("to a node that is not known, without relays: %v", err)
		}
	})
}

// Where all others start anew while a request is under way, it is answered as soon
// as their new keys are known.
func TestRequestOutlivesRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, 6, 3, echo())
		defer n.stop()
		time.Sleep(time.Minute)
		for i := 1; i < len(n.nodes); i++ {
			n.restart(i)
		}
		n.nodes[0].reports()
		began := time.Now()
		time.AfterFunc(6*time.Second, n.introduceAll)
		answer, err := n.request(0, 1, "echo", "hi", time.Minute)
		if took := time.Since(began); err != nil || answer != "re: hi" || took != 9500*time.Millisecond {
			t.Errorf("%q, %v after %v", answer, err, took)
		}
		if got, want := outcomes(n.nodes[0].reports()), "lost 2s, lost 4s, lost 7s, answered 9.5s"; got != want {
			t.Errorf("reported is %v, want %v", got, want)
		}
	})
}

// A path is good for the epoch it was drawn in and the next: after that the end
// node has forgotten the key, and only a new path reaches it.
func TestPathOutlivesItsEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, 5, 3, echo())
		defer n.stop()
		path, err := n.nodes[0].Draw(n.nodes[1].id)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []error{nil, nil, ErrNoAnswer} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			if _, err := n.nodes[0].Caller().Try(ctx, path, "echo", nil); !errors.Is(err, want) {
				t.Errorf("after %d epochs: %v, want %v", i, err, want)
			}
			cancel()
			time.Sleep(record.EpochLength)
		}
		if _, _, err := n.try(0, 1, "echo", ""); err != nil {
			t.Errorf("over a new path: %v", err)
		}
	})
}

// A request is repeated after 2, 3, 4.5, 6.75 and then ever 10 seconds, over new
// relays there and back, until an answer comes.
func TestRequestRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, 24, 3, echo())
		defer n.stop()
		var sent []time.Duration
		began := time.Now()
		n.tap(func(from, _ hashid.NodeID, _ *onion.Packet) bool {
			if from == n.nodes[0].id {
				sent = append(sent, time.Since(began))
			}
			return len(sent) > 6
		})
		answer, err := n.request(0, 1, "echo", "hi", time.Minute)
		if err != nil || answer != "re: hi" {
			t.Fatalf("%q, %v", answer, err)
		}
		if got, want := fmt.Sprint(sent), "[0s 2s 5s 9.5s 16.25s 26.25s 36.25s]"; got != want {
			t.Errorf("sent after %v, want %v", got, want)
		}
		said := n.nodes[0].reports()
		if got, want := outcomes(said), "lost 2s, lost 4s, lost 7s, lost 11.5s, lost 18.25s, lost 28.25s, answered 36.25s"; got != want {
			t.Errorf("reported is %v, want %v", got, want)
		}
		ways := make(map[string]bool)
		for _, r := range said {
			ways[fmt.Sprint(r.Out)], ways[fmt.Sprint(r.Back)] = true, true
		}
		if len(ways) < 2*len(said)-1 { // of 9,240 ways some two could be the same by chance
			t.Errorf("%d different ways in %d attempts", len(ways), len(said))
		}
		n.expectNoneWait()
	})
}

// The first answer wins, also a late one, and those that come after it are
// reported all the same.
func TestFirstAnswerWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := new(atomic.Int32)
		n := startWith(t, 5, 3, func(_ int, cfg *Config) {
			cfg.Slow = map[string]SlowService{"slow": func(context.Context, []byte) []byte {
				i := calls.Add(1)
				time.Sleep(3 * time.Second)
				return fmt.Append(nil, i)
			}}
		})
		defer n.stop()
		began := time.Now()
		answer, err := n.request(0, 1, "slow", "", time.Minute)
		if err != nil || answer != "1" || time.Since(began) != 3*time.Second {
			t.Errorf("%q, %v after %v", answer, err, time.Since(began))
		}
		time.Sleep(time.Minute)
		if got, want := outcomes(n.nodes[0].reports()), "lost 2s, late 3s, lost 4s, late 5s"; got != want {
			t.Errorf("reported is %v, want %v", got, want)
		}
		n.expectNoneWait()
	})
}

// Nothing goes out once ctx has ended, and what is under way is judged in its time.
func TestRequestEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, 5, 3, echo())
		defer n.stop()
		n.tap(func(hashid.NodeID, hashid.NodeID, *onion.Packet) bool { return false })
		if _, err := n.request(0, 1, "echo", "", 2500*time.Millisecond); !errors.Is(err, ErrNoAnswer) {
			t.Error(err)
		}
		if n.nodes[0].Pending() != 1 {
			t.Errorf("%d attempts are under way, want the second", n.nodes[0].Pending())
		}
		time.Sleep(time.Minute)
		if got, want := outcomes(n.nodes[0].reports()), "lost 2s, lost 4s"; got != want {
			t.Errorf("reported is %v, want %v", got, want)
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		path, err := n.nodes[0].Draw(n.nodes[1].id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.nodes[0].Caller().Try(over, path, "echo", nil); !errors.Is(err, ErrNoAnswer) || n.nodes[0].Pending() != 0 {
			t.Errorf("when ctx is over: %v, %d under way", err, n.nodes[0].Pending())
		}
		n.expectNoneWait()
	})
}

// Without a time of its own an attempt ends when its answer is not waited for any
// more.
func TestTryEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, 5, 3, nil)
		defer n.stop()
		path, err := n.nodes[0].Draw(n.nodes[1].id)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = n.nodes[0].Caller().Try(context.Background(), path, "unknown", nil)
		if took := time.Since(began); !errors.Is(err, ErrNoAnswer) || took != 32*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		n.expectNoneWait()
	})
}

// refusing is a link that takes nothing.
type refusing struct {
	Link
	times *atomic.Int32
}

func (l refusing) Send(_ hashid.NodeID, p *onion.Packet) error {
	l.times.Add(1)
	l.Put(p)
	return link.ErrQueueFull
}

// What the link does not take was never sent: that says whom it was for, and a
// request tries again soon.
func TestUnsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		times := new(atomic.Int32)
		n := startWith(t, 5, 3, func(i int, cfg *Config) {
			cfg.Services = echo()
			if i == 0 {
				cfg.Link = refusing{cfg.Link, times}
			}
		})
		defer n.stop()
		_, path, err := n.try(0, 1, "echo", "hi")
		if !errors.Is(err, link.ErrQueueFull) {
			t.Error(err)
		}
		said := n.nodes[0].reports()
		if outcomes(said) != "unsent 0s" || said[0].Out[0] != path.Relays[0] || said[0].End != path.End {
			t.Errorf("reported is %+v", said)
		}
		if _, err := n.request(0, 1, "echo", "hi", time.Second); !errors.Is(err, link.ErrQueueFull) {
			t.Errorf("a request: %v", err)
		}
		if got, want := outcomes(n.nodes[0].reports()), "unsent 0s, unsent 250ms, unsent 625ms"; got != want {
			t.Errorf("reported is %v, want %v", got, want)
		}
		n.expectNoneWait()
	})
}

// The slower packets are to be, the longer their answers are waited for.
func TestPatience(t *testing.T) {
	for _, test := range []struct {
		latency Latency
		relays  int
		want    time.Duration
	}{
		{Fast, 6, 2 * time.Second},
		{Normal, 6, 3335 * time.Millisecond},
		{Slow, 6, 28697 * time.Millisecond},
		{Slow, 2, 14485 * time.Millisecond},
	} {
		if got := test.latency.Patience(test.relays).Round(time.Millisecond); got != test.want {
			t.Errorf("%v over %d relays: %v, want %v", test.latency, test.relays, got, test.want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		n := start(t, 5, 3, nil)
		defer n.stop()
		n.tap(func(hashid.NodeID, hashid.NodeID, *onion.Packet) bool { return false })
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		if _, err := n.nodes[0].Caller().Request(ctx, n.nodes[1].id, "echo", nil, Slow); !errors.Is(err, ErrNoAnswer) {
			t.Error(err)
		}
		var at []time.Duration
		for _, r := range n.nodes[0].reports() {
			at = append(at, r.at.Round(time.Second))
		}
		if got, want := fmt.Sprint(at), "[29s 57s 1m40s 2m45s]"; got != want { // sent after 0, 28.7, 71.7, 136.3 s
			t.Errorf("lost after %v, want %v", got, want)
		}
	})
}

// A request is of the caller's bytes, as they are when it is made, whatever a
// service does to what it gets.
func TestBodyIsNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, 5, 3, map[string]Service{"wipe": func(body []byte) []byte { clear(body); return body }})
		defer n.stop()
		body := []byte("mine")
		answer, err := n.nodes[0].Caller().Request(t.Context(), n.nodes[1].id, "wipe", body, Fast)
		if err != nil || !bytes.Equal(answer, make([]byte, 4)) || string(body) != "mine" {
			t.Errorf("%q, %q, %v", answer, body, err)
		}
	})
}
