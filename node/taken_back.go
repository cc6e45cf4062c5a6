package node

import (
	"errors"
	"time"

	"chatnt/discovery/record"
	"chatnt/node/control"
)

// An older copy of a profile, as from a backup, does not know that its person was taken off the list since, or has
// given up the link key. The withdrawal says so, for as long as it is kept: whoever publishes looks for one before
// it takes its place.

const aboutListing = "listing" // what a control.Warning is about

// takenBack has the person not listed any more if a newer copy of the profile has taken the listed record back,
// and reports whether it has. found is what the table has before this run puts anything.
func (n *Node) takenBack(found []byte) bool {
	r, err := record.ParseKeyRecord(n.profile.Network().ID(), found)
	if err != nil || r.Hashid() != n.profile.Hashid() || !r.Withdrawn() || r.Sequence <= n.began || !n.profile.Listed() {
		return false // at most a withdrawal of its own
	}
	n.outpaced(sequencePerson, r.Sequence)
	return n.listAnew("you were taken off the list since this copy of the profile was made, and are not listed now either: /set listed on lists you",
		func(l listing, now time.Time) (listing, error) { return l.with(false, now) })
}

// linkTakenBack does the same for a link key that a newer copy has given up: one in use is never withdrawn.
func (n *Node) linkTakenBack(found []byte) bool {
	if _, err := n.locator().Parse(n.profile.Network().ID(), found); !errors.Is(err, record.ErrWithdrawn) {
		return false
	}
	return n.listAnew("your link was given up since this copy of the profile was made: it has another now, which your contacts are told",
		func(l listing, now time.Time) (listing, error) { return l.relinked(now) })
}

// listAnew changes the listing as the table has it, and says so.
func (n *Node) listAnew(why string, to func(listing, time.Time) (listing, error)) bool {
	now := n.now()
	_, err := n.profile.listing.change(n.profile.vault, func(l listing) (listing, error) { return to(l.settled(now), now) })
	if err != nil {
		n.log.Error("what a newer copy of this profile has taken back is published again", "error", err)
		n.feed.emit(control.Warning{About: aboutListing, Text: "what you took back since this copy of the profile was made, your record or a link, is published again: " + err.Error()})
		return false
	}
	n.feed.emit(control.Warning{About: aboutListing, Text: why})
	n.relist()
	return true
}
