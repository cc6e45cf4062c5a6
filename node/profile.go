package node

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/network"
	"chatnt/discovery/record"
	"chatnt/node/contact"
	"chatnt/node/vault"
)

// The vault's entries that belong to the profile itself.
const (
	bucketProfile = "profile"
	keyIdentity   = "identity"
	keyPrekeys    = "prekeys"
	keyNode       = "node key"
	keyNetwork    = "network"
	keyNick       = "nick"
	keyListing    = "listing"
	keyTold       = "told" // once somebody was told who can see this person
	keyLatency    = "latency"
	keySequence   = "sequence " // followed by what is numbered

	sequencePerson   = "person"   // what is published under the hashid
	sequenceUnlisted = "unlisted" // what is published under link keys, see blurred
)

// ErrNoNetwork says that a profile belongs to no network yet.
var ErrNoNetwork = errors.New("this profile has no network yet: run 'chatnt network create NAME' or 'chatnt network join INVITE' first")

// Profile is what a person keeps on disk, opened: of the identity in use its keys, a
// node key, a network, contacts, known relays, and texts not yet delivered or shown.
// One process holds it at a time.
type Profile struct {
	vault    *vault.Vault // of the identity in use
	name     string       // of that, for this person alone
	ports    bool         // those in config are its own
	several  bool         // there are other identities
	seen     time.Time    // not before this its node is to be seen, see Apart
	dir      string       // "" for a profile that never touches the disk
	config   config
	identity *identity
	prekeys  prekeys
	listing  listings
	latency  latencies
	nodeKey  ed25519.PrivateKey
	network  *network.Network // nil until SetNetwork
}

// OpenProfile opens the profile in dir, and makes it first where there is none.
// The errors are those of vault.Open, fs errors, or a damaged profile.
func OpenProfile(dir string, passphrase []byte) (*Profile, error) {
	return OpenProfileAs(dir, passphrase, "", time.Time{})
}

// OpenProfileAs does the same, and has the identity of a name be in use from now on, as Use does; an
// empty name is the one used last. Of several identities, one that is damaged keeps nobody from the others.
func OpenProfileAs(dir string, passphrase []byte, name string, seen time.Time) (*Profile, error) {
	if len(passphrase) == 0 {
		return nil, vault.ErrPassphrase
	}
	conf, err := readConfig(dir)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, vaultName)
	var v *vault.Vault
	if vault.Exists(path) {
		v, err = vault.Open(path, passphrase, migrate)
	} else {
		v, err = vault.Create(path, passphrase)
	}
	if err != nil {
		return nil, err
	}
	p := &Profile{vault: v, dir: dir, config: conf}
	err = p.load()
	switch listed := p.name != ""; {
	case listed && name != "":
		p, err = p.Use(name, seen)
	case listed && err != nil:
		err = p.orAnother(err)
	}
	if err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return p, nil
}

// orAnother says which identities can be used in place of one that cannot be.
func (p *Profile) orAnother(failed error) error {
	var others []string
	err := p.vault.Whole().View(func(tx *vault.Tx) error {
		r, err := readRoster(tx)
		for _, e := range r.Identities {
			if e.Name != p.name {
				others = append(others, "--id "+e.Name)
			}
		}
		return err
	})
	if err != nil || len(others) == 0 {
		return failed
	}
	return fmt.Errorf("%w; another can be used: chatnt %s", failed, strings.Join(others, " or "))
}

// load reads the profile's keys, and makes them if there are none. It writes
// only then: an update changes the file even where it changes no value.
func (p *Profile) load() error {
	whole := p.vault.Whole()
	err := whole.View(p.enter)
	if errors.Is(err, vault.ErrNotFound) {
		if err = whole.Update(makeFirst); err == nil {
			err = whole.View(p.enter)
		}
	}
	return err
}

// makeFirst makes the first identity of a profile.
func makeFirst(tx *vault.Tx) error {
	if err := makeKeys(tx); err != nil {
		return err
	}
	return changeRoster(tx, func(r *roster) error {
		r.Identities[0].Made = time.Now().UTC().Truncate(time.Second)
		return nil
	})
}

