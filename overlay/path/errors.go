package path

import (
	"errors"
	"fmt"
)

var (
	// ErrNoGuard says that no guard is usable, and that so many were picked lately that
	// no other may be. An attacker who takes guards off the network could have it pick
	// until it picks the attacker's.
	ErrNoGuard = errors.New("none of the relays that this node keeps as its first ones can be used: it waits for one of them, and picks another after minutes or hours, a day at the most")

	// ErrWaits says that kept relays are not usable yet, or not any more, and that it is
	// too soon to take others in their place: see [Chooser.Draw].
	ErrWaits = errors.New("the relays that this node keeps for the first steps of a path cannot be reached yet: it waits for them, and uses others some seconds after it has reached any")
)

// PrefixError says that the nodes of a path cannot all be in different prefixes, as
// the network's rules want it.
type PrefixError struct {
	Need int // prefixes: that of the end, and one for each relay
	Have int // prefixes of relays that can be used now
}

func (e *PrefixError) Error() string {
	return fmt.Sprintf("on this network the %d nodes of a path must have addresses in different prefixes (IPv4 /16, IPv6 /32), and the relays that can be used now, in %d prefixes, do not allow for that", e.Need, e.Have)
}
