package node

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/network"
	"chatnt/node/backup"
	"chatnt/node/contact"
	"chatnt/node/message"
	"chatnt/node/vault"
)

// restoreBatch is about how many bytes of a backup are stored in one transaction.
const restoreBatch = 4 << 20

// Restore makes a profile in dir of a backup, under a passphrase of its own. It appears whole or
// not at all; a process killed half-way leaves a directory named .restore-* in dir, which nobody
// reads. A config.toml that is there already stays.
//
// The profile has its identity, and another node. It seals nothing in a session of the old one:
// each contact gets a new session with the first message, which is waiting, and the contact's
// program sends anew in that what the old one has not confirmed.
//
// The error is fs.ErrExist if dir holds a profile, vault.ErrPassphrase if passphrase is empty, one
// of package backup, or one of the disk.
func Restore(dir string, r io.Reader, passphrase, backupPassphrase []byte) error {
	if len(passphrase) == 0 {
		return vault.ErrPassphrase
	}
	if err := vacant(dir); err != nil {
		return err
	}
	plain, err := backup.Open(r, backupPassphrase)
	if err != nil {
		return err
	}
	entries, err := backup.NewReader(plain)
	if err != nil {
		return err
	}
	return restore(dir, entries, passphrase)
}

// vacant returns an error if dir holds a profile, or an old file of one.
func vacant(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return strings.HasPrefix(e.Name(), vaultName) }) {
		return errProfileThere
	}
	return nil
}

var errProfileThere = fmt.Errorf("there is a profile already: %w", fs.ErrExist)

// restore builds the profile beside where it is to be, and puts it in place when it is whole.
func restore(dir string, entries *backup.Reader, passphrase []byte) (err error) {
	made := missing(dir)
	defer func() {
		if err != nil {
			for _, d := range made {
				_ = os.Remove(d) // unless somebody has put something into it
			}
		}
	}()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot make the profile's directory: %w", err)
	}
	temp, err := os.MkdirTemp(dir, restoreTemp)
	if err != nil {
		return fmt.Errorf("cannot write to the profile's directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(temp) }()
	if err := build(temp, entries, passphrase); err != nil {
		return err
	}
	return install(temp, dir)
}

// missing returns dir and those above it that do not exist, dir first.
func missing(dir string) []string {
	var list []string
	for ; !vault.Exists(dir) && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		list = append(list, dir)
	}
	return list
}

// build makes the profile of a backup in dir.
func build(dir string, entries *backup.Reader, passphrase []byte) (err error) {
	v, err := vault.Create(filepath.Join(dir, vaultName), passphrase)
	if err != nil {
		return err
	}
	p := &Profile{vault: v, dir: dir}
	defer func() { err = errors.Join(err, p.Close()) }()
	if err := p.takeBack(entries); err != nil {
		return err
	}
	return p.settle()
}

// takeBack makes an empty profile that of a backup, but for where it listens.
func (p *Profile) takeBack(entries *backup.Reader) error {
	if err := p.fill(entries); err != nil {
		return err
	}
	if err := p.vault.Update(func(tx *vault.Tx) error { return renewAll(tx, time.Now()) }); err != nil {
		return err
	}
	if err := p.load(); err != nil { // which makes prekeys and a key for the node
		return err
	}
	// All is read as a node does when it starts: none is to find fault with it later.
	m := &messenger{profile: p, conversations: make(map[hashid.ID]*conversation)}
	if err := p.vault.View(m.load); err != nil {
		return fmt.Errorf("%w: %w", backup.ErrDamaged, err)
	}
	return nil
}

