package overlay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/overlay/onion"
)

// pusher is a service that keeps the reply blocks it is given.
type pusher struct {
	mu     sync.Mutex
	blocks []onion.SURB // guarded by mu
}

func (p *pusher) take(body []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	for raw := range slices.Chunk(body, onion.SURBSize) {
		block, err := onion.ParseSURB(raw)
		if err != nil {
			return []byte(err.Error())
		}
		p.blocks = append(p.blocks, block)
	}
	return []byte("taken")
}

// next gives out a block, once.
func (p *pusher) next(t *testing.T) onion.SURB {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.blocks) == 0 {
		t.Fatal("no block is left")
	}
	block := p.blocks[0]
	p.blocks = p.blocks[1:]
	return block
}

// pushed makes a network whose nodes keep reply blocks, and hands some of node 0
// to node 1.
func pushed(t *testing.T) (*net, *pusher, func(blocks int, latency Latency) *Replies) {
	t.Helper()
	p := new(pusher)
	n := start(t, 6, 3, map[string]Service{"take": p.take, "echo": echo()["echo"]})
	return n, p, func(blocks int, latency Latency) *Replies {
		t.Helper()
		r, err := n.nodes[0].Caller().Replies(n.nodes[1].id, blocks, latency)
		if err != nil {
			t.Fatal(err)
		}
		var body []byte
		for _, b := range r.Blocks {
			body = append(body, b[:]...)
		}
		if answer, err := n.request(0, 1, "take", string(body), time.Second); err != nil || answer != "taken" {
			t.Fatalf("%q, %v", answer, err)
		}
		return r
	}
}

// A service sends as often as it has reply blocks, when it likes.
func TestPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, p, give := pushed(t)
		defer n.stop()
		r := give(MaxReplies, Fast)
		for i := range MaxReplies {
			time.Sleep(time.Minute)
			if err := n.nodes[1].Push(p.next(t), fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
			if got := <-r.C; string(got) != fmt.Sprint(i) {
				t.Errorf("%q came, want %d", got, i)
			}
		}
		if _, open := <-r.C; open {
			t.Error("more has come than there are blocks")
		}
		r.Close()
		if n.nodes[0].awaited.replies.Taken() != 0 {
			t.Error("places are taken still")
		}
	})
}

// Nobody has to read in time, and a block that is used twice brings nothing twice.
func TestPushedWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, p, give := pushed(t)
		defer n.stop()
		r := give(3, Normal)
		for range 3 {
			block := p.next(t)
			again := block
			for _, b := range []onion.SURB{block, again} {
				if err := n.nodes[1].Push(b, []byte("once")); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(time.Minute)
		got := 0
		for body := range r.C {
			if string(body) != "once" {
				t.Errorf("%q came", body)
			}
			got++
		}
		if got != 3 {
			t.Errorf("%d came by 3 blocks", got)
		}
	})
}

// What comes by a damaged packet is lost, and its block with it.
func TestPushedIsDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, p, give := pushed(t)
		defer n.stop()
		r := give(1, Fast)
		n.tap(func(_, _ hashid.NodeID, p *onion.Packet) bool { p[onion.Size-1] ^= 1; return true })
		if err := n.nodes[1].Push(p.next(t), []byte("hi")); err != nil {
			t.Fatal(err)
		}
		if body, open := <-r.C; open {
			t.Errorf("%q came", body)
		}
		if said := n.nodes[0].reports(); outcomes(said) != "answered 0s" { // the request that took the block there
			t.Errorf("reported is %v", outcomes(said))
		}
	})
}

// After Close nothing comes, and the service cannot tell.
func TestRepliesClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, p, give := pushed(t)
		defer n.stop()
		r := give(2, Fast)
		if err := n.nodes[1].Push(p.next(t), []byte("before")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.Close()
		r.Close()
		if err := n.nodes[1].Push(p.next(t), []byte("after")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		var got []string
		for body := range r.C {
			got = append(got, string(body))
		}
		if !slices.Equal(got, []string{"before"}) {
			t.Errorf("%q came", got)
		}
		if len(n.nodes[0].awaited.byID) != 0 {
			t.Errorf("%d are awaited still", len(n.nodes[0].awaited.byID))
		}
	})
}

// A block serves until it expires, whenever in the hour it was made and whatever
// its delays, and not when the keys of its epoch are gone.
func TestRepliesExpire(t *testing.T) {
	for _, latency := range []Latency{Fast, Slow} {
		for _, minute := range []int{0, 1, 30, 59} {
			synctest.Test(t, func(t *testing.T) {
				n, p, give := pushed(t)
				defer n.stop()
				hour := time.Now().Truncate(time.Hour).Add(time.Hour)
				time.Sleep(time.Until(hour.Add(time.Duration(minute) * time.Minute)))
				r := give(3, latency)
				end := hour.Add(2 * time.Hour)
				if want := end.Add(-record.ClockSkew - latency.Patience(3)); !r.Expires.Equal(want) {
					t.Errorf("made at minute %d it expires at %v, want %v", minute, r.Expires, want)
				}
				time.Sleep(time.Until(r.Expires))
				if err := n.nodes[1].Push(p.next(t), []byte("in time")); err != nil {
					t.Fatal(err)
				}
				if got := <-r.C; string(got) != "in time" {
					t.Errorf("made at minute %d: %q came", minute, got)
				}
				time.Sleep(time.Until(end))
				if err := n.nodes[1].Push(p.next(t), []byte("too late")); err != nil {
					t.Fatal(err)
				}
				if got, open := <-r.C; open || !time.Now().Equal(end) {
					t.Errorf("made at minute %d: %q came, or is waited for until %v", minute, got, time.Now())
				}
				if n.nodes[0].awaited.replies.Taken() != 0 {
					t.Error("places are taken still")
				}
				synctest.Wait()
				unreadable := uint64(0)
				for _, node := range n.nodes {
					unreadable += node.Stats().Unreadable
				}
				if unreadable != 1 {
					t.Errorf("%d packets could not be read, want the late one", unreadable)
				}
			})
		}
	}
}

