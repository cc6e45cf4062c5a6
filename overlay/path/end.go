package path

import (
	"slices"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// End draws a relay to be the end of a way, of those that can be used now, with the
// chances that third relays have: where the network has a prefix rule a prefix of a
// thousand relays comes up as often as one of a single relay. None of those named is
// drawn, and none that clashes with one of apart: see [Chooser.Clash]. The error is a
// *discovery.ShortageError when there is no other. Relays is what Draw wants.
//
// An end that no way leads to is drawn all the same: Draw tells.
func (c *Chooser) End(relays, apart []*record.Descriptor, without ...hashid.NodeID) (*record.Descriptor, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.index.see(relays)
	others := make([]*relay, 0, len(apart))
	for _, desc := range apart {
		others = append(others, c.index.read(desc))
	}
	r := c.index.any(c.dice, func(r *relay) bool {
		return !slices.Contains(without, r.id) && !slices.ContainsFunc(others, r.clash)
	})
	if r == nil {
		return nil, &discovery.ShortageError{Need: 1}
	}
	return r.desc, nil
}

// Clash reports whether two nodes are one or, where the network has a prefix rule,
// have a prefix in common: what both say is then worth no more than what one does.
func (c *Chooser) Clash(a, b *record.Descriptor) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.index.read(a).clash(c.index.read(b))
}