// enter takes over what is stored of the identity in use. The error is
// vault.ErrNotFound if there is none yet.
func (p *Profile) enter(tx *vault.Tx) error {
	r, err := readRoster(tx)
	if err != nil {
		return err
	}
	e, err := r.named(r.Use)
	if err != nil {
		return err
	}
	p.name, p.ports, p.several, p.seen = e.Name, e.first(), len(r.Identities) > 1, r.Seen
	p.vault = e.view(p.vault)
	switch err = p.read(e.in(tx)); {
	case err == nil, errors.Is(err, vault.ErrNotFound) && e.first():
		return err
	case errors.Is(err, vault.ErrNotFound):
		err = errors.New("a part of it is missing")
	}
	return fmt.Errorf("the identity %q is damaged: %w", e.Name, err)
}

// read takes over what is stored. The error is vault.ErrNotFound if a key is missing.
func (p *Profile) read(tx *vault.Tx) error {
	raw, err := tx.Get(bucketProfile, keyIdentity)
	if err != nil {
		return err
	}
	defer clear(raw)
	if p.identity, err = parseIdentity(raw); err != nil {
		return err
	}
	stored, err := tx.Get(bucketProfile, keyPrekeys)
	if err != nil {
		return err
	}
	defer clear(stored)
	if p.prekeys.generations, err = parsePrekeys(stored); err != nil {
		return err
	}
	if p.listing.state, err = loadListing(tx); err != nil {
		return err
	}
	latency, err := loadLatency(tx)
	if err != nil {
		return err
	}
	p.latency.set(latency)
	seed, err := tx.Get(bucketProfile, keyNode)
	if err != nil {
		return err
	}
	defer clear(seed)
	if len(seed) != ed25519.SeedSize {
		return errors.New("the stored node key is damaged")
	}
	p.nodeKey = ed25519.NewKeyFromSeed(seed)
	settings, err := tx.Get(bucketProfile, keyNetwork)
	if errors.Is(err, vault.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if p.network, err = network.Parse(settings); err != nil {
		return fmt.Errorf("the stored network is damaged: %w", err)
	}
	return nil
}

// makeKeys stores the keys that are missing.
func makeKeys(tx *vault.Tx) error {
	if _, err := tx.Get(bucketProfile, keyIdentity); errors.Is(err, vault.ErrNotFound) {
		id, err := newIdentity()
		if err != nil {
			return err
		}
		raw := id.append(nil)
		defer clear(raw)
		if err := tx.Put(bucketProfile, keyIdentity, raw); err != nil {
			return err
		}
	}
	if _, err := tx.Get(bucketProfile, keyPrekeys); errors.Is(err, vault.ErrNotFound) {
		g, err := newGeneration(time.Now())
		if err != nil {
			return err
		}
		raw := appendPrekeys(nil, []generation{g})
		defer clear(raw)
		if err := tx.Put(bucketProfile, keyPrekeys, raw); err != nil {
			return err
		}
	}
	if _, err := tx.Get(bucketProfile, keyNode); errors.Is(err, vault.ErrNotFound) {
		seed := make([]byte, ed25519.SeedSize)
		_, _ = rand.Read(seed)
		defer clear(seed)
		return tx.Put(bucketProfile, keyNode, seed)
	}
	return nil
}

// Close lets go of the profile. Twice is harmless.
func (p *Profile) Close() error { return p.vault.Close() }

// Hashid is the profile's identity.
func (p *Profile) Hashid() hashid.ID { return p.identity.hashid() }

// Node is the id of the profile's node.
func (p *Profile) Node() hashid.NodeID { return hashid.OfNode(p.nodePublic()) }

func (p *Profile) nodePublic() ed25519.PublicKey { return p.nodeKey.Public().(ed25519.PublicKey) }

// Network is the profile's network, nil if it has none yet.
func (p *Profile) Network() *network.Network { return p.network }

// Listen is where the profile's node listens unless told otherwise, as
// multiaddrs; empty for the default. The ports are those of the identity that the
// profile began with: at one port, another would be seen to be the same person.
func (p *Profile) Listen() []string {
	if p.ports {
		return p.config.Listen
	}
	listen, err := AnyPort(p.config.Listen)
	if err != nil { // never: they were looked at when they were read
		return p.config.Listen
	}
	return listen
}

// SetNetwork stores the profile's network, and with it the addresses to listen
// on if any are given.
func (p *Profile) SetNetwork(n *network.Network, listen []string) error {
	raw, err := n.Append(nil)
	if err != nil {
		return err
	}
	before, after := p.config, p.config
	if len(listen) > 0 {
		after.Listen = listen
	}
	err = p.vault.Update(func(tx *vault.Tx) error {
		if err := tx.Put(bucketProfile, keyNetwork, raw); err != nil || len(listen) == 0 {
			return err
		}
		return writeConfig(p.dir, after) // last: if it fails, nothing is stored
	})
	if err != nil {
		if len(listen) > 0 { // the vault may have failed behind it
			err = errors.Join(err, writeConfig(p.dir, before))
		}
		return fmt.Errorf("the network could not be stored: %w", err)
	}
	p.config, p.network = after, n
	return nil
}

// Introduce makes a person a contact under a local name without a request, for
// two people who know of each other already. Both must be introduced, before
// their nodes are made.
func (p *Profile) Introduce(id hashid.ID, name string) error {
	who := contact.Contact{Hashid: id, Name: name, State: contact.Accepted, Since: time.Now()}
	if err := contact.New(nil, nil).CheckName(name, id); err != nil {
		return err
	}
	return p.vault.Update(func(tx *vault.Tx) error { return storeContact(tx, who) })
}

// Listed reports whether whoever knows the hashid finds the person's key record.
func (p *Profile) Listed() bool { return p.listing.now().listed }

// SetListed has the person listed from now on, or found only by contacts and by who has an
// invite made later. While a node runs, its own SetListed is to be called. A profile that no
// node has run on yet is then never listed at all.
func (p *Profile) SetListed(listed bool, now time.Time) error {
	_, err := p.listing.change(p.vault, func(l listing) (listing, error) { return l.settled(now).with(listed, now) })
	return err
}

// errWasListed says that it is too late to begin unlisted.
var errWasListed = errors.New("this identity has been listed already: /set listed off in its node takes the record back, which shows for two weeks")

// BeginUnlisted has the person never be listed: nothing ever lies under the hashid. The error says so if
// a node has run and listed the person already.
func (p *Profile) BeginUnlisted(now time.Time) error {
	_, err := p.listing.change(p.vault, func(l listing) (listing, error) {
		if l.signed || !l.hidden.IsZero() {
			return l, errWasListed
		}
		return l.with(false, now)
	})
	return err
}

// nextSequence returns, and remembers, the sequence of a record to be signed now.
func (p *Profile) nextSequence(what string, now time.Time) (uint64, error) {
	var next uint64
	err := p.vault.Update(func(tx *vault.Tx) error {
		last, err := lastSequence(tx, what)
		if err != nil {
			return err
		}
		next = record.NextSequence(last, now)
		return tx.Put(bucketProfile, keySequence+what, binary.BigEndian.AppendUint64(nil, next))
	})
	return next, err
}

// outpaced reports whether a sequence that was found is beyond the last that this
// profile remembers, and remembers it then.
func (p *Profile) outpaced(what string, found uint64) (bool, error) {
	outpaced := false
	err := p.vault.Update(func(tx *vault.Tx) error {
		last, err := lastSequence(tx, what)
		if outpaced = err == nil && found > last; !outpaced {
			return err
		}
		return tx.Put(bucketProfile, keySequence+what, binary.BigEndian.AppendUint64(nil, found))
	})
	return outpaced && err == nil, err
}

// sequence is the last that was given.
func (p *Profile) sequence(what string) (last uint64, err error) {
	err = p.vault.View(func(tx *vault.Tx) error {
		last, err = lastSequence(tx, what)
		return err
	})
	return last, err
}

func lastSequence(tx *vault.Tx, what string) (uint64, error) {
	raw, err := tx.Get(bucketProfile, keySequence+what)
	switch {
	case errors.Is(err, vault.ErrNotFound), err == nil && len(raw) != 8:
		return 0, nil
	case err != nil:
		return 0, err
	}
	return binary.BigEndian.Uint64(raw), nil
}

// nick returns what the person calls itself to others; it may be empty.
func (p *Profile) nick() (string, error) {
	var nick string
	err := p.vault.View(func(tx *vault.Tx) error {
		raw, err := tx.Get(bucketProfile, keyNick)
		if errors.Is(err, vault.ErrNotFound) {
			return nil
		}
		nick = string(raw)
		return err
	})
	return nick, err
}

func (p *Profile) setNick(nick string) error {
	return p.vault.Update(func(tx *vault.Tx) error {
		if nick == "" {
			return tx.Delete(bucketProfile, keyNick)
		}
		return tx.Put(bucketProfile, keyNick, []byte(nick))
	})
}
