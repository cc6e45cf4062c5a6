package discovery

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// lasting has puts last so long, or until they are called off.
func lasting(d time.Duration) func(context.Context) {
	return func(ctx context.Context) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
}

// An address that comes and goes each second has the record signed anew each
// time; it is put all the same, however long that takes.
func TestRenewalWithoutEnd(t *testing.T) {
	for _, takes := range []time.Duration{1500 * time.Millisecond, 8 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			table := &fakePutter{hold: lasting(takes)}
			p, _ := publishing(t, table, "a")
			for range 600 {
				pass(time.Second)
				p.Renew()
			}
			if n, most := len(table.take()), int(10*time.Minute/takes); n < most/5 {
				t.Errorf("put %d times in ten minutes, where %d puts have room", n, most)
			}
		})
	}
}

// What is asked for while the record is being signed holds for the put that
// follows, which nobody may answer.
func TestRenewalWhileSigning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &fakePutter{start: time.Now(), hold: lasting(time.Minute)}
		version := 0
		p := NewPublisher(table, time.Now, slog.New(slog.DiscardHandler), Publication{
			What: "record", Keys: []string{"a"}, Every: time.Hour,
			Sign: func(time.Time) ([]byte, error) {
				time.Sleep(50 * time.Millisecond)
				version++
				return fmt.Append(nil, "v", version), nil
			},
		})
		running(t, p.Run)
		pass(20 * time.Millisecond)
		p.Renew()
		pass(2 * time.Minute)
		if got, want := table.take(), []string{"1m0.1s a v2"}; !slices.Equal(got, want) {
			t.Errorf("put %v, want %v", got, want)
		}
	})
}

// What was called off once is left alone a little longer each time, until it is
// done once.
func TestRestartGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRestart()
		lasted := func() time.Duration {
			ctx, done := r.begin(t.Context())
			defer done()
			began := time.Now()
			r.now()
			r.now() // again, meanwhile
			<-ctx.Done()
			<-r.asked
			return time.Since(began)
		}
		for _, want := range []float64{0, 1, 2, 4, 8, 16, 32, 60, 60} {
			if got := lasted().Seconds(); got != want {
				t.Errorf("called off after %v s, want %v", got, want)
			}
		}
		ctx, done := r.begin(t.Context())
		r.now()
		<-r.asked
		time.Sleep(time.Second)
		if ctx.Err() != nil {
			t.Error("called off too soon")
		}
		done()
		if r.now(); ctx.Err() == nil { // nothing is being done
			t.Error("its context is not ended")
		}
		ctx, done = r.begin(t.Context()) // asked for before it began
		defer done()
		if ctx.Err() == nil {
			t.Error("it has a grace although what came before was done")
		}
	})
}
