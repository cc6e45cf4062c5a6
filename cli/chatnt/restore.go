package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"chatnt/node"
	"chatnt/node/vault"
)

func newRestore(std stdio) *cobra.Command {
	f := &backupFlags{common: common{std: std}}
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a profile of a backup",
		Long: `Make a new profile of the backup in FILE, under a passphrase of its own, where none is. It has
the identities, contacts and texts of the old one, and other nodes.

Start it only if the old one will never be started again: two that run take each other's
messages. Texts that came to the old one after the backup was made are not in it. Each
contact is told that the conversation goes on under new keys, and what either side has
waiting goes out then.`,
		Example: `  chatnt restore chatnt.backup
  chatnt restore chatnt.backup --data /mnt/profile --backup-passphrase-file secret`,
		Args: exactArgs("the FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" {
				return usageError{errors.New("the FILE's name is empty")}
			}
			return f.restore(cmd.Context(), args[0])
		},
	}
	f.flags(cmd)
	return cmd
}

func (f *backupFlags) restore(ctx context.Context, path string) error {
	dir, err := f.dir()
	if err != nil {
		return err
	}
	if vault.Exists(filepath.Join(dir, "vault.db")) {
		return profileThere(dir)
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a file")
	}
	if err != nil {
		return fmt.Errorf("%s cannot be read: %w", path, plain(err))
	}
	seal, passphrase, err := f.restorePassphrases(ctx)
	if err != nil {
		return err
	}
	defer clear(seal)
	defer clear(passphrase)
	in, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%s cannot be read: %w", path, plain(err))
	}
	defer func() { _ = in.Close() }()
	m := f.meter(ctx, "Restoring", info.Size())
	err = node.Restore(dir, m.reader(in), passphrase, seal)
	m.end()
	switch {
	case errors.Is(err, fs.ErrExist):
		return profileThere(dir)
	case err != nil:
		return fmt.Errorf("%s cannot be restored: %w", path, err)
	}
	fmt.Fprintf(f.std.err, "Restored to %s. Never start the old profile again. Start the node with 'chatnt'.\n", dir)
	return nil
}

// restorePassphrases returns the backup's, which a person is asked for first, and the new profile's.
func (f *backupFlags) restorePassphrases(ctx context.Context) (seal, passphrase []byte, err error) {
	seal, err = f.sealPassphrase(ctx, nil, func() ([]byte, error) {
		if !term.IsTerminal(int(f.std.in.Fd())) {
			return nil, errNoPassphrase
		}
		return f.askHidden(ctx, "Passphrase of the backup: ")
	})
	if err != nil {
		return nil, nil, err
	}
	passphrase, err = f.passphrase(ctx, true)
	if len(seal) == 0 {
		seal = append(seal, passphrase...)
	}
	return seal, passphrase, err
}

func profileThere(dir string) error {
	return fmt.Errorf("there is a profile already in %s: name another directory with --data", dir)
}
