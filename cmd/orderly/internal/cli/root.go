// Package cli is the command line of orderly: commands, flags, exit codes. What
// the commands do is in packages of their own.
package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/spf13/cobra"
)

// Streams are what a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Run runs the command line and gives the exit code.
func Run(ctx context.Context, version string, args []string, s Streams) int {
	root := newRoot(version, s)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil {
		fmt.Fprintln(s.Err, errorText(err))
		if !is[*commandError](err) {
			fmt.Fprintf(s.Err, "See \"%s --help\".\n", cmd.CommandPath())
		}
	}
	return exitCode(err)
}

func newRoot(version string, s Streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "orderly",
		Short: "Order per key for Apache Kafka: see it, check it",
		Long: `orderly is a Go library that has the records of a Kafka key processed strictly one after the other, thousands of keys
side by side, through retries, crashes and rebalances. This command shows it.

` + exitHelp,
		Example: `  orderly demo              see the order kept through a kill -9 and a rebalance; needs nothing
  orderly broker --data ./kafka --topic orders:8
                            a Kafka for this machine
  orderly produce -t orders --key .customer.id orders.jsonl
                            JSON lines in, records in order per key out
  orderly consume -t orders -g billing -- python3 worker.py
                            one worker call after the other for each key
  orderly status -g billing how far a group is, and what is blocked
  orderly explain 45        what an error, or a log, means for the order of records
  orderly doctor config .   what in these files breaks order
  orderly audit -t orders --seq .version
                            where the order of a topic was broken, and by whom
  orderly config            how commands connect, and why
  orderly version --json    which version is this`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          knownCommand,
		RunE:          run(func(cmd *cobra.Command, _ []string) error { return cmd.Help() }),
	}
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.AddCommand(newDemo(version, s), newProduce(s), newConsume(s), newProve(version, s), newDoctor(s), newExplain(s), newAudit(s))
	root.AddCommand(newStatus(s), newKeys(s), newPause(s, "pause"), newPause(s, "resume"), newDLT(s), newSetup(s), newOffsets(s), newStore(s), newBroker(), newConfig(s), newVersion(version, s), newMember(s), newProveMember(s))
	root.InitDefaultCompletionCmd()
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		c.RunE = run(func(cmd *cobra.Command, _ []string) error { return cmd.Help() })
		c.Args = knownCommand
	}
	root.SetHelpCommand(newHelp())
	return root
}

// run marks what a command returns, so that it is not taken for a wrong usage.
func run(fn func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := fn(cmd, args); err != nil {
			return &commandError{connect.Unreachable(err)}
		}
		return nil
	}
}

// knownCommand refuses arguments of a command that only has commands.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if cmd.SuggestionsMinimumDistance <= 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return usagef("unknown command %q of %q%s", args[0], cmd.CommandPath(), hint)
}

// noArgs refuses arguments by name.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%q takes no arguments, but got %q", cmd.CommandPath(), args[0])
	}
	return nil
}

// newHelp is cobra's help command, except that an unknown topic is an error.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Help about a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usagef("unknown command %q", strings.Join(args, " "))
			}
			about.InitDefaultHelpFlag()
			if err := about.Help(); err != nil {
				return &commandError{err}
			}
			return nil
		},
	}
}
