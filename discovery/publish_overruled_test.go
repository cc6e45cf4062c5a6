package discovery

import (
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/record"
)

// What the table has is told before the first put of a run, and once: what was to be put is not, if that
// overrules it. A table that does not answer does not hold it up.
func TestOverruled(t *testing.T) {
	for name, tt := range map[string]struct {
		found     []byte
		overruled bool
		told      int
		want      []string
	}{
		"by what is there":     {[]byte("gone"), true, 1, []string{"0s new b"}},
		"not by what is there": {[]byte("mine"), false, 1, []string{"0s old a"}},
		"nothing is there":     {nil, true, 0, []string{"0s old a"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			table := &fakePutter{start: time.Now(), stored: make(map[string]int), found: tt.found}
			told, now := 0, record.Copy{Key: "old", Value: []byte("a")}
			p := NewPublisher(table, time.Now, slog.New(slog.DiscardHandler), Publication{
				What: "record", Every: time.Hour,
				Copies: func(time.Time) ([]record.Copy, error) { return []record.Copy{now}, nil },
				Overruled: func(found []byte) bool {
					if told++; string(found) != string(tt.found) {
						t.Errorf("%s: told of %q", name, found)
					}
					if tt.overruled {
						now = record.Copy{Key: "new", Value: []byte("b")}
					}
					return tt.overruled
				},
			})
			running(t, p.Run)
			synctest.Wait()
			if got := table.take(); !slices.Equal(got, tt.want) {
				t.Errorf("%s: put %v, want %v", name, got, tt.want)
			}
			p.Renew()
			synctest.Wait()
			if told != tt.told {
				t.Errorf("%s: told %d times", name, told)
			}
		})
	}
}
