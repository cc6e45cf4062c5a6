package repl

import (
	"strings"
	"testing"
	"time"

	"chatnt/node/control"
)

// Of the paths a person reads what is kept and for how long, what is lost and where,
// and what it means; of what there is nothing of, nothing.
func TestPathsAreShown(t *testing.T) {
	day := time.Date(2026, 3, 1, 12, 0, 0, 0, time.Local)
	guard := func(days int, used bool) control.Guard {
		return control.Guard{Since: day, Until: day.AddDate(0, 0, days), Usable: true, InUse: used}
	}
	got := Status(control.Status{Known: 20, Usable: 19, Paths: &control.Paths{
		Guards: []control.Guard{guard(70, true), guard(61, false), guard(80, true)}, Beside: []control.Guard{guard(3, true)},
		Prefixes: 14, Resting: 1, Avoided: 2, Lost: []float64{0.101, 0.004, 0, 0.05}, Meaning: "All is well.\x1b[2J",
	}})
	want := `relays       20 known, 19 usable
guards       3, of which 2 in use; kept until 1 May to 20 May
beside them  1, of which 1 in use; kept until 4 March to 4 March
left out     1 relays and 2 links, for a while, because they lose packets
lost         16 % of what was sent lately: 10 % at relay 1, 5 % at the end or nobody knows where
paths        All is well.
connections  0
`
	if !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	got = Status(control.Status{Paths: &control.Paths{Lost: []float64{0, 0.004, 0, 0}}})
	if want := "relays       0 known, 0 usable\nconnections  0\n"; !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
