package node

import (
	"errors"
	"fmt"

	"chatnt/node/control"
	"chatnt/node/vault"
	"chatnt/overlay"
	"chatnt/overlay/path"
)

// keyGuards holds the relays that this node keeps, see package path: they belong to
// the node, as its key does, and neither is in a backup.
const keyGuards = "guards"

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
