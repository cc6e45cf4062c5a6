package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/multiformats/go-multiaddr"
	"github.com/spf13/cobra"

	"chatnt/cli/repl"
	"chatnt/discovery/network"
	"chatnt/node"
	"chatnt/node/control"
)

const (
	demoNodes  = 8
	demoListen = "/ip4/127.0.0.1/tcp/0"

	// scriptWait is how long a script's messages may take to be answered.
	scriptWait = 10 * time.Second
)

func newDemo(std stdio) *cobra.Command {
	var (
		asJSON bool
		script string
		data   string
	)
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Try it: eight nodes on this machine, and a prompt",
		Long: `Run a private network of eight nodes on this machine, inside one process, with a
prompt as alice. Bob is a contact who echoes. Everything is real but that nothing
leaves this machine and nothing is kept.`,
		Example: `  chatnt demo
  > @bob hello`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := &demo{std: std, asJSON: asJSON}
			if script != "" {
				file, err := os.Open(script)
				if err != nil {
					return usageError{fmt.Errorf("the script cannot be read: %w", err)}
				}
				defer func() { _ = file.Close() }()
				d.script = control.NewLines(file)
			}
			return d.run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "commands on standard input and events on standard output, one JSON object a line")
	cmd.Flags().StringVar(&script, "script", "", "file with the commands to carry out, a line each; ends when its messages are answered")
	cmd.Flags().StringVar(&data, "data", "", "ignored: a demo keeps nothing")
	return cmd
}

type demo struct {
	std    stdio
	asJSON bool
	script *control.Lines // nil: a person or a program types
}

// run starts the nodes and hands alice's to the person.
func (d *demo) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	nodes, err := demoNetwork()
	if err != nil {
		return err
	}
	alice, bob := nodes[0], nodes[1]
	failed := make(chan error, len(nodes))
	for _, n := range nodes[1:] {
		wg.Go(func() {
			if err := n.Run(ctx); err != nil {
				failed <- err
				cancel()
			}
		})
	}
	for _, n := range nodes[2:] {
		wg.Go(func() { ignoreEvents(ctx, n) })
	}
	wg.Go(func() { echo(ctx, bob) })
	err = runNode(ctx, alice, func(ctx context.Context) error { return d.talk(ctx, alice) })
	cancel()
	select {
	case broken := <-failed:
		return errors.Join(err, broken)
	default:
		return err
	}
}

