package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/term"

	"chatnt/node"
	"chatnt/node/vault"
)

const maxPassphrase = 4096

var errNoPassphrase = fmt.Errorf("%w: set CHATNT_PASSPHRASE, name a file with --passphrase-file, or run chatnt in a terminal",
	missingPassphrase{})

// missingPassphrase is a vault.ErrPassphrase with a sentence of its own.
type missingPassphrase struct{}

func (missingPassphrase) Error() string        { return "the passphrase is missing" }
func (missingPassphrase) Is(target error) bool { return target == vault.ErrPassphrase }

// open opens the profile, and makes it if there is none yet.
func (c *common) open() (*node.Profile, error) {
	dir, err := c.dir()
	if err != nil {
		return nil, err
	}
	passphrase, err := c.passphrase(!vault.Exists(filepath.Join(dir, "vault.db")))
	if err != nil {
		return nil, err
	}
	defer clear(passphrase)
	p, err := node.OpenProfile(dir, passphrase)
	if err != nil {
		return nil, fmt.Errorf("the profile in %s: %w", dir, err)
	}
	return p, nil
}

// passphrase gets the passphrase from a file, the environment or the terminal.
// A new one is asked for twice.
func (c *common) passphrase(isNew bool) ([]byte, error) {
	if c.passphraseFile != "" {
		raw, err := os.ReadFile(c.passphraseFile)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", missingPassphrase{}, err)
		}
		return checked(firstLine(raw))
	}
	if env, ok := os.LookupEnv("CHATNT_PASSPHRASE"); ok {
		return checked([]byte(env))
	}
	if !term.IsTerminal(int(c.std.in.Fd())) {
		return nil, errNoPassphrase
	}
	if !isNew {
		return c.ask("Passphrase: ")
	}
	fmt.Fprintln(c.std.err, "This makes a new profile. Its passphrase cannot be recovered: keep it well.")
	first, err := c.ask("New passphrase: ")
	if err != nil {
		return nil, err
	}
	again, err := c.ask("Once more: ")
	if err != nil {
		return nil, err
	}
	defer clear(again)
	if !bytes.Equal(first, again) {
		return nil, fmt.Errorf("%w: the two did not match", missingPassphrase{})
	}
	return first, nil
}

func (c *common) ask(prompt string) ([]byte, error) {
	fmt.Fprint(c.std.err, prompt)
	typed, err := term.ReadPassword(int(c.std.in.Fd()))
	fmt.Fprintln(c.std.err)
	if err != nil {
		return nil, errNoPassphrase
	}
	return checked(typed)
}

func firstLine(raw []byte) []byte {
	line, _, _ := bytes.Cut(raw, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r"))
}

func checked(passphrase []byte) ([]byte, error) {
	switch {
	case len(passphrase) == 0:
		return nil, errNoPassphrase
	case len(passphrase) > maxPassphrase:
		return nil, errors.Join(missingPassphrase{}, fmt.Errorf("a passphrase has at most %d bytes", maxPassphrase))
	}
	return passphrase, nil
}
