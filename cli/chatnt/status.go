package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"chatnt/cli/repl"
	"chatnt/node"
	"chatnt/node/control"
)

func newStatus(std stdio) *cobra.Command {
	c := &common{std: std}
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show how the node is doing",
		Long:    "Show how the running node is doing, or what its profile is when none runs.",
		Example: "  chatnt status",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var status control.Status
			running, err := c.ask(cmd.Context(), "/status", &status, inNetwork(func(p *node.Profile) error {
				status = p.Status()
				return nil
			}))
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(std.out).Encode(struct {
					Running bool `json:"running"`
					control.Status
				}{running, status})
			}
			if !running {
				fmt.Fprintln(std.out, "The node is not running.")
			}
			_, err = fmt.Fprint(std.out, repl.Status(status))
			return err
		},
	}
	c.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	return cmd
}
