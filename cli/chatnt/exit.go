package main

import (
	"errors"

	"chatnt/cli/repl"
	"chatnt/discovery/network"
	"chatnt/node"
	"chatnt/node/backup"
	"chatnt/node/contact"
	"chatnt/node/vault"
)

// The exit codes of the contract.
const (
	exitDone        = 0
	exitError       = 1
	exitUsage       = 2
	exitQueued      = 3
	exitNoNetwork   = 4
	exitPassphrase  = 5
	exitUnverified  = 6
	exitInterrupted = 130
)

// usageError is a command line that does not parse.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// exitCode maps an error to the exit code of the contract, here and nowhere else.
func exitCode(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, repl.ErrInterrupt):
		return exitInterrupted
	case errors.Is(err, network.ErrVersion), errors.Is(err, network.ErrExpired):
		return exitError // the invite is well written, but of no use
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, node.ErrNoNetwork):
		return exitNoNetwork
	case errors.Is(err, vault.ErrPassphrase), errors.Is(err, backup.ErrPassphrase):
		return exitPassphrase
	case errors.Is(err, contact.ErrKeyChanged), errors.Is(err, contact.ErrUnverified):
		return exitUnverified
	case errors.As(err, new(queuedError)):
		return exitQueued
	}
	return exitError
}
