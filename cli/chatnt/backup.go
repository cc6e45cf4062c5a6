package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"chatnt/node/backup"
	"chatnt/node/vault"
)

// backupFlags are those of the commands that work on a profile and a backup.
type backupFlags struct {
	common
	sealFile string // with the backup's passphrase
}

func (f *backupFlags) flags(cmd *cobra.Command) {
	f.common.flags(cmd)
	cmd.Flags().Var((*pathFlag)(&f.sealFile), "backup-passphrase-file",
		"file whose first line is the backup's passphrase (default: asked for where the profile's is, else the same)")
}

func newBackup(std stdio) *cobra.Command {
	f := &backupFlags{common: common{std: std}}
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write the profile to a file, sealed under a passphrase",
		Long: `Write to a new FILE what the profile holds, sealed under a passphrase: all its identities,
each with network, contacts and requests, texts that were not delivered or not shown
yet, and history where it is kept, and the settings. End the node first.

Sessions are not in it: a restored profile begins each conversation anew, and the contacts
are told so. What comes in after the backup was made is confirmed to its sender, and
is in this profile only. To move to another machine, make the backup last, and never start
this profile again.

What is forgotten later, as by '/set ttl', stays in the FILE for as long as there is one.`,
		Example: `  chatnt backup chatnt.backup
  chatnt backup chatnt.backup --backup-passphrase-file secret`,
		Args: exactArgs("the FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" {
				return usageError{errors.New("the FILE's name is empty")}
			}
			return f.backup(cmd.Context(), args[0])
		},
	}
	f.flags(cmd)
	return cmd
}

func (f *backupFlags) backup(ctx context.Context, path string) (err error) {
	if vault.Exists(path) {
		return fmt.Errorf("%s is there already: name another file", path)
	}
	dir, err := f.dir()
	if err != nil {
		return err
	}
	if !vault.Exists(filepath.Join(dir, "vault.db")) {
		return fmt.Errorf("there is no profile in %s: name its directory with --data", dir)
	}
	passphrase, err := f.passphrase(ctx, false)
	if err != nil {
		return err
	}
	defer clear(passphrase)
	seal, err := f.sealPassphrase(ctx, passphrase, func() ([]byte, error) { return f.askNew(ctx, "New passphrase of the backup: ") })
	if err != nil {
		return err
	}
	defer clear(seal)
	p, err := f.openIn(dir, passphrase)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	err = writeNew(path, func(w io.Writer) error {
		m := f.meter(ctx, "Backing up", 0)
		defer m.end()
		return p.Backup(m.writer(w), seal)
	})
	if err == nil {
		fmt.Fprintf(f.std.err, "Backed up to %s.\n", path)
	}
	return err
}

// sealPassphrase returns the passphrase of a backup. ask is for who is asked for the profile's, too.
func (f *backupFlags) sealPassphrase(ctx context.Context, profile []byte, ask func() ([]byte, error)) ([]byte, error) {
	switch _, env := os.LookupEnv("CHATNT_PASSPHRASE"); {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case f.sealFile != "":
		line, err := readFirstLine(f.sealFile)
		if err != nil {
			return nil, passphraseError(fmt.Sprintf("the file with the backup's passphrase cannot be read: %v", err))
		}
		if len(line) == 0 {
			return nil, passphraseError("the backup's passphrase is missing: the first line of its file is empty")
		}
		return checked(line)
	case f.passphraseFile != "", env:
		return append([]byte(nil), profile...), nil
	}
	return ask()
}

// writeNew makes a file that appears whole or not at all, readable by its owner only, in place of
// none.
func writeNew(path string, fill func(io.Writer) error) error {
	temp, err := os.CreateTemp(filepath.Dir(path), backup.Temp) // mode 0600
	if err == nil {
		defer func() { _ = os.Remove(temp.Name()) }() // gone already if all went well
		if err = fill(temp); err == nil {
			err = temp.Sync()
		}
		if err = errors.Join(err, temp.Close()); err == nil {
			err = vault.Place(temp.Name(), path)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already: name another file", path)
	}
	if err != nil {
		return fmt.Errorf("%s cannot be written: %w", path, plain(err))
	}
	return nil
}

// plain leaves out the name of a file that nobody has asked for.
func plain(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}
