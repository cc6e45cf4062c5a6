package node

import (
	"errors"
	"fmt"
	"time"

	"chatnt/discovery/network"
	"chatnt/node/contact"
	"chatnt/node/control"
	"chatnt/node/vault"
)

// A profile's identities have nothing in common but the passphrase, the network and
// config.toml: each has its keys, its node's key, its contacts and all that was said
// in a space of its own. One is in use at a time. Until mailboxes at other nodes hide a
// person's node, every identity is found at its own node: of two at once, which come
// and go together and have one IP address, anybody could tell that they are one person.

// Identities returns the identities of the profile, in the order in which they were made.
func (p *Profile) Identities() ([]control.Identity, error) {
	var list []control.Identity
	err := p.vault.Whole().View(func(tx *vault.Tx) error {
		r, err := readRoster(tx)
		if err != nil {
			return err
		}
		for _, e := range r.Identities {
			one, err := p.describe(tx, e)
			if err != nil { // the others are to be seen all the same
				one = control.Identity{Name: e.Name, Made: e.Made, Damaged: true}
			}
			one.Used = e.Name == r.Use
			list = append(list, one)
		}
		return nil
	})
	return list, err
}

// as returns the profile as one of its identities sees it, to be looked at: that one is
// not in use.
func (p *Profile) as(tx *vault.Tx, e entry) (*Profile, error) {
	of := &Profile{vault: e.view(p.vault), name: e.Name, ports: e.first(), dir: p.dir, config: p.config}
	if err := of.read(e.in(tx)); err != nil {
		return nil, fmt.Errorf("the identity %q cannot be read: %w", e.Name, err)
	}
	return of, nil
}

// describe returns what a person is shown of an identity.
func (p *Profile) describe(tx *vault.Tx, e entry) (control.Identity, error) {
	of, err := p.as(tx, e)
	if err != nil {
		return control.Identity{}, err
	}
	return control.Identity{Name: e.Name, Hashid: of.Hashid().String(), Node: of.Node().String(), Made: e.Made, Unlisted: !of.Listed()}, nil
}

// AddIdentity makes a new identity under a local name, with keys, and a node's key, of
// its own. It is in the same network as the one in use.
func (p *Profile) AddIdentity(name string, now time.Time) (control.Identity, error) {
	return p.add(name, now, endow)
}

// AddUnlisted does the same, and the new one is not listed from the beginning: nothing ever lies
// under its hashid.
func (p *Profile) AddUnlisted(name string, now time.Time) (control.Identity, error) {
	return p.add(name, now, func(to *vault.Tx, n *network.Network) error {
		if err := endow(to, n); err != nil {
			return err
		}
		l, err := listing{listed: true}.with(false, now)
		if err != nil {
			return err
		}
		raw := l.append(nil)
		defer clear(raw)
		return to.Put(bucketProfile, keyListing, raw)
	})
}

func (p *Profile) add(name string, now time.Time, endow func(*vault.Tx, *network.Network) error) (control.Identity, error) {
	name, err := contact.Normal(name)
	if err != nil {
		return control.Identity{}, err
	}
	e := entry{Name: name, Made: now.UTC().Truncate(time.Second)}
	id := vault.NewSpaceID()
	e.Space = id[:]
	var made control.Identity
	err = p.vault.Whole().Update(func(tx *vault.Tx) error {
		err := changeRoster(tx, func(r *roster) error {
			if _, err := r.named(name); err == nil {
				return fmt.Errorf("the name %q is taken by another identity", name)
			}
			from, err := r.named(p.name)
			if err != nil {
				return err
			}
			e.Hidden = from.Hidden
			n, err := p.networkFor(tx, r.Identities)
			if err != nil {
				return err
			}
			r.Identities = append(r.Identities, e)
			return endow(e.in(tx), n)
		})
		if err == nil {
			made, err = p.describe(tx, e)
		}
		return err
	})
	if err != nil {
		return control.Identity{}, fmt.Errorf("no identity was made: %w", err)
	}
	return made, nil
}

// Use stores that another identity is in use from now on, whose node is not to be seen before
// a time, see Apart, and returns the profile as that identity sees it. Both share the vault,
// and with it Close. The first time, the other begins with the relays that this one knows.
// Where the identity is in use already, or is damaged, nothing is stored.
func (p *Profile) Use(name string, seen time.Time) (*Profile, error) {
	next := &Profile{vault: p.vault.Whole(), dir: p.dir, config: p.config}
	err := p.vault.Whole().Update(func(tx *vault.Tx) error {
		if err := changeRoster(tx, func(r *roster) error { return p.turnTo(tx, r, name, seen) }); err != nil {
			return err
		}
		return next.enter(tx)
	})
	if errors.Is(err, errUsed) {
		err = next.vault.View(next.enter)
	}
	if err != nil {
		return nil, err
	}
	return next, nil
}

// errUsed says that the identity to be used is in use.
var errUsed = errors.New("this identity is in use already")

func (p *Profile) turnTo(tx *vault.Tx, r *roster, name string, seen time.Time) error {
	from, err := r.named(p.name)
	if err != nil {
		return err
	}
	to, err := r.named(name)
	switch {
	case err != nil:
		return err
	case to.Name == r.Use:
		return errUsed
	}
	r.Use, r.Seen = to.Name, seen.UTC()
	for i := range r.Identities {
		if e := &r.Identities[i]; e.Name == to.Name && e.Restored {
			e.Restored = false
			if err := renewAll(to.in(tx), seen); err != nil {
				return err
			}
		}
	}
	return lead(from.in(tx), to.in(tx))
}
