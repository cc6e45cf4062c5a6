package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"chatnt/cli/repl"
	"chatnt/node"
	"chatnt/node/control"
)

// stopWithin is how long a node may take to end in order before it is left to
// the end of the process: everything that must last is on disk already.
const stopWithin = 2500 * time.Millisecond

type nodeFlags struct {
	common
	listen                   []string
	asJSON, headless, forget bool
}

func newNode(std stdio) *cobra.Command {
	f := &nodeFlags{common: common{std: std}}
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Run the node and its prompt",
		Long: `Run the node. It relays for others while it runs. In a terminal it has a prompt;
/help lists the commands there.

With --ephemeral it is that of an identity of its own, which waits for nothing: who sees
another of yours leave as it comes can guess that both are of one person.`,
		Example: `  chatnt node
  chatnt node --listen /ip4/0.0.0.0/tcp/4001
  echo '/msg bob hello' | chatnt node --json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := parseListen(f.listen); err != nil {
				return err
			}
			if f.forget && f.id != "" {
				return usageError{errors.New("--ephemeral makes an identity of its own: leave out --id")}
			}
			return f.run(cmd.Context())
		},
	}
	f.flags(cmd)
	cmd.Flags().StringArrayVar(&f.listen, "listen", nil, "address to listen on, such as /ip4/0.0.0.0/tcp/4001; may be repeated")
	cmd.Flags().Var(&f.id, "id", "the identity to use from now on (default: the one used last)")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "commands on standard input and events on standard output, one JSON object a line")
	cmd.Flags().BoolVar(&f.headless, "headless", false, "ignore standard input")
	cmd.Flags().BoolVar(&f.forget, "ephemeral", false, "a new identity that never touches the disk, in the profile's network")
	return cmd
}

func (f *nodeFlags) run(ctx context.Context) (err error) {
	p, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if p.Network() == nil {
		if err := f.firstRun(ctx, p); err != nil {
			return err
		}
	}
	dir, err := f.dir()
	if err != nil {
		return err
	}
	if f.forget {
		forgotten, err := p.Ephemeral()
		if err := errors.Join(err, p.Close()); err != nil {
			return err
		}
		p, dir = forgotten, ""
		if !f.asJSON {
			fmt.Fprintln(f.std.out, "This identity never touches the disk: it is gone when the node ends.")
		}
	}
	log := slog.New(slog.NewTextHandler(f.std.err, &slog.HandlerOptions{Level: slog.LevelError}))
	n, err := node.NewRunner(node.Config{Profile: p, Listen: f.listen, Log: log})
	if err != nil {
		return err
	}
	return runNode(ctx, n, func(ctx context.Context) error {
		if dir != "" {
			stop := serveSocket(ctx, n, dir, log)
			defer stop()
		}
		return f.talk(ctx, n)
	})
}

// serveSocket opens the control socket; the node runs without one if that fails.
func serveSocket(ctx context.Context, n control.Profile, dir string, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := control.Listen(ctx, n, dir); err != nil {
			log.Error("other commands cannot reach this node", "error", err)
		}
	}()
	return func() { cancel(); <-done }
}

// talk connects the node with whoever drives it, until that one has finished.
func (f *nodeFlags) talk(ctx context.Context, n control.Profile) error {
	switch {
	case f.asJSON && f.headless:
		return control.Drive(ctx, n, nil, f.std.out)
	case f.asJSON:
		return control.Drive(ctx, n, f.std.in, f.std.out)
	case f.headless:
		return repl.Run(ctx, n, nil, f.std.out)
	}
	return repl.Run(ctx, n, f.std.in, f.std.out)
}

// runNode runs a node for as long as talk does, and waits for the end of both:
// talk may have a terminal to put back in order.
func runNode(ctx context.Context, n interface{ Run(context.Context) error }, talk func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ran, talked := make(chan error, 1), make(chan error, 1)
	go func() { ran <- n.Run(ctx) }()
	go func() { talked <- talk(ctx) }()
	var (
		errs []error
		late <-chan time.Time
		over = ctx.Done()
	)
	for ran != nil || talked != nil {
		select {
		case err := <-ran:
			errs, ran = append(errs, err), nil
		case err := <-talked:
			errs, talked = append(errs, err), nil
		case <-over:
		case <-late:
			return errors.Join(errs...)
		}
		if over != nil {
			cancel() // one has ended: so does the other
			over, late = nil, time.After(stopWithin)
		}
	}
	return errors.Join(errs...)
}

// firstRun asks a person at a terminal for the network that a new profile lacks.
func (f *nodeFlags) firstRun(ctx context.Context, p *node.Profile) error {
	if f.asJSON || f.headless || !term.IsTerminal(int(f.std.in.Fd())) || !term.IsTerminal(int(f.std.out.Fd())) {
		return node.ErrNoNetwork
	}
	fmt.Fprint(f.std.out, "This profile has no network yet. Paste an invite: ")
	text, err := prompt(ctx, f.std.in, func() (string, error) { return repl.Ask(f.std.in) })
	if err != nil || text == "" {
		return node.ErrNoNetwork
	}
	invite, err := parseNetworkInvite(text)
	if err != nil {
		return err
	}
	if invite.Network.Hops < 3 {
		if err := f.confirmHops(ctx, invite.Network); err != nil {
			return err
		}
	}
	f.mentionPerson(invite)
	return p.SetNetwork(invite.Network, nil)
}
