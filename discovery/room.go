package discovery

import (
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

const (
	maxKnown  = 16384        // descriptors kept, about 16 MiB at the most; and as much again while each has news that is held
	maxOthers = maxKnown / 8 // of them, of nodes that do not relay or have left
	maxVictim = 64           // descriptors looked at to make room for another
)

// What makeRoom gives up sooner comes first. Somebody who makes up relays by the
// thousand, while this node has no network and all dials fail, does not drive out
// those that were in use.
const (
	outdated   = iota // expired
	other             // not a relay, or one that has left
	neverThere        // a relay told of that could not be reached
	untried           // one told of
	known             // one that a walk has met
	trusted           // one that was reached
	inUse             // never given up
)

func (e *entry) worth(now time.Time) int {
	switch {
	case e.desc.CheckTime(now) != nil:
		return outdated
	case !e.relays():
		return other
	case e.up:
		return inUse
	case !e.since.IsZero():
		return trusted
	case e.met:
		return known
	case e.failures > 0:
		return neverThere
	}
	return untried
}

// makeRoom sees to it that there is room for a new descriptor, for which that of
// a node not in use may have to go; those that are not of relays may take a share
// of the room only. It looks at a few, other ones each time, so that a flood of
// made-up nodes costs little. Called with mu held.
func (d *Directory) makeRoom(desc *record.Descriptor) bool {
	crowded := !isRelay(desc) && d.others >= maxOthers
	if len(d.entries) < maxKnown && !crowded {
		return true
	}
	var victim hashid.NodeID
	now, least, tries := d.now(), inUse, maxVictim
	for id, e := range d.entries {
		if w := e.worth(now); w < least && (!crowded || !e.relays()) {
			victim, least = id, w
		}
		if tries--; tries == 0 || least == outdated {
			break
		}
	}
	d.drop(victim)
	return least < inUse
}
