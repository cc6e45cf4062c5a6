package node

import (
	"errors"
	"fmt"
	"slices"
	"time"

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
			one, err := describe(tx, e)
			if err != nil {
				return err
			}
			one.Used = e.Name == r.Use
			list = append(list, one)
		}
		return nil
	})
	return list, err
}

// describe returns what a person is shown of an identity.
func describe(tx *vault.Tx, e entry) (control.Identity, error) {
	of := Profile{name: e.Name}
	if err := of.read(e.in(tx)); err != nil {
		return control.Identity{}, fmt.Errorf("the identity %q cannot be read: %w", e.Name, err)
	}
	return control.Identity{Name: e.Name, Hashid: of.Hashid().String(), Node: of.Node().String(), Made: e.Made}, nil
}

// AddIdentity makes a new identity under a local name, with keys, and a node's key, of
// its own. It is in the same network as the one in use.
func (p *Profile) AddIdentity(name string, now time.Time) (control.Identity, error) {
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
			r.Identities = append(r.Identities, e)
			return endow(from.in(tx), e.in(tx))
		})
		if err == nil {
			made, err = describe(tx, e)
		}
		return err
	})
	if err != nil {
		return control.Identity{}, fmt.Errorf("no identity was made: %w", err)
	}
	return made, nil
}

// endow makes the keys of a new identity, and copies another's network to it.
func endow(from, to *vault.Tx) error {
	if err := makeKeys(to); err != nil {
		return err
	}
	settings, err := from.Get(bucketProfile, keyNetwork)
	if errors.Is(err, vault.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return to.Put(bucketProfile, keyNetwork, settings)
}

// lead copies the relays that one identity knows to another that knows none. Whoever
// made the network has an invite that names nobody but the own node, of the identity
// that made it, and that does not run now.
func lead(from, to *vault.Tx) error {
	known := false
	if err := to.ForEach(bucketRelays, func(string, []byte) error { known = true; return nil }); err != nil || known {
		return err
	}
	return from.ForEach(bucketRelays, func(key string, raw []byte) error { return to.Put(bucketRelays, key, raw) })
}

// Use stores that another identity is in use from now on, and returns the profile as
// that identity sees it. Both share the vault, and with it Close. The first time, the
// other begins with the relays that this one knows.
func (p *Profile) Use(name string) (*Profile, error) {
	next := &Profile{vault: p.vault.Whole(), dir: p.dir, config: p.config}
	err := p.vault.Whole().Update(func(tx *vault.Tx) error {
		return changeRoster(tx, func(r *roster) error {
			from, err := r.named(p.name)
			if err != nil {
				return err
			}
			to, err := r.named(name)
			if err != nil {
				return err
			}
			r.Use = to.Name
			return lead(from.in(tx), to.in(tx))
		})
	})
	if err != nil {
		return nil, err
	}
	return next, next.vault.View(next.enter)
}

// DeleteIdentity deletes an identity and all that is stored of it. When it returns
// without an error, none of that is in the vault's file any more. The identity in use
// stays.
func (p *Profile) DeleteIdentity(name string) error {
	whole := p.vault.Whole()
	err := whole.Update(func(tx *vault.Tx) error {
		var gone entry
		var rest []vault.SpaceID
		err := changeRoster(tx, func(r *roster) error {
			var err error
			if gone, err = r.named(name); err != nil {
				return err
			}
			if gone.Name == r.Use || gone.Name == p.name {
				return errors.New("this identity is in use: change to another with /id use first")
			}
			r.Identities = slices.DeleteFunc(r.Identities, func(e entry) bool { return e.Name == gone.Name })
			for _, e := range r.Identities {
				if !e.first() {
					rest = append(rest, vault.SpaceID(e.Space))
				}
			}
			return nil
		})
		switch {
		case err != nil:
			return err
		case gone.first():
			return tx.DropRest(bucketIdentities, rest)
		}
		return tx.DropSpace(vault.SpaceID(gone.Space))
	})
	if err != nil {
		return err
	}
	if err := whole.Scrub(); err != nil {
		return fmt.Errorf("the identity is deleted, but some of it is still in the profile's file: %w", err)
	}
	return nil
}
