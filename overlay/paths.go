package overlay

import (
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/overlay/path"
)

// Paths chooses the relays of packets and hears how these fared. Its methods are
// called from many goroutines.
type Paths interface {
	// Ready returns why no way can be drawn at present, whatever its end, or nil:
	// a *discovery.ShortageError when there are too few relays, path.ErrWaits while
	// those that are kept may still come, path.ErrNoGuard.
	Ready() error

	// Draw returns the way of one attempt: relays from this node to end, and others
	// from there back. Neither node is among them. Its errors are Ready's and, where
	// the network has a prefix rule, a *path.PrefixError.
	Draw(end *record.Descriptor) (*path.Way, error)

	// Back returns relays from end to this node alone: the last is its neighbour.
	Back(end *record.Descriptor) ([]*record.Descriptor, error)

	// Report says what an attempt has come to: once for each, and once more, Late,
	// where it was said to be Lost. It returns whether there is doubt about the relays
	// of the way, which more attempts would settle. It is called while others wait to
	// make or end attempts, so it must be quick, and not call the overlay.
	Report(way *path.Way, outcome Outcome) (doubt bool)
}

// Ends chooses relays to be the ends of ways. Its methods are called from many
// goroutines.
type Ends interface {
	// End draws a relay other than this node and those named, and apart from all of
	// apart: it clashes with none of them. Where the network has a prefix rule, no
	// prefix is drawn more often for having more relays in it. The error is a
	// *discovery.ShortageError when there is no such relay.
	End(apart []*record.Descriptor, without ...hashid.NodeID) (*record.Descriptor, error)

	// Clash reports whether two relays have to be taken for one operator's: they are
	// one or, where the network has a prefix rule, share a prefix.
	Clash(a, b *record.Descriptor) bool
}

// Outcome is what an attempt has come to.
type Outcome uint8

const (
	// Answered: the answer came in time, whole.
	Answered Outcome = iota + 1

	// Lost: no answer came in time, or a damaged one. Any of the relays, the end
	// node or a link between two of them may be at fault.
	Lost

	// Late: the answer to an attempt that was said to be Lost has come after all.
	Late

	// Unsent: it never left, because the link does not take packets for the first
	// relay, Out[0], at present: that is unreachable, or slower than what is sent
	// to it. This says nothing about any other.
	Unsent
)
