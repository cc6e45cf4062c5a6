package path

import "time"

// When the first guards are picked. A node that is new reaches one relay after the
// other, and those first that somebody wanted it to: out of the first twelve, whoever
// has these would be its guard for months. So it waits until it has learnt of the network.
const (
	calmAfter   = 15 * time.Second // without a new greatest number of usable relays, and several walks
	growsAtMost = 5 * time.Minute  // for a network that always grows, or an attacker who has it grow
	putOffLast  = time.Hour        // for a node that never runs for so long
	clockBack   = time.Minute      // a clock that goes back by more begins anew
)

// growth follows the number of usable relays. The zero value has seen none.
type growth struct {
	most  int       // the greatest number
	grown time.Time // when it was first seen
	began time.Time // when this growth began; zero: never
}

// see notes how many are usable at now. When half of them are gone, as after a sleep,
// the network is learnt of anew, which see reports.
func (g *growth) see(now time.Time, usable int) (anew bool) {
	switch {
	case g.began.IsZero() || now.Before(g.grown.Add(-clockBack)) || usable < g.most/2:
		*g = growth{most: usable, grown: now, began: now}
		return true
	case usable > g.most:
		g.most, g.grown = usable, now
	}
	return false
}

// over reports whether it has come to an end, or gone on for too long.
func (g *growth) over(now time.Time) bool {
	return now.Sub(g.grown) >= calmAfter || now.Sub(g.began) >= growsAtMost
}
