package node

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"chatnt/discovery/hashid"
	"chatnt/discovery/network"
	"chatnt/discovery/record"
	"chatnt/node/vault"
)

// DeleteIdentity deletes an identity and all that is stored of it, and what says of the others
// where its node was. When it returns without an error, none of that is in the profile's
// files any more. The identity in use stays.
func (p *Profile) DeleteIdentity(name string) error {
	whole := p.vault.Whole()
	var gone entry
	err := whole.Update(func(tx *vault.Tx) (err error) {
		gone, err = p.delete(tx, name)
		return err
	})
	if err != nil {
		return err
	}
	// A file that an update of the program kept has the identity too.
	err = errors.Join(whole.Scrub(), whole.DropOld())
	if gone.first() {
		err = errors.Join(err, p.forgetPorts())
	}
	if err != nil {
		return fmt.Errorf("the identity is deleted, but some of it is still in the profile's files: %w", err)
	}
	return nil
}

func (p *Profile) delete(tx *vault.Tx, name string) (gone entry, err error) {
	var left []entry
	err = changeRoster(tx, func(r *roster) error {
		var err error
		if gone, err = r.named(name); err != nil {
			return err
		}
		if gone.Name == r.Use || gone.Name == p.name {
			return errors.New("this identity is in use: change to another with /id use first")
		}
		r.Identities = slices.DeleteFunc(r.Identities, func(e entry) bool { return e.Name == gone.Name })
		left = r.Identities
		return nil
	})
	if err != nil {
		return gone, err
	}
	if of, err := p.as(tx, gone); err == nil { // of one that is damaged nothing is known
		for _, e := range left {
			if err := forgetNode(e.in(tx), of.nodePublic()); err != nil {
				return gone, err
			}
		}
	}
	if !gone.first() {
		return gone, tx.DropSpace(vault.SpaceID(gone.Space))
	}
	var rest []vault.SpaceID
	for _, e := range left {
		rest = append(rest, vault.SpaceID(e.Space))
	}
	return gone, tx.DropRest(bucketIdentities, rest)
}

// forgetPorts takes the ports from config.toml, which were those of the first identity. The others
// use no more of it than the rest.
func (p *Profile) forgetPorts() error {
	if len(p.config.Listen) == 0 {
		return nil
	}
	c := p.config
	var err error
	if c.Listen, err = AnyPort(c.Listen); err != nil {
		return err
	}
	return writeConfig(p.dir, c)
}

// forgetNode takes a node from what an identity begins with in its network: the addresses of the
// invite that it came by, and the relays that it knew.
func forgetNode(of *vault.Tx, node ed25519.PublicKey) error {
	raw, err := of.Get(bucketProfile, keyNetwork)
	if errors.Is(err, vault.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	n, err := network.Parse(raw)
	if err != nil {
		return nil //nolint:nilerr // it is damaged, and is not deleted here
	}
	less, err := without(n, []ed25519.PublicKey{node})
	if err != nil {
		return err
	}
	if len(less.Bootstrap) < len(n.Bootstrap) {
		if raw, err = less.Append(nil); err != nil {
			return err
		}
		if err := of.Put(bucketProfile, keyNetwork, raw); err != nil {
			return err
		}
	}
	var known []string
	err = of.ForEach(bucketRelays, func(key string, raw []byte) error {
		if d, err := record.ParseDescriptor(n.ID(), raw); err == nil && d.ID() == hashid.OfNode(node) {
			known = append(known, key)
		}
		return nil
	})
	for _, key := range known {
		err = errors.Join(err, of.Delete(bucketRelays, key))
	}
	return err
}
