package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/term"

	"chatnt/node"
	"chatnt/node/vault"
)

const maxPassphrase = 4096

// passphraseError is a vault.ErrPassphrase with a sentence of its own.
type passphraseError string

func (e passphraseError) Error() string        { return string(e) }
func (e passphraseError) Is(target error) bool { return target == vault.ErrPassphrase }

const errNoPassphrase = passphraseError(
	"the passphrase is missing: set CHATNT_PASSPHRASE, name a file with --passphrase-file, or run chatnt in a terminal")

// open opens the profile, and makes it if there is none yet.
func (c *common) open(ctx context.Context) (*node.Profile, error) {
	dir, passphrase, err := c.credentials(ctx)
	if err != nil {
		return nil, err
	}
	defer clear(passphrase)
	return c.openIn(dir, passphrase)
}

// credentials returns what opens the profile.
func (c *common) credentials(ctx context.Context) (dir string, passphrase []byte, err error) {
	if dir, err = c.dir(); err != nil {
		return "", nil, err
	}
	passphrase, err = c.passphrase(ctx, !vault.Exists(filepath.Join(dir, "vault.db")))
	return dir, passphrase, err
}

// openIn opens the profile in dir.
func (c *common) openIn(dir string, passphrase []byte) (*node.Profile, error) {
	p, err := node.OpenProfileAs(dir, passphrase, string(c.id), node.Apart(time.Now()))
	switch {
	case errors.Is(err, vault.ErrPassphrase):
		return nil, fmt.Errorf("%w for the profile in %s: try again, or name another directory with --data", err, dir)
	case errors.Is(err, vault.ErrInUse):
		return nil, fmt.Errorf("%w, in %s: stop that one, or name another directory with --data", err, dir)
	case err != nil:
		return nil, fmt.Errorf("the profile in %s: %w", dir, err)
	}
	return p, nil
}

// passphrase gets the passphrase from a file, the environment or the terminal.
// A new one is asked for twice.
func (c *common) passphrase(ctx context.Context, isNew bool) ([]byte, error) {
	if c.passphraseFile != "" {
		line, err := readFirstLine(c.passphraseFile)
		if err != nil {
			return nil, passphraseError(fmt.Sprintf("the passphrase's file cannot be read: %v", err))
		}
		return checked(line)
	}
	if env, ok := os.LookupEnv("CHATNT_PASSPHRASE"); ok {
		return checked([]byte(env))
	}
	if !term.IsTerminal(int(c.std.in.Fd())) {
		return nil, errNoPassphrase
	}
	if !isNew {
		return c.askHidden(ctx, "Passphrase: ")
	}
	fmt.Fprintln(c.std.err, "This makes a new profile. Its passphrase cannot be recovered: keep it well.")
	return c.askNew(ctx, "New passphrase: ")
}

// askNew asks for a new passphrase twice.
func (c *common) askNew(ctx context.Context, question string) ([]byte, error) {
	first, err := c.askHidden(ctx, question)
	if err != nil {
		return nil, err
	}
	again, err := c.askHidden(ctx, "Once more: ")
	if err != nil {
		return nil, err
	}
	defer clear(again)
	if !bytes.Equal(first, again) {
		return nil, passphraseError("the two passphrases are not the same: try again")
	}
	return first, nil
}

func (c *common) askHidden(ctx context.Context, question string) ([]byte, error) {
	fmt.Fprint(c.std.err, question)
	typed, err := prompt(ctx, c.std.in, func() ([]byte, error) { return term.ReadPassword(int(c.std.in.Fd())) })
	fmt.Fprintln(c.std.err)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, errNoPassphrase
	}
	return checked(typed)
}

// readFirstLine reads no further into a file than a passphrase can be long: it may
// be a device without an end, or a pipe that stays open.
func readFirstLine(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewReaderSize(f, maxPassphrase+len("\r\n"))
	line, err := lines.ReadSlice('\n')
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return nil, err
	}
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), nil
}

func checked(passphrase []byte) ([]byte, error) {
	switch {
	case len(passphrase) == 0:
		return nil, errNoPassphrase
	case len(passphrase) > maxPassphrase:
		return nil, passphraseError(fmt.Sprintf("the passphrase is longer than %d bytes", maxPassphrase))
	}
	return passphrase, nil
}
