package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"chatnt/node"
	"chatnt/node/control"
	"chatnt/node/vault"
)

const (
	// busyWait is how long a profile may be in use while no node answers: one is
	// starting or ending, or another command is about to end.
	busyWait = 5 * time.Second
	// Opening keeps others out for as long as the passphrase takes to stretch:
	// those who try at the same pace would for ever be in each other's way.
	busyAgain = 500 * time.Millisecond // at most, at random
)

// ask has the running node carry out one line and decodes its answer into
// result; where none runs it calls offline with the opened profile instead.
func (c *common) ask(ctx context.Context, line string, result any, offline func(*node.Profile) error) (running bool, err error) {
	if running, err = c.askRunning(line, result); running || err != nil {
		return running, err
	}
	dir, passphrase, err := c.credentials(ctx)
	if err != nil {
		return false, err
	}
	defer clear(passphrase)
	for give := time.Now().Add(busyWait); ; {
		p, err := c.openIn(dir, passphrase)
		if err == nil {
			return false, errors.Join(offline(p), p.Close())
		}
		if !errors.Is(err, vault.ErrInUse) || time.Now().After(give) {
			return false, err
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(rand.N(busyAgain)): //nolint:gosec // nobody gains from guessing it
		}
		if running, err := c.askRunning(line, result); running || err != nil {
			return running, err
		}
	}
}

// askRunning is ask for a running node; false if none runs.
func (c *common) askRunning(line string, result any) (bool, error) {
	dir, err := c.dir()
	if err != nil {
		return false, err
	}
	err = control.Ask(dir, line, result)
	if errors.Is(err, control.ErrNotRunning) {
		return false, nil
	}
	return err == nil, err
}

// inNetwork is do for a profile that must belong to a network.
func inNetwork(do func(*node.Profile) error) func(*node.Profile) error {
	return func(p *node.Profile) error {
		if p.Network() == nil {
			return node.ErrNoNetwork
		}
		return do(p)
	}
}
