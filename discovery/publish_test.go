package discovery

import (
	"context"
	"errors"
	"fmt"
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

// fakePutter notes what is put, and stores it at as many nodes as it is told, but
// nowhere if it is called off.
type fakePutter struct {
	mu     sync.Mutex
	start  time.Time
	stored map[string]int // by key; missing: at one node
	puts   []string       // time, key and value
	found  []byte         // what is there; nil: nothing
	alone  bool           // there is nobody to ask
	hold   func(ctx context.Context)
}

func (f *fakePutter) Put(ctx context.Context, key string, value []byte) (int, error) {
	if f.hold != nil {
		f.hold(ctx)
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.puts = append(f.puts, fmt.Sprintf("%v %s %s", time.Since(f.start).Round(time.Millisecond), key, value))
	if n, ok := f.stored[key]; ok && n == 0 {
		return 0, errFake
	}
	return 1, nil
}

func (f *fakePutter) Get(context.Context, ...string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.alone:
		return nil, errFake
	case f.found == nil:
		return nil, record.ErrNone
	}
	return f.found, nil
}

// take returns what was put since the last call, in order of time and key.
func (f *fakePutter) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	puts := f.puts
	f.puts = nil
	return puts
}

// publishing runs a publisher of one record under the given keys, whose values
// are v1, v2 and so on. It returns what was announced, too.
func publishing(t *testing.T, table *fakePutter, keys ...string) (*Publisher, func() string) {
	t.Helper()
	table.start = time.Now()
	var (
		mu        sync.Mutex
		version   int
		announced []string
	)
	p := NewPublisher(table, time.Now, slog.New(slog.DiscardHandler), Publication{
		What: "record", Keys: keys, Every: time.Hour,
		Sign: func(now time.Time) ([]byte, error) {
			if !now.Equal(time.Now()) {
				t.Error("signed for another time")
			}
			version++
			return fmt.Append(nil, "v", version), nil
		},
		Announce: func(_ context.Context, value []byte) {
			mu.Lock()
			defer mu.Unlock()
			announced = append(announced, string(value))
		},
	})
	running(t, p.Run)
	return p, func() string {
		mu.Lock()
		defer mu.Unlock()
		said := strings.Join(announced, " ")
		announced = nil
		return said
	}
}

func TestPublishesOnceAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := new(fakePutter)
		_, announced := publishing(t, table, "a", "b")
		pass(40 * time.Minute)
		got := table.take()
		slices.Sort(got)
		if want := []string{"0s a v1", "0s b v1"}; !slices.Equal(got, want) {
			t.Errorf("put %v, want %v", got, want)
		}
		if said := announced(); said != "v1" {
			t.Errorf("announced %q", said)
		}
	})
}

// A record that nobody takes is signed anew each time: others may hold one of a higher
// sequence, from before this node's profile was replaced by an older copy.
func TestRetriesUntilStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &fakePutter{stored: map[string]int{"a": 0}}
		_, announced := publishing(t, table, "a")
		pass(3 * time.Minute)
		want := []string{"0s a v1", "1s a v2", "3s a v3", "7s a v4", "15s a v5", "31s a v6", "1m3s a v7", "2m3s a v8"}
		if got := table.take(); !slices.Equal(got, want) {
			t.Errorf("put %v, want %v", got, want)
		}
		if said := announced(); said != "" {
			t.Errorf("announced %q to nobody", said)
		}
		table.mu.Lock()
		table.stored = nil
		table.mu.Unlock()
		pass(30 * time.Minute)
		if got := table.take(); !slices.Equal(got, []string{"3m3s a v9"}) {
			t.Errorf("put %v", got)
		}
		if said := announced(); said != "v9" {
			t.Errorf("announced %q", said)
		}
	})
}

// A record that one of its keys' neighbourhoods refused is put again.
func TestRetriesWhenOneKeyFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &fakePutter{stored: map[string]int{"b": 0}}
		publishing(t, table, "a", "b")
		pass(retryFirst)
		if got := table.take(); len(got) != 4 {
			t.Errorf("put %v", got)
		}
	})
}

func TestPutsAgainAfterGrowth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := new(fakePutter)
		p, announced := publishing(t, table, "a")
		pass(time.Second)
		table.take()
		p.Grown()
		p.Grown()
		pass(10 * time.Minute)
		if got := table.take(); !slices.Equal(got, []string{"1.5s a v1"}) {
			t.Errorf("put %v", got)
		}
		if said := announced(); said != "v1 v1" {
			t.Errorf("announced %q", said)
		}
	})
}

// Growth that does not stop neither keeps the record from being put nor has it
// put all the time.
func TestGrowthWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := new(fakePutter)
		p, _ := publishing(t, table, "a")
		for range 200 {
			p.Grown()
			pass(50 * time.Millisecond)
		}
		want := []string{"0s a v1", "500ms a v1", "2.5s a v1"}
		if got := table.take(); !slices.Equal(got, want) {
			t.Errorf("put %v, want %v", got, want)
		}
	})
}

func TestSignsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := new(fakePutter)
		p, announced := publishing(t, table, "a")
		table.take()
		pass(48*time.Minute - time.Second)
		if got := table.take(); len(got) != 0 {
			t.Errorf("put %v before its time", got)
		}
		pass(24*time.Minute + time.Second)
		if got := table.take(); len(got) != 1 || !strings.HasSuffix(got[0], " a v2") {
			t.Errorf("put %v", got)
		}
		p.Renew()
		synctest.Wait()
		if got := table.take(); len(got) != 1 || !strings.HasSuffix(got[0], "m0s a v3") && !strings.HasSuffix(got[0], " a v3") {
			t.Errorf("put %v", got)
		}
		if said := announced(); said != "v1 v2 v3" {
			t.Errorf("announced %q", said)
		}
		pass(24 * time.Hour)
		if n := len(table.take()); n < 20 || n > 30 {
			t.Errorf("put %d times in a day", n)
		}
	})
}

func TestSignsAgainWhenSigningFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &fakePutter{start: time.Now()}
		failures := 2
		p := NewPublisher(table, time.Now, slog.New(slog.DiscardHandler), Publication{
			What: "record", Keys: []string{"a"}, Every: time.Hour,
			Sign: func(time.Time) ([]byte, error) {
				if failures--; failures >= 0 {
					return nil, errors.New("no disk")
				}
				return []byte("v"), nil
			},
		})
		running(t, p.Run)
		pass(3 * time.Minute)
		if got := table.take(); !slices.Equal(got, []string{"2m0s a v"}) {
			t.Errorf("put %v", got)
		}
	})
}

// The clock may be set, and timers stand still while a machine sleeps: what has
// expired meanwhile is not put, and a new record is soon there in its place.
func TestSignsAnewWhenTheClockIsSet(t *testing.T) {
	for what, test := range map[string]struct {
		step   time.Duration
		stored int // of the puts before
		want   string
	}{
		"slept for seven hours":            {7 * time.Hour, 1, "1m0s a v2"},
		"set years ahead":                  {5 * 365 * 24 * time.Hour, 1, "1m0s a v2"},
		"set years back":                   {-5 * 365 * 24 * time.Hour, 1, "1m0s a v2"},
		"set years ahead before it is put": {5 * 365 * 24 * time.Hour, 0, "1s a v2"},
		"set back a little":                {-record.ClockSkew / 2, 1, ""},
		"set ahead a little":               {40 * time.Minute, 1, ""},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				table := &fakePutter{start: time.Now(), stored: map[string]int{"a": test.stored}}
				var step atomic.Int64
				version := 0
				p := NewPublisher(table, time.Now, slog.New(slog.DiscardHandler), Publication{
					What: "record", Keys: []string{"a"}, Every: time.Hour,
					Sign: func(now time.Time) ([]byte, error) {
						if !now.Equal(time.Now().Add(time.Duration(step.Load()))) {
							t.Error("signed for another time")
						}
						version++
						return fmt.Append(nil, "v", version), nil
					},
				})
				p.now = func() time.Time { return time.Now().Add(time.Duration(step.Load())) }
				running(t, p.Run)
				if got := table.take(); !slices.Equal(got, []string{"0s a v1"}) {
					t.Fatalf("put %v", got)
				}
				step.Store(int64(test.step))
				table.mu.Lock()
				table.stored = nil
				table.mu.Unlock()
				pass(2 * time.Minute)
				if got := strings.Join(table.take(), ", "); got != test.want {
					t.Errorf("put %q, want %q", got, test.want)
				}
			})
		})
	}
}

func TestPublisherEndsInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := make(chan struct{}, 2)
		table := &fakePutter{hold: func(ctx context.Context) { held <- struct{}{}; <-ctx.Done() }}
		publishing(t, table, "a", "b")
		<-held
		<-held // both puts are under way: running ends them now
	})
}

// A newer record in the table than was signed is of a time that this node's profile does
// not know of, as it is an older copy: it is signed anew, once the table is first asked.
func TestOutdatedIsSignedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &fakePutter{start: time.Now()}
		signed, asked := 0, 0
		p := NewPublisher(table, time.Now, slog.New(slog.DiscardHandler), Publication{
			What: "record", Keys: []string{"a"}, Every: time.Hour,
			Sign: func(time.Time) ([]byte, error) { signed++; return fmt.Appendf(nil, "v%d", signed), nil },
			Outdated: func(found []byte) bool {
				asked++
				if string(found) != "v7" {
					t.Errorf("the table has %q", found)
				}
				older := signed < 7
				signed = max(signed, 7)
				return older
			},
		})
		running(t, p.Run)
		pass(time.Second) // nothing is found yet: it is asked again after the next put
		table.mu.Lock()
		table.found = []byte("v7")
		table.mu.Unlock()
		p.Renew()
		pass(10 * time.Second)
		puts := table.take()
		if want := "v8"; len(puts) < 3 || !strings.HasSuffix(puts[len(puts)-1], want) {
			t.Errorf("put %v, want %s last", puts, want)
		}
		pass(5 * time.Hour)
		if asked != 1 {
			t.Errorf("the table was asked %d times", asked)
		}
	})
}
