package overlay

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/overlay/onion"
	"chatnt/overlay/path"
)

// Path is the way of one attempt: its relays in order, and its end node. It is good
// for the key epoch it was drawn in, and the next.
type Path struct {
	Relays []hashid.NodeID
	End    hashid.NodeID

	// Latency is that of packets on this path, and of their answers: Fast, unless
	// it is set before the path is used.
	Latency Latency

	way  *path.Way
	hops []onion.Hop // to the end, without delays
}

// Draw draws a path to an end node. The error is a *discovery.ShortageError when
// there are too few relays, discovery.ErrNoDescriptor when the directory does not have the
// end node or that has left, and else as of [Paths].
func (o *Overlay) Draw(end hashid.NodeID) (*Path, error) {
	desc, err := o.find(end)
	if err != nil {
		return nil, err
	}
	return o.path(desc)
}

// find returns the descriptor of an end node as it is known. It asks nobody: who is asked
// would see where something is sent.
func (o *Overlay) find(end hashid.NodeID) (*record.Descriptor, error) {
	if desc, ok := o.cfg.Finder.Known(end); ok {
		return desc, nil
	}
	// Without a way nothing can be learnt of it either.
	if err := o.cfg.Paths.Ready(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("the end node is not to be found: %w", discovery.ErrNoDescriptor)
}

func (o *Overlay) path(end *record.Descriptor) (*Path, error) {
	way, err := o.cfg.Paths.Draw(end)
	if err != nil {
		return nil, err
	}
	p := &Path{End: way.End, way: way}
	p.Relays, _ = way.IDs()
	if p.hops, err = hops(append(slices.Clone(way.Out), end), o.cfg.Now()); err != nil {
		return nil, err
	}
	return p, nil
}

// hops are the steps of a path through nodes, under their keys of this epoch.
func hops(nodes []*record.Descriptor, now time.Time) ([]onion.Hop, error) {
	steps := make([]onion.Hop, 0, onion.Layers)
	for _, desc := range nodes {
		key, ok := desc.KeyAt(now)
		if !ok {
			return nil, errors.New("a node on the path has published no key for this hour yet")
		}
		steps = append(steps, onion.Hop{Node: desc.ID(), Key: key})
	}
	return steps, nil
}

// block makes a reply block that leads to this node through relays.
func (o *Overlay) block(relays []*record.Descriptor, latency Latency, now time.Time) (onion.SURB, *awaited, error) {
	way, err := hops(relays, now)
	if err != nil {
		return onion.SURB{}, nil, err
	}
	_, keys, err := o.relay.Keys(now)
	if err != nil {
		return onion.SURB{}, nil, err
	}
	way = o.delayed(append(way, onion.Hop{Node: o.cfg.Self, Key: keys[0]}), latency)
	surb, id, opens, err := onion.NewSURB(way)
	if err != nil {
		return onion.SURB{}, nil, err
	}
	return surb, &awaited{id: id, keys: opens}, nil
}

// delayed returns the steps of a path with delays of their own at its relays.
func (o *Overlay) delayed(steps []onion.Hop, latency Latency) []onion.Hop {
	with := make([]onion.Hop, len(steps))
	copy(with, steps)
	for i := range with[:len(with)-1] {
		with[i].Delay = latency.Delay(o.draw())
	}
	return with
}
