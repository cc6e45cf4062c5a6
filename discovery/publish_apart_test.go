package discovery

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/record"
)

// Copies are put each after a time of its own, anew each time, and not before there is a way; what
// was asked for meanwhile is done once.
func TestPublishesApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &fakePutter{start: time.Now(), stored: make(map[string]int)}
		way, drawn := make(chan struct{}), 0
		p := NewPublisher(table, time.Now, slog.New(slog.DiscardHandler), Publication{
			What: "record", Every: time.Hour,
			Copies: func(now time.Time) ([]record.Copy, error) {
				value := []byte(now.Sub(table.start).String())
				return []record.Copy{{Key: "a", Value: value}, {Key: "b", Value: value}}, nil
			},
			Ready: func(ctx context.Context) error {
				select {
				case <-way:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			},
			Wait: func(there bool) time.Duration {
				if there != (drawn >= 2) {
					t.Errorf("there: %v, after %d", there, drawn)
				}
				drawn++
				return time.Duration(drawn) * time.Second
			},
		})
		running(t, p.Run)
		pass(10 * time.Minute)
		p.Grown()
		pass(10 * time.Minute)
		if got := table.take(); len(got) != 0 {
			t.Fatalf("put without a way: %v", got)
		}
		close(way)
		pass(time.Minute)
		if got := table.take(); len(got) < 2 || !slices.Equal(got[:2], []string{"20m1s a 20m0s", "20m2s b 20m0s"}) {
			t.Errorf("put %v", got)
		}
		pass(time.Hour * 6 / 5)
		if got := table.take(); len(got) != 2 {
			t.Errorf("put %v", got)
		}
		// Called off while it waits, nothing is put.
		mark := drawn
		p.Renew()
		pass(time.Second)
		p.Renew()
		pass(500 * time.Millisecond)
		if got := table.take(); len(got) != 0 || drawn == mark {
			t.Errorf("put %v after %d draws", got, drawn-mark)
		}
		pass(10 * time.Minute)
		if got := table.take(); len(got) != 2 {
			t.Errorf("put %v", got)
		}
	})
}

// Who waits for a way, or for the time of a copy, ends at once when the publisher does.
func TestPublishingApartEnds(t *testing.T) {
	for name, ready := range map[string]func(context.Context) error{
		"no way": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"waits":  nil,
	} {
		synctest.Test(t, func(t *testing.T) {
			table := &fakePutter{start: time.Now()}
			p := NewPublisher(table, time.Now, slog.New(slog.DiscardHandler), Publication{
				What: "record", Every: time.Hour, Keys: []string{"a"}, Ready: ready,
				Sign: func(time.Time) ([]byte, error) { return []byte("v"), nil },
				Wait: func(bool) time.Duration { return time.Hour },
			})
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- p.Run(ctx) }()
			pass(time.Minute)
			began := time.Now()
			cancel()
			if err := <-ended; err != nil || time.Since(began) != 0 || len(table.take()) != 0 {
				t.Errorf("%s: %v after %v", name, err, time.Since(began))
			}
		})
	}
}
