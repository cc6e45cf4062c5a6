package node

import (
	"strconv"

	"chatnt/discovery/network"
	"chatnt/node/vault"
)

// Ephemeral makes a profile of a network that is kept in memory only: a new
// identity and node key, and no contacts.
func Ephemeral(n *network.Network, listen []string) (*Profile, error) {
	p := &Profile{vault: vault.Memory(), config: config{Listen: listen}}
	if err := p.load(); err != nil {
		return nil, err
	}
	return p, p.SetNetwork(n, nil)
}

// Ephemeral makes one beside this profile: in its network, at other ports, with the relays
// that the identity in use knows. It names none of the profile's own nodes to anybody.
func (p *Profile) Ephemeral() (*Profile, error) {
	var (
		n      *network.Network
		relays [][]byte
	)
	err := p.vault.Whole().View(func(tx *vault.Tx) error {
		r, err := readRoster(tx)
		if err != nil {
			return err
		}
		if n, err = p.networkFor(tx, r.Identities); err != nil {
			return err
		}
		own, err := r.named(p.name)
		if err != nil {
			return err
		}
		return own.in(tx).ForEach(bucketRelays, func(_ string, raw []byte) error {
			relays = append(relays, raw)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	if n == nil {
		return nil, ErrNoNetwork
	}
	listen, err := AnyPort(p.config.Listen)
	if err != nil {
		return nil, err
	}
	forgotten, err := Ephemeral(n, listen)
	if err != nil {
		return nil, err
	}
	return forgotten, forgotten.vault.Update(func(tx *vault.Tx) error {
		for i, raw := range relays {
			if err := tx.Put(bucketRelays, strconv.Itoa(i), raw); err != nil {
				return err
			}
		}
		return nil
	})
}
