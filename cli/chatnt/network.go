package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/multiformats/go-multiaddr"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"chatnt/cli/repl"
	"chatnt/discovery/network"
	"chatnt/node"
	"chatnt/node/control"
)

func newNetwork(std stdio) *cobra.Command {
	c := &common{std: std}
	cmd := &cobra.Command{
		Use:   "network",
		Short: "Create, join and show the network of a profile",
		Args:  exactArgs("a command (create, join, invite or show)"),
		RunE: func(_ *cobra.Command, args []string) error {
			return usageError{fmt.Errorf("there is no command %q: 'chatnt network --help' lists them", "network "+args[0])}
		},
	}
	c.flags(cmd) // so that a command that is missing is what the error names
	cmd.AddCommand(newNetworkCreate(std), newNetworkJoin(std), newNetworkInvite(std), newNetworkShow(std))
	return cmd
}

func newNetworkCreate(std stdio) *cobra.Command {
	c := &common{std: std}
	var (
		public bool
		hops   int
		listen []string
	)
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a network and print its invite",
		Long: `Make a network, private unless --public is given, and print the invite by which
others join it. Whoever has the invite of a private network can join: pass it on
by a way you trust.`,
		Example: `  chatnt network create family
  chatnt network create family --listen /ip4/0.0.0.0/tcp/4001`,
		Args: exactArgs("the network's NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := network.New(args[0], hops, public)
			if err != nil {
				return usageError{err}
			}
			addrs, err := parseListen(listen)
			if err != nil {
				return err
			}
			if err := node.CheckListen(n, addrs); err != nil {
				return usageError{err}
			}
			return c.create(cmd.Context(), n, addrs)
		},
	}
	c.flags(cmd)
	cmd.Flags().BoolVar(&public, "public", false, "anybody may join; QUIC as well as TCP")
	cmd.Flags().IntVar(&hops, "hops", 3, "relays that a message passes, 1 to 3")
	cmd.Flags().StringArrayVar(&listen, "listen", nil, "address to listen on, such as /ip4/0.0.0.0/tcp/4001 (default: a free port on all interfaces)")
	return cmd
}

// parseListen checks addresses to listen on.
func parseListen(listen []string) ([]multiaddr.Multiaddr, error) {
	var addrs []multiaddr.Multiaddr
	for _, s := range listen {
		a, err := node.ParseListen(s)
		if err != nil {
			return nil, usageError{err}
		}
		addrs = append(addrs, a)
	}
	return addrs, nil
}

// create stores a new network with fixed ports and prints its invite.
func (c *common) create(ctx context.Context, n *network.Network, addrs []multiaddr.Multiaddr) (err error) {
	p, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if known := p.Network(); known != nil {
		return fmt.Errorf("this profile belongs to the network %q already: name another directory with --data", known.Name)
	}
	if len(addrs) == 0 {
		if addrs, err = node.DefaultListen(n); err != nil {
			return err
		}
	}
	if addrs, err = node.FixPorts(addrs); err != nil {
		return err
	}
	if n.Bootstrap, err = p.BootstrapAddrs(addrs, n.Public); err != nil {
		return err
	}
	if len(n.Bootstrap) == 0 {
		return errors.New("none of the addresses to listen on can be reached by others: name one with --listen")
	}
	text, err := (&network.Invite{Network: n}).Text()
	if err != nil {
		return err
	}
	var listen []string
	for _, a := range addrs {
		listen = append(listen, a.String())
	}
	if err := p.SetNetwork(n, listen); err != nil {
		return err
	}
	if n.Hops < 3 {
		fmt.Fprintf(c.std.err, "Messages in this network pass %d of the usual 3 relays: a relay learns more about who talks to whom.\n", n.Hops)
	}
	return c.printInvite(text)
}

