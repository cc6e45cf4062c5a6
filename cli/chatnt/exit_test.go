package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"chatnt/cli/repl"
	"chatnt/discovery/network"
	"chatnt/node"
	"chatnt/node/contact"
	"chatnt/node/vault"
)

func TestExitCodes(t *testing.T) {
	for err, want := range map[error]int{
		nil:                            0,
		errors.New("x"):                1,
		context.Canceled:               1,
		usageError{errors.New("x")}:    2,
		usageError{network.ErrExpired}: 1,
		queuedError("x"):               3,
		node.ErrNoNetwork:              4,
		vault.ErrPassphrase:            5,
		errNoPassphrase:                5,
		contact.ErrKeyChanged:          6,
		contact.ErrUnverified:          6,
		repl.ErrInterrupt:              130,
	} {
		if err != nil {
			err = fmt.Errorf("what it means: %w", err)
		}
		if got := exitCode(err); got != want {
			t.Errorf("%v exits with %d, want %d", err, got, want)
		}
	}
}
