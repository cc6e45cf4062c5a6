package main

import (
	"context"
	"os"

	"golang.org/x/term"
)

// prompt reads an answer from a person at a terminal until ctx ends: a read
// cannot be called off, and whoever interrupts the program is not to wait for it.
// The read goes on in the background then, which the end of the program ends.
func prompt[T any](ctx context.Context, in *os.File, read func() (T, error)) (T, error) {
	type result struct {
		answer T
		err    error
	}
	before, _ := term.GetState(int(in.Fd())) // the reader may hide what is typed
	done := make(chan result, 1)
	go func() {
		answer, err := read()
		done <- result{answer, err}
	}()
	select {
	case r := <-done:
		return r.answer, r.err
	case <-ctx.Done():
		if before != nil {
			_ = term.Restore(int(in.Fd()), before)
		}
		var none T
		return none, ctx.Err()
	}
}
