package cli

import (
	"github.com/orderly-go/orderly/cmd/orderly/internal/localbroker"
	"github.com/spf13/cobra"
)

// newBroker is the embedded broker's command with our rules for errors.
func newBroker() *cobra.Command {
	cmd := localbroker.Command()
	serve := cmd.RunE
	cmd.Short = "Serve Kafka on this machine, with its data in a directory"
	cmd.RunE = run(func(cmd *cobra.Command, args []string) error { return serve(cmd, args) })
	cmd.Args = noArgs
	return cmd
}
