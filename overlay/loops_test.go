package overlay

import (
	"slices"
	"testing"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// counted are ends, each drawn once, in order.
type counted struct{ left byte }

func (c *counted) End([]*record.Descriptor, ...hashid.NodeID) (*record.Descriptor, error) {
	if c.left == 0 {
		return nil, &discovery.ShortageError{Need: 1}
	}
	c.left--
	return &record.Descriptor{Node: [32]byte{c.left}}, nil
}

func (c *counted) Clash(a, b *record.Descriptor) bool { return a == b }

// TestLoopEnds: who does not answer is replaced, who does so is not, and those that
// there are must do.
func TestLoopEnds(t *testing.T) {
	l := newLoops(&Overlay{cfg: Config{Self: hashid.NodeID{9}, Loops: &counted{4}}})
	l.choose()
	first := slices.Clone(l.ends)
	if len(first) != loopEnds {
		t.Fatalf("%d ends", len(first))
	}
	for range loopMisses {
		l.ends[0].missed++
		l.ends[1].missed++
		l.heard(l.ends[0].desc.ID())
	}
	l.choose()
	if len(l.ends) != loopEnds || l.ends[0].desc != first[0].desc || l.ends[1].desc != first[2].desc || l.ends[2].desc == first[1].desc {
		t.Errorf("the ends were %v and are %v", first, l.ends)
	}
	l.ends[0].missed = loopMisses
	l.choose()
	if len(l.ends) != loopEnds-1 {
		t.Errorf("with nobody else there are %d ends", len(l.ends))
	}
}