// A block serves until it expires also where the clocks of relays are ahead by
// what they may be.
func TestRepliesExpireByOtherClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(pusher)
		n := startWith(t, 6, 3, func(i int, cfg *Config) {
			cfg.Services = map[string]Service{"take": p.take}
			if i > 1 {
				cfg.Now = func() time.Time { return time.Now().Add(record.ClockSkew) }
			}
		})
		defer n.stop()
		time.Sleep(30 * time.Minute)
		r, err := n.nodes[0].Caller().Replies(n.nodes[1].id, 1, Normal)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(r.Expires))
		if err := n.nodes[1].Push(r.Blocks[0], []byte("in time")); err != nil {
			t.Fatal(err)
		}
		if got := <-r.C; string(got) != "in time" {
			t.Errorf("%q came", got)
		}
	})
}

// Relays that start anew have new keys: blocks through them are lost, nothing else
// is, and new blocks work.
func TestRelaysRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, p, give := pushed(t)
		defer n.stop()
		r := give(1, Fast)
		time.Sleep(10 * time.Minute)
		for i := 2; i < len(n.nodes); i++ {
			n.restart(i)
		}
		n.introduce()
		if err := n.nodes[1].Push(p.next(t), []byte("lost")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		select {
		case body := <-r.C:
			t.Errorf("%q came by relays that are gone", body)
		default:
		}
		fresh := give(1, Fast)
		if err := n.nodes[1].Push(p.next(t), []byte("new")); err != nil {
			t.Fatal(err)
		}
		if got := <-fresh.C; string(got) != "new" {
			t.Errorf("%q came by a new block", got)
		}
		if _, open := <-r.C; open { // until it expires
			t.Error("something came by the old block after all")
		}
		n.expectNoneWait()
	})
}

// A request that is under way when the epoch ends is answered: the keys of the
// last one serve on, there and back.
func TestRequestAcrossTheEpoch(t *testing.T) {
	for _, latency := range []Latency{Fast, Normal} {
		synctest.Test(t, func(t *testing.T) {
			calls := new(atomic.Int32)
			n := startWith(t, 6, 3, func(_ int, cfg *Config) {
				cfg.Slow = map[string]SlowService{"slow": func(_ context.Context, body []byte) []byte {
					calls.Add(1)
					time.Sleep(time.Second)
					return body
				}}
			})
			defer n.stop()
			for range 3 {
				boundary := time.Now().Truncate(time.Hour).Add(time.Hour)
				time.Sleep(time.Until(boundary.Add(-500 * time.Millisecond)))
				answer, err := n.nodes[0].Caller().Request(t.Context(), n.nodes[1].id, "slow", []byte("hi"), latency)
				if err != nil || string(answer) != "hi" || time.Now().Before(boundary) {
					t.Errorf("%v: %q, %v at %v", latency, answer, err, time.Now())
				}
			}
			if latency == Fast && calls.Load() != 3 {
				t.Errorf("three requests took %d attempts", calls.Load())
			}
		})
	}
}

// How many blocks there may be, and for whom.
func TestRepliesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, _ := pushed(t)
		defer n.stop()
		caller := n.nodes[0].Caller()
		for _, blocks := range []int{-1, 0, MaxReplies + 1} {
			if _, err := caller.Replies(n.nodes[1].id, blocks, Fast); err == nil {
				t.Errorf("%d blocks are made", blocks)
			}
		}
		if _, err := caller.Replies(hashid.NodeID{1}, 1, Fast); err == nil {
			t.Error("blocks are made for a node that is not there")
		}
		table := n.nodes[0].awaited
		r := &Replies{left: maxPushed}
		for i := range maxPushed/2 - 1 {
			w := entry(i, caller)
			w.pushed = r
			if err := table.add(w, time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := caller.Replies(n.nodes[1].id, 2, Fast); !errors.Is(err, ErrBusy) {
			t.Errorf("beyond its share: %v", err)
		}
		if table.replies.Taken() != maxPushed/2-1 {
			t.Errorf("%d places are taken, one too many", table.replies.Taken())
		}
		if _, err := n.nodes[0].Caller().Replies(n.nodes[1].id, MaxReplies, Fast); err != nil {
			t.Errorf("another caller: %v", err)
		}
	})
}

// What is no reply block, or no body for one, is not sent.
func TestPushRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, p, give := pushed(t)
		defer n.stop()
		give(1, Fast)
		block := p.next(t)
		if err := n.nodes[1].Push(block, make([]byte, onion.BodySize+1)); err == nil {
			t.Error("a body that does not fit is sent")
		}
		if err := n.nodes[1].Push(onion.SURB{1}, nil); err == nil {
			t.Error("something is sent by a spent block")
		}
	})
}
