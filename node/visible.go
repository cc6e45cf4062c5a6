package node

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"chatnt/node/control"
	"chatnt/node/vault"
)

// A visible person's key record names the person's own node as inbox; a hidden one's
// names mailboxes at other nodes. There are none yet, so everybody is visible.

const visibleWhy = "until there are mailboxes at other nodes, everybody who knows your hashid can find your node and its IP address; this link cannot be taken back from who has seen it"

var errVisible = errors.New("nobody can be hidden until there are mailboxes at other nodes to be reached at: whoever knows your hashid finds your node")

// visible is what /set visible says of this version.
func visible() control.Visible { return control.Visible{Visible: true, Why: visibleWhy} }

// setVisible is for every profile of this version: nobody can be hidden.
func setVisible(on bool) (control.Visible, error) {
	if !on {
		return control.Visible{}, errVisible
	}
	return visible(), nil
}

// hide makes the identity in use a hidden one, and returns the profile as it is then.
// Its node has a new key: the old one's id is known for this person's to whoever read
// a key record, and would stay so. The node that runs for p must end before another
// runs for what is returned.
func (p *Profile) hide() (*Profile, error) {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed)
	defer clear(seed)
	next := &Profile{vault: p.vault.Whole(), dir: p.dir, config: p.config}
	err := p.vault.Whole().Update(func(tx *vault.Tx) error {
		var of *vault.Tx
		err := changeRoster(tx, func(r *roster) error {
			for i := range r.Identities {
				if e := &r.Identities[i]; e.Name == p.name {
					e.Hidden, of = true, e.in(tx)
					return nil
				}
			}
			return errNoIdentity
		})
		if err != nil {
			return err
		}
		if err := of.Delete(bucketProfile, keySequence+"node"); err != nil { // the old node's
			return err
		}
		return of.Put(bucketProfile, keyNode, seed)
	})
	if err != nil {
		return nil, fmt.Errorf("this identity stays visible: %w", err)
	}
	return next, next.vault.View(next.enter)
}

// started notes that the node of the identity in use starts, and reports whether the person was
// not told yet what that shows: where a program starts it nobody may be there to be told.
func (p *Profile) started(now time.Time) (first bool, err error) {
	if _, err := p.nextSequence("start", now); err != nil {
		return false, err
	}
	err = p.vault.View(func(tx *vault.Tx) error {
		_, err := tx.Get(bucketProfile, keyTold)
		if first = errors.Is(err, vault.ErrNotFound); first {
			return nil
		}
		return err
	})
	return first, err
}

// setTold notes that somebody was told.
func (p *Profile) setTold() error {
	return p.vault.Update(func(tx *vault.Tx) error { return tx.Put(bucketProfile, keyTold, []byte{1}) })
}

// shownName is the local name of the identity in use, if that needs one.
func (p *Profile) shownName() string {
	if !p.several {
		return ""
	}
	return p.name
}
