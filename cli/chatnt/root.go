package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// common are the flags of every command that works on a profile.
type common struct {
	std            stdio
	data           string
	passphraseFile string
	id             identityFlag // the identity to use from now on, where a command takes one
}

func (c *common) flags(cmd *cobra.Command) {
	cmd.Flags().Var((*pathFlag)(&c.data), "data", "directory of the profile (default $XDG_DATA_HOME/chatnt or ~/.local/share/chatnt)")
	cmd.Flags().Var((*pathFlag)(&c.passphraseFile), "passphrase-file", "file whose first line is the passphrase (default: $CHATNT_PASSPHRASE, or asked for)")
}

// pathFlag is a path that is not empty: a script whose variable is not set must
// not reach the person's own profile.
type pathFlag string

func (p *pathFlag) String() string { return string(*p) }
func (p *pathFlag) Type() string   { return "string" }

func (p *pathFlag) Set(s string) error {
	if s == "" {
		return errors.New("the path is empty")
	}
	*p = pathFlag(s)
	return nil
}

// dir returns the profile's directory.
func (c *common) dir() (string, error) {
	if c.data != "" {
		return filepath.Abs(c.data)
	}
	if xdg := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(xdg) {
		return filepath.Join(xdg, "chatnt"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", errors.New("there is no home directory for the profile: name one with --data DIR")
	}
	return filepath.Join(home, ".local", "share", "chatnt"), nil
}

func newRoot(std stdio) *cobra.Command {
	root := newNode(std)
	root.Use = "chatnt"
	root.Short = "Peer-to-peer chat for people who must not be traced"
	root.Long = `chatnt is a peer-to-peer chat node. Without a command it starts the node and its
prompt; on the first run in a terminal it asks for what it needs.`
	root.Example = `  chatnt demo                     try it: eight nodes on this machine
  chatnt network create family    make a network and print its invite
  chatnt network join INVITE      join one
  chatnt                          chat`
	root.AddCommand(newNode(std), newNetwork(std), newID(std), newSend(std), newStatus(std), newBackup(std), newRestore(std), newWipe(std), newDemo(std), newVersion(std))
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(newHelp(root))
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		what, _, _ := strings.Cut(err.Error(), ": strconv.") // the library quotes its parser
		return usageError{fmt.Errorf("%s: '%s --help' shows what there is", what, cmd.CommandPath())}
	})
	return root
}

// newHelp is cobra's, but that an unknown command is an error.
func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Show what a command does",
		Example: "  chatnt help network create",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, unknown, err := root.Find(args)
			if err != nil || len(unknown) > 0 {
				return usageError{fmt.Errorf("there is no command %q: 'chatnt --help' lists them", strings.Join(args, " "))}
			}
			return cmd.Help()
		},
	}
}

// exactArgs demands n arguments, named for the error.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usageError{fmt.Errorf("%s is missing: '%s --help' shows an example", names[len(args)], cmd.CommandPath())}
		case len(args) > len(names) && len(names) == 0 && cmd.HasSubCommands():
			return usageError{fmt.Errorf("there is no command %q: 'chatnt --help' lists them", args[0])}
		case len(args) > len(names):
			return usageError{fmt.Errorf("%q is one argument too many: '%s --help' shows an example", args[len(names)], cmd.CommandPath())}
		}
		return nil
	}
}

// arrange moves flags that stand before a subcommand behind it, so that every
// flag may stand anywhere: cobra wants a command's flags after its name.
func arrange(root *cobra.Command, args []string) []string {
	takesValue := make(map[string]bool)
	collect(root, takesValue)
	var path, flags []string
	cmd := root
	for len(args) > 0 {
		arg := args[0]
		if arg == "--" {
			break
		}
		if strings.HasPrefix(arg, "-") && arg != "-" {
			n := 1
			if name, _, has := strings.Cut(strings.TrimLeft(arg, "-"), "="); !has && takesValue[name] && len(args) > 1 {
				n = 2
			}
			flags = append(flags, args[:n]...)
			args = args[n:]
			continue
		}
		next := child(cmd, arg)
		if next == nil {
			break
		}
		cmd, path, args = next, append(path, arg), args[1:]
	}
	return append(append(path, flags...), args...)
}

func child(cmd *cobra.Command, name string) *cobra.Command {
	for _, c := range cmd.Commands() {
		if c.Name() == name {
			return c
		}
	}
	return nil
}

// collect notes which flags of a command and its children take a value.
func collect(cmd *cobra.Command, takesValue map[string]bool) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		takesValue[f.Name] = f.NoOptDefVal == ""
	})
	for _, c := range cmd.Commands() {
		collect(c, takesValue)
	}
}