// demoNetwork assembles the nodes of a new private network on loopback, alice's
// and bob's first. All but the last know where the last will listen, as if they
// had its invite.
func demoNetwork() ([]*node.Node, error) {
	net, err := network.New("demo", 3, false)
	if err != nil {
		return nil, err
	}
	listen, err := node.ParseListen(demoListen)
	if err != nil {
		return nil, err
	}
	fixed, err := node.FixPorts([]multiaddr.Multiaddr{listen})
	if err != nil {
		return nil, err
	}
	last, err := node.Ephemeral(net, []string{fixed[0].String()})
	if err != nil {
		return nil, err
	}
	if net.Bootstrap, err = last.BootstrapAddrs(fixed, false); err != nil {
		return nil, err
	}
	var profiles []*node.Profile
	for range demoNodes - 1 {
		p, err := node.Ephemeral(net, []string{demoListen})
		if err != nil {
			return nil, err
		}
		profiles = append(profiles, p)
	}
	alice, bob := profiles[0], profiles[1]
	if err := errors.Join(alice.Introduce(bob.Hashid(), "bob"), bob.Introduce(alice.Hashid(), "alice")); err != nil {
		return nil, err
	}
	var nodes []*node.Node
	for _, p := range append(profiles, last) {
		n, err := node.New(node.Config{Profile: p, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

func ignoreEvents(ctx context.Context, n *node.Node) {
	for {
		if _, err := n.Next(ctx); err != nil {
			return
		}
	}
}

// echo is bob: he repeats what he is told.
func echo(ctx context.Context, bob *node.Node) {
	for {
		e, err := bob.Next(ctx)
		if err != nil {
			return
		}
		if m, ok := e.(control.MessageReceived); ok {
			_, _ = bob.Send(m.From, m.Text) // too many at once stay unanswered
		}
	}
}

// talk connects alice with the person or the script.
func (d *demo) talk(ctx context.Context, alice *node.Node) error {
	switch {
	case d.script != nil:
		return d.play(ctx, alice)
	case d.asJSON:
		return control.Drive(ctx, alice, d.std.in, d.std.out)
	}
	fmt.Fprintln(d.std.out, "Eight nodes run on this machine. You are alice; bob repeats what you tell him: @bob hello")
	return repl.Run(ctx, alice, d.std.in, d.std.out)
}

// play carries out a script, a line at a time: the next one when what the line
// before sent has been delivered and bob has answered it.
func (d *demo) play(ctx context.Context, alice *node.Node) error {
	out := d.printer()
	s := control.NewDialogue(alice)
	ready := false
	undelivered, unanswered := 0, 0
	timeout := time.NewTimer(scriptWait)
	defer timeout.Stop()
	for {
		for ready && undelivered == 0 && unanswered == 0 {
			if s.Over() {
				return nil
			}
			line, err := d.script.Next()
			var long *control.LineTooLongError
			switch {
			case errors.Is(err, io.EOF):
				return nil
			case errors.As(err, &long):
				if err := out.outcome(long.Prefix, nil, err); err != nil {
					return err
				}
				continue
			case err != nil:
				return err
			case strings.TrimSpace(line) == "":
				continue
			}
			result, err := s.Execute(line)
			if _, sent := result.(control.Stored); sent {
				undelivered, unanswered = 1, 1
				timeout.Reset(scriptWait)
			}
			if err := out.outcome(line, result, err); err != nil {
				return err
			}
		}
		e, err := nextBefore(ctx, alice, timeout)
		if err != nil {
			return err
		}
		if err := out.event(e); err != nil {
			return err
		}
		switch e := e.(type) {
		case control.Ready:
			ready = true
		case control.MessageReceived:
			unanswered = 0
		case control.StatusChanged:
			if e.State == control.Delivered {
				undelivered = 0
			}
		}
	}
}

// printer shows a script's events and outcomes as JSON or to a person.
type printer struct {
	json *control.Writer // nil: to a person
	text io.Writer
}

func (d *demo) printer() printer {
	if d.asJSON {
		return printer{json: control.NewWriter(d.std.out)}
	}
	return printer{text: d.std.out}
}

func (p printer) event(e control.Event) error {
	if p.json != nil {
		return p.json.Event(e)
	}
	return p.line(repl.Event(e))
}

func (p printer) outcome(line string, result any, failed error) error {
	switch {
	case p.json != nil && failed != nil:
		return p.json.Error(line, failed)
	case p.json != nil:
		return p.json.Done(line, result)
	case failed != nil:
		return errors.Join(p.line("> "+repl.Inline(line)), p.line("error: "+repl.Inline(failed.Error())))
	}
	return errors.Join(p.line("> "+repl.Inline(line)), p.line(repl.Result(result)))
}

func (p printer) line(text string) error {
	if text == "" {
		return nil
	}
	_, err := fmt.Fprintln(p.text, text)
	return err
}

// nextBefore waits for an event until a deadline fires.
func nextBefore(ctx context.Context, n *node.Node, deadline *time.Timer) (control.Event, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	late := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-deadline.C:
			close(late)
			cancel()
		case <-ctx.Done():
		}
	}()
	e, err := n.Next(ctx)
	cancel()
	<-done
	select {
	case <-late:
		return nil, fmt.Errorf("a message of the script was not answered within %v", scriptWait)
	default:
		return e, err
	}
}
