package repl

import (
	"fmt"
	"strings"
	"time"

	"chatnt/node/control"
)

// paths writes what there is to know of the relays that messages pass.
func paths(b *strings.Builder, p *control.Paths) {
	if len(p.Guards) > 0 {
		fmt.Fprintf(b, "guards       %d, %s\n", len(p.Guards), kept(p.Guards))
	}
	if len(p.Beside) > 0 {
		fmt.Fprintf(b, "beside them  %d, %s\n", len(p.Beside), kept(p.Beside))
	}
	if p.Resting > 0 || p.Avoided > 0 {
		fmt.Fprintf(b, "left out     %d relays and %d links, for a while, because they lose packets\n", p.Resting, p.Avoided)
	}
	if lost := lost(p.Lost); lost != "" {
		fmt.Fprintf(b, "lost         %s\n", lost)
	}
	if p.Meaning != "" {
		fmt.Fprintf(b, "paths        %s\n", Inline(p.Meaning))
	}
}

// kept says for how long relays are kept, and how many of them are in use.
func kept(guards []control.Guard) string {
	first, last, used := guards[0].Until, guards[0].Until, 0
	for _, g := range guards {
		if g.Until.Before(first) {
			first = g.Until
		}
		if g.Until.After(last) {
			last = g.Until
		}
		if g.InUse {
			used++
		}
	}
	return fmt.Sprintf("of which %d in use; kept until %s to %s", used, date(first), date(last))
}

func date(t time.Time) string { return t.Local().Format("2 January") }

// lost says how much of what was sent lately was lost, and where; nothing if that
// is less than half a percent.
func lost(parts []float64) string {
	sum := 0.0
	var where []string
	for i, part := range parts {
		sum += part
		if part < 0.005 {
			continue
		}
		place := fmt.Sprintf("at relay %d", i+1)
		if i == len(parts)-1 {
			place = "at the end or nobody knows where"
		}
		where = append(where, fmt.Sprintf("%.0f %% %s", 100*part, place))
	}
	if sum < 0.005 {
		return ""
	}
	return fmt.Sprintf("%.0f %% of what was sent lately: %s", 100*sum, strings.Join(where, ", "))
}
