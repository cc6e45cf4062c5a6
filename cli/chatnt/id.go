package main

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"chatnt/node"
	"chatnt/node/control"
)

func newID(std stdio) *cobra.Command {
	c := &common{std: std}
	var unlisted bool
	cmd := &cobra.Command{
		Use:   "id",
		Short: "Print your hashid, by which others find you",
		Long: `Print your hashid. With --unlisted it is not enough to find you, from the beginning: give
that before the node first runs, which else lists you within seconds. Then only who has
a link that /invite prints finds you.`,
		Example: `  chatnt id
  chatnt id --unlisted`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var id control.ID
			running, err := c.ask(cmd.Context(), "/id", &id, func(p *node.Profile) error {
				id.Hashid = p.Hashid().String()
				if unlisted {
					return p.BeginUnlisted(time.Now())
				}
				return nil
			})
			if err == nil && running && unlisted && id.Listed {
				err = errors.New("the node that runs has listed you: /set listed off takes that back, which shows for two weeks")
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(std.out, id.Hashid)
			return err
		},
	}
	c.flags(cmd)
	cmd.Flags().BoolVar(&unlisted, "unlisted", false, "have the hashid never be enough to find you; before the node first runs")
	return cmd
}

func newVersion(std stdio) *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the program's version",
		Example: "  chatnt version",
		Args:    exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			info, ok := debug.ReadBuildInfo()
			if !ok {
				return errors.New("this program was built without its version")
			}
			_, err := fmt.Fprintf(std.out, "chatnt %s %s\n", version, info.GoVersion)
			return err
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "ignored: the version is the program's")
	return cmd
}

// version is the program's own.
const version = "0.1.0"
