package overlay

import (
	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// Paths chooses the relays of packets and hears how these fared. Its methods are
// called from many goroutines.
type Paths interface {
	// Ready returns why no way can be drawn at present, whatever its end, or nil:
	// a *discovery.ShortageError when there are too few relays.
	Ready() error

	// Forward returns the relays of a way from this node to end, in order: all
	// different, and neither of the two among them. Its errors are Ready's.
	Forward(end *record.Descriptor) ([]*record.Descriptor, error)

	// Back is the same from end to this node: the last relay is this node's neighbour.
	Back(end *record.Descriptor) ([]*record.Descriptor, error)

	// Report says what an attempt has come to: once for each, and once more, Late,
	// where it was said to be Lost. It is called while others wait to make or
	// end attempts, so it must be quick, and not call the overlay.
	Report(way Way, outcome Outcome)
}

// Way is the way of one attempt there and back.
type Way struct {
	Out  []hashid.NodeID // relays from this node to End
	End  hashid.NodeID
	Back []hashid.NodeID // relays from End to this node
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

// uniform draws relays from a directory and learns nothing.
type uniform struct {
	relays *discovery.Directory
	self   hashid.NodeID
	hops   int
}

// Uniform returns Paths of so many relays from a directory, each choice equally
// likely.
func Uniform(relays *discovery.Directory, self hashid.NodeID, hops int) Paths {
	return uniform{relays, self, hops}
}

func (u uniform) Ready() error {
	_, err := u.relays.Draw(u.hops, u.self)
	return err
}

func (u uniform) Forward(end *record.Descriptor) ([]*record.Descriptor, error) {
	return u.relays.Draw(u.hops, u.self, end.ID())
}

func (u uniform) Back(end *record.Descriptor) ([]*record.Descriptor, error) { return u.Forward(end) }

func (u uniform) Report(Way, Outcome) {}
