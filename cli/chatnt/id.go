package main

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"

	"chatnt/node/control"
)

func newID(std stdio) *cobra.Command {
	c := &common{std: std}
	cmd := &cobra.Command{
		Use:     "id",
		Short:   "Print your hashid, by which others find you",
		Example: "  chatnt id",
		Args:    exactArgs(),
		RunE: func(*cobra.Command, []string) (err error) {
			var id control.ID
			ok, err := c.ask1("/id", &id)
			if err != nil {
				return err
			}
			if !ok {
				p, err := c.open()
				if err != nil {
					return err
				}
				id.Hashid = p.Hashid().String()
				if err := p.Close(); err != nil {
					return err
				}
			}
			_, err = fmt.Fprintln(std.out, id.Hashid)
			return err
		},
	}
	c.flags(cmd)
	return cmd
}

func newVersion(std stdio) *cobra.Command {
	return &cobra.Command{
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
}

// version is the program's own.
const version = "0.1.0"
