package discovery

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/record"
)

// What is published, and where, may be another thing each time: a person who is
// listed becomes unlisted. From then on nothing goes to the old places, however often
// the network grows or a put fails, and what was not to be signed is not published.
func TestPublishesCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &fakePutter{start: time.Now(), stored: make(map[string]int)}
		var (
			mu        sync.Mutex
			now       []record.Copy // guarded by mu, as is all below
			fail      bool
			signed    int
			announced int
		)
		set := func(change func()) {
			mu.Lock()
			defer mu.Unlock()
			change()
		}
		p := NewPublisher(table, time.Now, slog.New(slog.DiscardHandler), Publication{
			What: "record", Every: time.Hour,
			Copies: func(time.Time) ([]record.Copy, error) {
				mu.Lock()
				defer mu.Unlock()
				if signed++; fail {
					return nil, errors.New("no disk")
				}
				return now, nil
			},
			Announce: func(context.Context, []byte) { set(func() { announced++ }) },
		})
		set(func() {
			now = []record.Copy{{Key: "listed0", Value: []byte("v")}, {Key: "listed1", Value: []byte("v")}}
		})
		running(t, p.Run)
		put := func(what string, want ...string) {
			t.Helper()
			var got []string
			for _, line := range table.take() {
				_, line, _ = strings.Cut(line, " ")
				got = append(got, line)
			}
			slices.Sort(got)
			if got = slices.Compact(got); !slices.Equal(got, want) {
				t.Errorf("%s: put %v, want %v", what, got, want)
			}
		}
		grow := func() {
			for range 3 {
				p.Grown()
				pass(growthLast)
			}
		}
		grow()
		put("listed", "listed0 v", "listed1 v")

		set(func() {
			now = []record.Copy{{Key: "sealed0", Value: []byte("x")}, {Key: "sealed1", Value: []byte("y")}}
		})
		p.Renew()
		synctest.Wait()
		put("unlisted", "sealed0 x", "sealed1 y")
		grow()
		put("unlisted, and the network grows", "sealed0 x", "sealed1 y")
		table.mu.Lock()
		table.stored["sealed1"] = 0
		table.mu.Unlock()
		p.Renew()
		pass(time.Minute)
		put("nobody takes one of them", "sealed0 x", "sealed1 y")
		table.mu.Lock()
		clear(table.stored)
		table.mu.Unlock()
		pass(2 * time.Minute)
		put("they do again", "sealed0 x", "sealed1 y")

		before := 0
		set(func() { fail, before = true, announced })
		p.Renew()
		grow()
		put("not to be signed")
		set(func() { fail, now = false, nil })
		pass(2 * time.Minute)
		grow()
		put("nothing to publish")
		few := 0
		set(func() {
			if few = signed; announced != before {
				t.Error("what was not put is announced")
			}
		})
		pass(12 * time.Hour)
		put("still nothing")
		set(func() {
			if n := signed - few; n < 10 || n > 16 {
				t.Errorf("asked %d times in twelve hours what is to be published", n)
			}
			now = []record.Copy{{Key: "listed0", Value: []byte("w")}}
		})
		p.Renew()
		synctest.Wait()
		put("listed again", "listed0 w")
	})
}

// What has copies can be published anew without what has none.
func TestRenewCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &fakePutter{start: time.Now()}
		p := NewPublisher(table, time.Now, slog.New(slog.DiscardHandler),
			Publication{What: "node", Keys: []string{"node"}, Every: time.Hour, Sign: func(time.Time) ([]byte, error) { return []byte("n"), nil }},
			Publication{What: "person", Every: time.Hour, Copies: func(time.Time) ([]record.Copy, error) {
				return []record.Copy{{Key: "person", Value: []byte("p")}}, nil
			}})
		running(t, p.Run)
		pass(time.Minute)
		if got := table.take(); len(got) != 2 {
			t.Fatalf("put %v", got)
		}
		p.RenewCopies()
		synctest.Wait()
		if got := table.take(); !slices.Equal(got, []string{"1m0s person p"}) {
			t.Errorf("of the copies anew: put %v", got)
		}
	})
}

// The table is asked under the keys of what was signed whether it has something newer.
func TestCopiesOutdated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &fakePutter{start: time.Now(), found: []byte("newer")}
		var signed, asked atomic.Int32
		p := NewPublisher(table, time.Now, slog.New(slog.DiscardHandler), Publication{
			What: "record", Every: time.Hour,
			Copies: func(time.Time) ([]record.Copy, error) {
				if signed.Add(1) == 1 {
					return nil, nil
				}
				return []record.Copy{{Key: "a", Value: []byte{byte(signed.Load())}}}, nil
			},
			Outdated: func(found []byte) bool {
				asked.Add(1)
				return string(found) == "newer" && signed.Load() == 2
			},
		})
		running(t, p.Run)
		pass(time.Minute)
		if asked.Load() != 0 {
			t.Error("nothing was published, and the table asked for what it has of it")
		}
		p.Renew()
		pass(10 * time.Minute)
		if asked.Load() != 1 || signed.Load() != 3 {
			t.Errorf("asked %d times, signed %d times", asked.Load(), signed.Load())
		}
	})
}
