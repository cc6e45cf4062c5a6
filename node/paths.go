package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/control"
	"chatnt/node/vault"
	"chatnt/overlay"
	"chatnt/overlay/path"
)

// keyGuards holds the relays that this node keeps, see package path: they belong to
// the node, as its key does, and neither is in a backup.
const keyGuards = "guards"

// How relays that are known from before are asked for their descriptors: so many at
// once; and those that are kept ever again, so often, while they do not answer.
const (
	meetAtOnce = 8
	meetFirst  = time.Second
	meetLast   = 5 * time.Minute
)

// newPaths returns the paths of this node, with the relays that it has kept. What is
// stored and cannot be read is begun anew: there is no other way back.
func (n *Node) newPaths() (*overlay.Guarded, error) {
	net := n.profile.Network()
	rules := path.Rules{Self: n.profile.Node(), Hops: net.Hops, Apart: net.Public}
	chooser := path.New(rules)
	var state []byte
	err := n.profile.vault.View(func(tx *vault.Tx) (err error) {
		state, err = tx.Get(bucketProfile, keyGuards)
		return err
	})
	switch {
	case errors.Is(err, vault.ErrNotFound):
	case err != nil:
		return nil, fmt.Errorf("reading which relays this node keeps: %w", err)
	default:
		if chooser, err = path.Restore(rules, state); err != nil {
			n.log.Warn("this node's guards are lost", "error", err)
			chooser = path.New(rules)
		}
	}
	return overlay.NewGuarded(n.directory, chooser, n.now, n.saveGuards), nil
}

func (n *Node) saveGuards(state []byte) error {
	err := n.profile.vault.Update(func(tx *vault.Tx) error { return tx.Put(bucketProfile, keyGuards, state) })
	if err != nil {
		n.log.Error("which relays this node keeps could not be stored", "error", err)
	}
	return err
}

// meetStored has the directory know the relays that were stored when the node last ran:
// a walk through a large network would not come by those that it keeps for long, and to
// look them up would tell others whose they are. All are asked: first those that are kept,
// among as many others, in any order; so who is asked does not learn whether it is kept.
func (n *Node) meetStored(ctx context.Context) {
	kept, stored := n.paths.Keeps(), n.storedRelays()
	keptFirst(stored, kept)
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, meetAtOnce)
	for _, desc := range stored {
		select {
		case <-ctx.Done():
			return
		case slots <- struct{}{}:
		}
		wg.Go(func() {
			known := meet(ctx, n.directory, n.table, desc)
			<-slots
			for wait := meetFirst; !known && slices.Contains(kept, desc.ID()); wait = min(2*wait, meetLast) {
				select {
				case <-ctx.Done():
					return
				case <-time.After(wait):
				}
				known = meet(ctx, n.directory, n.table, desc)
			}
		})
	}
}

// keptFirst puts relays in random order, but so that those that are kept come first among
// as many others.
func keptFirst(relays []*record.Descriptor, kept []hashid.NodeID) {
	swap := func(i, j int) { relays[i], relays[j] = relays[j], relays[i] }
	rand.Shuffle(len(relays), swap) //nolint:gosec // nobody gains from knowing
	n := 0
	for i, d := range relays {
		if slices.Contains(kept, d.ID()) {
			swap(i, n)
			n++
		}
	}
	rand.Shuffle(min(2*n, len(relays)), swap) //nolint:gosec // the same
}

// meet asks a relay for its descriptor, and reports whether the directory has one.
func meet(ctx context.Context, to *discovery.Directory, table discovery.Table, desc *record.Descriptor) bool {
	if _, known := to.Lookup(desc.ID()); known {
		return true
	}
	if table.Dial(ctx, desc) != nil {
		return false
	}
	if raw, err := table.Ask(ctx, desc.ID()); err == nil {
		_, _ = to.Learn(raw)
	}
	_, known := to.Lookup(desc.ID())
	return known
}

// askAgain is how long to wait, when there are no paths, before asking whether there
// are if no relay comes or goes meanwhile: for kept ones a node waits a few seconds only.
func askAgain(why error, otherwise time.Duration) time.Duration {
	if errors.Is(why, path.ErrWaits) {
		return time.Second
	}
	return otherwise
}

// shownPaths is what a person is told of the paths: nobody's name.
func shownPaths(s path.Summary) *control.Paths {
	p := &control.Paths{
		Guards: make([]control.Guard, 0, len(s.Guards)), Beside: []control.Guard{},
		Prefixes: s.Prefixes, Resting: s.Resting, Avoided: s.Avoided, Lost: s.Lost, Meaning: s.Meaning,
	}
	for _, k := range s.Guards {
		p.Guards = append(p.Guards, shownGuard(k))
	}
	for _, k := range s.Second {
		p.Beside = append(p.Beside, shownGuard(k))
	}
	return p
}

func shownGuard(k path.Kept) control.Guard {
	return control.Guard{Since: k.Since, Until: k.Until, Usable: k.Usable, InUse: k.OnDuty && !k.Rests}
}
