package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"chatnt/node"
	"chatnt/node/vault"
)

func newWipe(std stdio) *cobra.Command {
	c := &common{std: std}
	var now bool
	cmd := &cobra.Command{
		Use:   "wipe",
		Short: "Destroy the profile, at once and for ever",
		Long: `Destroy the profile with all its identities, contacts and keys. It needs no
passphrase, and ends the node that runs on the profile. What a solid-state disk,
a snapshot or a backup keeps of the files is out of reach; without the keys, which
go first, it does not open.`,
		Example: `  chatnt wipe
  chatnt wipe --now`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := c.dir()
			if err != nil {
				return err
			}
			if !now {
				if err := c.confirmWipe(cmd.Context(), dir); err != nil {
					return err
				}
			}
			return c.wipe(dir)
		},
	}
	c.flags(cmd)
	cmd.Flags().BoolVar(&now, "now", false, "do not ask")
	return cmd
}

func (c *common) confirmWipe(ctx context.Context, dir string) error {
	if !term.IsTerminal(int(c.std.in.Fd())) {
		return usageError{errors.New("this destroys the profile and cannot be undone: 'chatnt wipe --now' does it without a question")}
	}
	fmt.Fprintf(c.std.err, "This destroys the profile in %s and cannot be undone. Do it? [y/N] ", dir)
	line, err := prompt(ctx, c.std.in, func() (string, error) {
		return bufio.NewReader(io.LimitReader(c.std.in, 64)).ReadString('\n')
	})
	if answer := strings.ToLower(strings.TrimSpace(line)); err != nil || (answer != "y" && answer != "yes") {
		return errors.New("nothing was destroyed")
	}
	return nil
}

// wipe has a running node destroy its profile, or else does it here.
func (c *common) wipe(dir string) error {
	if running, err := c.askRunning("/wipe -now", new(struct{})); running || err != nil {
		return err
	}
	err := node.Wipe(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no profile in %s", dir)
	case errors.Is(err, vault.ErrInUse):
		return fmt.Errorf("%w, in %s: stop that one first", err, dir)
	}
	return err
}
