package cli

import "github.com/spf13/cobra"

func newProve(version string, s Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "prove",
		Short: "Find out whether order holds",
		Args:  knownCommand,
		RunE:  run(func(cmd *cobra.Command, _ []string) error { return cmd.Help() }),
	}
	cmd.AddCommand(newProveCheck(version, s), newProveProxy(s))
	return cmd
}
