package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"chatnt/node"
	"chatnt/node/control"
	"chatnt/node/vault"
)

func newWipe(std stdio) *cobra.Command {
	c := &common{std: std}
	var now bool
	cmd := &cobra.Command{
		Use:   "wipe",
		Short: "Destroy the profile, at once and for ever",
		Long: `Destroy the profile with all its identities, contacts and keys. It needs no
passphrase, and ends the node that runs on the profile. One that does not answer within
a few seconds, being stopped or hung, is not waited for: the keys are destroyed in the
file that it has open, and the file is removed; the process keeps them in its memory
until it goes on, which ends it, or is killed. What a solid-state disk,
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
			return c.wipe(cmd.Context(), dir)
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

// The times that are waited for others: whoever destroys a profile has no more.
const (
	wipeAnswer = 2 * time.Second // for a running node to do it
	wipeWait   = time.Second     // for a process to end that has the profile open
	wipeAgain  = 50 * time.Millisecond
)

// wipe has a running node destroy its profile, or else does it here.
func (c *common) wipe(ctx context.Context, dir string) error {
	told := control.AskWithin(dir, "/wipe -now", wipeAnswer, new(struct{}))
	if told == nil {
		return nil
	}
	answered := !errors.Is(told, control.ErrNotRunning) && !errors.Is(told, control.ErrNoAnswer)
	switch err := wipeHere(ctx, dir); {
	case errors.Is(err, fs.ErrNotExist) && answered:
		return told // it has destroyed the keys, and says what is left
	case errors.Is(err, fs.ErrNotExist) && errors.Is(told, control.ErrNotRunning):
		return fmt.Errorf("there is no profile in %s", dir)
	case errors.Is(err, fs.ErrNotExist): // it has ended as it did it
		return nil
	default:
		return err
	}
}

// wipeHere destroys a profile, also one that a process has open which does not end.
func wipeHere(ctx context.Context, dir string) error {
	for late := time.Now().Add(wipeWait); ; {
		err := node.Wipe(dir)
		if !errors.Is(err, vault.ErrInUse) {
			return err
		}
		if time.Now().After(late) {
			return node.WipeInUse(dir)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wipeAgain):
		}
	}
}
