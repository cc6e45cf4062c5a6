package node

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"chatnt/discovery/network"
	"chatnt/node/backup"
	"chatnt/node/vault"
)

// restoreBatch is about how many bytes of a backup are stored in one transaction.
const restoreBatch = 4 << 20

// Restore makes a profile in dir of a backup, under a passphrase of its own. It appears whole or
// not at all; a process killed half-way leaves a directory named .restore-* in dir, which nobody
// reads. A config.toml that is there already stays.
//
// The profile has its identities, and other nodes. It seals nothing in a session of the old one:
// each contact gets a new session with the first message, which is waiting once the
// identity is in use, and the contact's program sends anew in that what the old one has not
// confirmed.
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
	r, err := p.fill(entries)
	if err != nil {
		return err
	}
	if err := p.vault.Update(func(tx *vault.Tx) error { return revive(tx, r, time.Now()) }); err != nil {
		return err
	}
	if err := p.vault.View(func(tx *vault.Tx) error { return p.readable(tx, r) }); err != nil {
		return err
	}
	return p.load()
}

// fill stores what a backup holds, in several transactions, and returns whose it is.
func (p *Profile) fill(entries *backup.Reader) (roster, error) {
	u := newUnpacker()
	for last := false; !last; {
		var batch []unpacked
		for size := 0; size < restoreBatch; {
			e, err := entries.Next()
			if last = errors.Is(err, io.EOF); last {
				break
			}
			if err != nil {
				return roster{}, err
			}
			one, err := u.unpack(e)
			if err != nil {
				return roster{}, fmt.Errorf("%w: %w", backup.ErrDamaged, err)
			}
			batch = append(batch, one)
			size += len(one.key) + len(one.value)
		}
		err := p.vault.Update(func(tx *vault.Tx) error {
			for _, one := range batch {
				if one.bucket == "" { // the settings
					continue
				}
				if err := one.of.in(tx).Put(one.bucket, one.key, one.value); err != nil {
					return err
				}
			}
			return nil
		})
		for _, one := range batch {
			clear(one.value)
		}
		if err != nil {
			return roster{}, err
		}
	}
	if err := u.end(); err != nil {
		return roster{}, fmt.Errorf("%w: %w", backup.ErrDamaged, err)
	}
	p.config = u.config
	return u.roster, nil
}

// settle stores the addresses to listen on.
func (p *Profile) settle() error {
	if len(p.config.Listen) == 0 {
		return nil
	}
	var owner *Profile // whose ports they name, if it is still there
	err := p.vault.Whole().View(func(tx *vault.Tx) error {
		r, err := readRoster(tx)
		for _, e := range r.Identities {
			if err == nil && e.first() {
				owner, err = p.as(tx, e)
			}
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case owner == nil: // deleted
		return p.forgetPorts()
	case owner.network == nil:
		return writeConfig(p.dir, p.config)
	}
	return owner.settleInvite()
}

// settleInvite stores the invite as it names the addresses to listen on with this node's key, as
// that of who has made the network does.
func (p *Profile) settleInvite() error {
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
