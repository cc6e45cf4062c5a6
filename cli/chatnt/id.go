package main

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"

	"chatnt/node"
	"chatnt/node/control"
)

func newID(std stdio) *cobra.Command {
	c := &common{std: std}
	cmd := &cobra.Command{
		Use:     "id",
		Short:   "Print your hashid, by which others find you",
		Example: "  chatnt id",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			var id control.ID
			_, err = c.ask(cmd.Context(), "/id", &id, func(p *node.Profile) error {
				id.Hashid = p.Hashid().String()
				return nil
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(std.out, id.Hashid)
			return err
		},
	}
	c.flags(cmd)
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