// printInvite prints an invite alone on standard output, and for people at a
// terminal a QR code on standard error.
func (c *common) printInvite(text string) error {
	if term.IsTerminal(int(c.std.err.Fd())) {
		if err := repl.PrintQR(c.std.err, strings.ToUpper(text)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(c.std.out, text)
	return err
}

func newNetworkJoin(std stdio) *cobra.Command {
	c := &common{std: std}
	cmd := &cobra.Command{
		Use:   "join INVITE",
		Short: "Join the network of an invite",
		Long: `Store the network of an invite in the profile. Nothing is dialled before the node
starts. Of an invite that is to a person as well, only the network is taken; '/add
INVITE NAME' in the running node asks the person to become a contact.`,
		Example: "  chatnt network join chatnt:qy...",
		Args:    exactArgs("the INVITE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			invite, err := parseNetworkInvite(args[0])
			if err != nil {
				return err
			}
			return c.join(cmd.Context(), invite)
		},
	}
	c.flags(cmd)
	return cmd
}

func parseNetworkInvite(text string) (*network.Invite, error) {
	invite, err := network.ParseInvite(text)
	if err != nil {
		return nil, usageError{err}
	}
	if invite.Network == nil {
		return nil, usageError{errors.New("this invite names a person, but no network to join: '/add INVITE NAME' in a running node asks the person to become a contact")}
	}
	return invite, invite.Network.CheckTime(time.Now())
}

func (c *common) join(ctx context.Context, invite *network.Invite) (err error) {
	n := invite.Network
	p, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if known := p.Network(); known != nil && known.ID() != n.ID() {
		return fmt.Errorf("this profile belongs to the network %q already: name another directory with --data", known.Name)
	}
	if n.Hops < 3 {
		if err := c.confirmHops(ctx, n); err != nil {
			return err
		}
	}
	if err := p.SetNetwork(n, nil); err != nil {
		return err
	}
	fmt.Fprintf(c.std.err, "Joined %s. Start the node with 'chatnt'.\n", repl.Inline(n.Name))
	c.mentionPerson(invite)
	return nil
}

// mentionPerson says that an invite whose network was taken is to somebody as well.
func (c *common) mentionPerson(invite *network.Invite) {
	if !invite.Person.IsZero() {
		fmt.Fprintln(c.std.err, "There is a person in the invite, too: once the node runs, '/add INVITE NAME' asks them to become a contact.")
	}
}

// confirmHops asks a person at a terminal, and warns a script, that a network
// hides less than usual.
func (c *common) confirmHops(ctx context.Context, n *network.Network) error {
	fmt.Fprintf(c.std.err, "Messages in %s pass %d of the usual 3 relays: a relay learns more about who talks to whom.\n", repl.Inline(n.Name), n.Hops)
	if !term.IsTerminal(int(c.std.in.Fd())) {
		return nil
	}
	fmt.Fprint(c.std.err, "Join all the same? [y/N] ")
	line, err := prompt(ctx, c.std.in, func() (string, error) {
		return bufio.NewReader(io.LimitReader(c.std.in, 64)).ReadString('\n')
	})
	if answer := strings.ToLower(strings.TrimSpace(line)); err != nil || (answer != "y" && answer != "yes") {
		return errors.New("not joined")
	}
	return nil
}

func newNetworkInvite(std stdio) *cobra.Command {
	c := &common{std: std}
	cmd := &cobra.Command{
		Use:   "invite",
		Short: "Print an invite to the profile's network",
		Long: `Print an invite to the profile's network, and to nobody in it. A running node names
addresses by which others can join now; otherwise it is the invite of the last time.
One that is to you as well is printed by /invite in the running node.`,
		Example: "  chatnt network invite",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var answer control.Invite
			_, err := c.ask(cmd.Context(), "/invite network", &answer, inNetwork(func(p *node.Profile) (err error) {
				answer.Invite, err = (&network.Invite{Network: p.Network()}).Text()
				return err
			}))
			if err != nil {
				return err
			}
			return c.printInvite(answer.Invite)
		},
	}
	c.flags(cmd)
	return cmd
}

func newNetworkShow(std stdio) *cobra.Command {
	c := &common{std: std}
	cmd := &cobra.Command{
		Use:     "show",
		Short:   "Show the profile's network",
		Example: "  chatnt network show",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var status control.Status
			_, err := c.ask(cmd.Context(), "/status", &status, inNetwork(func(p *node.Profile) error {
				status = p.Status()
				return nil
			}))
			if err != nil {
				return err
			}
			return c.showNetwork(status)
		},
	}
	c.flags(cmd)
	return cmd
}

func (c *common) showNetwork(s control.Status) error {
	kind := "private"
	if s.Public {
		kind = "public"
	}
	_, err := fmt.Fprintf(c.std.out, "name  %s\nid    %s\nkind  %s\nhops  %d\n", repl.Inline(s.Network), s.NetworkID, kind, s.Hops)
	return err
}