// fill stores what a backup holds, in several transactions.
func (p *Profile) fill(entries *backup.Reader) error {
	u := newUnpacker()
	for last := false; !last; {
		var batch []unpacked
		for size := 0; size < restoreBatch; {
			e, err := entries.Next()
			if last = errors.Is(err, io.EOF); last {
				break
			}
			if err != nil {
				return err
			}
			one, err := u.unpack(e)
			if err != nil {
				return fmt.Errorf("%w: %w", backup.ErrDamaged, err)
			}
			batch = append(batch, one)
			size += len(one.key) + len(one.value)
		}
		err := p.vault.Update(func(tx *vault.Tx) error {
			for _, one := range batch {
				if one.bucket == "" { // the settings
					continue
				}
				if err := tx.Put(one.bucket, one.key, one.value); err != nil {
					return err
				}
			}
			return nil
		})
		for _, one := range batch {
			clear(one.value)
		}
		if err != nil {
			return err
		}
	}
	if u.count[backup.Identity] == 0 {
		return fmt.Errorf("%w: it holds no identity", backup.ErrDamaged)
	}
	p.config = u.config
	return nil
}

// renewAll has each conversation go on in a session that is to begin with its next message. Each
// contact is to be told where this person is found, which is one: it may have been told otherwise since the backup
// was made.
//
// The other side goes on there only if that outranks the session that it has. How many have begun
// since the backup was made cannot be known here, so they are counted on from the
// minutes since 1970, as records are from the seconds: that is more than any of the two had.
func renewAll(tx *vault.Tx, now time.Time) error {
	l, err := loadListing(tx)
	if err != nil {
		return err
	}
	link, accepted, waits := l.linkKey(), make(map[hashid.ID]bool), make(map[hashid.ID]bool)
	err = forEach(tx, bucketContacts, func(_ string, who contact.Contact) error {
		if who.State == contact.Accepted {
			accepted[who.Hashid] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = forEach(tx, bucketOutbox, func(_ string, item outgoing) error {
		waits[item.To] = waits[item.To] || item.Kind == message.Link && item.Link == link
		return nil
	})
	if err != nil {
		return err
	}
	minutes := uint32(min(max(now.Unix()/60, 0), math.MaxUint32/2))
	renew := func(_ string, l ledger) error {
		l.Generation = max(l.Generation, minutes)
		if accepted[l.Peer] && !waits[l.Peer] {
			item := &outgoing{To: l.Peer, Place: l.Next, Kind: message.Link, ID: message.NewID(), At: now, Parts: 1, Link: link}
			if err := store(tx, bucketOutbox, item.key(), item); err != nil {
				return err
			}
			l.Next++
		}
		delete(accepted, l.Peer)
		return store(tx, bucketConversations, l.Peer.String(), l)
	}
	if err := forEach(tx, bucketConversations, renew); err != nil {
		return err
	}
	for peer := range accepted { // who never said anything here
		if err := renew("", ledger{Peer: peer, Next: 1}); err != nil {
			return err
		}
	}
	return nil
}

// settle stores the addresses to listen on, and the invite as it names them with this node's key, as
// that of who has made the network does.
func (p *Profile) settle() error {
	if len(p.config.Listen) == 0 {
		return nil
	}
	if p.network == nil {
		return writeConfig(p.dir, p.config)
	}
	listen, err := listenAddrs(p.network, p.config.Listen)
	if err != nil {
		return fmt.Errorf("%w: %w", backup.ErrDamaged, err)
	}
	own, err := p.BootstrapAddrs(listen, p.network.Public)
	if err != nil {
		return err
	}
	n := *p.network
	n.Bootstrap = slices.Concat(own, n.Bootstrap)
	n.Bootstrap = n.Bootstrap[:min(len(n.Bootstrap), network.MaxBootstrap)]
	return p.SetNetwork(&n, p.config.Listen)
}

// install moves a finished profile from temp to dir, the vault last: with that it is one.
func install(temp, dir string) error {
	config := filepath.Join(dir, configName)
	err := vault.Place(filepath.Join(temp, configName), config)
	placed := err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) { // whose it is keeps it; or there is none
		return fmt.Errorf("the profile could not be put in place: %w", err)
	}
	err = vault.Place(filepath.Join(temp, vaultName), filepath.Join(dir, vaultName))
	if err != nil && placed {
		_ = os.Remove(config)
	}
	if errors.Is(err, fs.ErrExist) {
		return errProfileThere
	}
	if err != nil {
		return fmt.Errorf("the profile could not be put in place: %w", err)
	}
	return nil
}
