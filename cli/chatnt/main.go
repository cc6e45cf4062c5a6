// Command chatnt is a peer-to-peer chat node: client, relay and bootstrap node
// in one.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"chatnt/cli/repl"
	"chatnt/node"
)

func main() {
	node.Quiet()
	// SIGINT stops everything with 130; SIGTERM is an orderly stop.
	interrupted, stopInt := signal.NotifyContext(context.Background(), os.Interrupt)
	ctx, stopTerm := signal.NotifyContext(interrupted, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	code := exitCode(err)
	if interrupted.Err() != nil {
		code = exitInterrupted
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = errStopped
	}
	stopTerm()
	stopInt()
	if err != nil && code != exitInterrupted {
		fmt.Fprintf(os.Stderr, "chatnt: %s\n", repl.Inline(err.Error())) // one line, whatever is quoted in it
	}
	os.Exit(code)
}

var errStopped = errors.New("stopped before it was done")

// stdio is what a command reads and writes.
type stdio struct{ in, out, err *os.File }

// run carries out one command line.
func run(ctx context.Context, args []string, std stdio) error {
	root := newRoot(std)
	root.SetArgs(arrange(root, args))
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	return root.ExecuteContext(ctx)
}
