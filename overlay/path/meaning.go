package path

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// meaning says what a Summary means for a person.
func (c *Chooser) meaning(now time.Time, s *Summary) string {
	var text []string
	switch hops := c.rules.Hops; {
	case s.Relays < hops:
		text = append(text, fmt.Sprintf("%d relays can be used and a path needs %d: nothing can be sent.", s.Relays, hops))
	case s.Relays < few:
		text = append(text, fmt.Sprintf("Only %d relays can be used, fewer than %d: %s", s.Relays, few, relaxed(s)))
	case len(s.Guards) == 0 && !c.growth.over(now):
		text = append(text, fmt.Sprintf("%d relays can be used, and more are being found: before this ends, in some minutes at most, no guards are picked, and any relay may be the first one of a path.", s.Relays))
	default:
		text = append(text, c.odds(s))
	}
	switch c.rules.Hops {
	case 1:
		text = append(text, "Paths have one relay of the usual three: it knows both ends of each message that passes it.")
	case 2:
		text = append(text, "Paths have two relays of the usual three: the two together know both ends of a message.")
	}
	return strings.Join(text, " ")
}

// relaxed says what becomes of the rules for guards in a small network.
func relaxed(s *Summary) string {
	for _, k := range s.Guards {
		if k.Usable {
			return "no new guards are picked."
		}
	}
	return "any of them may be the first one of a path, and over time each will be."
}

// odds says how likely somebody who runs a tenth of the relays has a guard of ours:
// without replacement, as different relays are picked.
func (c *Chooser) odds(s *Summary) string {
	guards := 0
	for _, k := range s.Guards {
		if k.OnDuty {
			guards++
		}
	}
	where := ""
	if s.Prefixes > 0 {
		where = fmt.Sprintf(" in %d address ranges", s.Prefixes)
	}
	if guards == 0 {
		return fmt.Sprintf("%d relays can be used%s; guards are picked with the first message.", s.Relays, where)
	}
	bad := (s.Relays + 9) / 10
	none := 1.0
	for i := range guards {
		none *= float64(max(0, s.Relays-bad-i)) / float64(s.Relays-i)
	}
	return fmt.Sprintf("%d relays can be used%s. The first relay of every path is one of %d guards, which alone learn this node's address from its messages: if somebody ran %d of the %d relays, a guard would be among them with a chance of %.0f %%.",
		s.Relays, where, guards, bad, s.Relays, math.Round(100*(1-none)))
}
