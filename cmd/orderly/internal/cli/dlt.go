package cli

import (
	"errors"
	"fmt"

	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/orderly-go/orderly/cmd/orderly/internal/plural"
	"github.com/orderly-go/orderly/cmd/orderly/internal/redrive"
	"github.com/spf13/cobra"
)

func newDLT(s Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dlt",
		Short: "Dead-letter topics: send their records back",
		Args:  knownCommand,
		RunE:  run(func(cmd *cobra.Command, _ []string) error { return cmd.Help() }),
	}
	cmd.AddCommand(newRedrive(s))
	return cmd
}

func newRedrive(s Streams) *cobra.Command {
	o := redrive.Options{Out: s.Out, Err: s.Err}
	cmd := &cobra.Command{
		Use:   "redrive -t TOPIC [flags]",
		Short: "Send dead letters back to their topic, in order per key",
		Long: `redrive sends each record of a dead-letter topic back to the topic that it came from, at that topic's end. Of one key
a dead letter goes back only when the one before it, in the dead-letter topic's order, was acknowledged: one that cannot
go back is held, and so are those of its key behind it; other keys go on. The command then ends with 1 and names them.

What was sent back is kept under the consumer group orderly-redrive.DLT: the next call goes on from there, and sends
nothing twice unless the command was killed between a write and its commit. It ends with what was there at its start.

A record that goes back says so in its headers (orderly-redriven-from, orderly-redriven-of, orderly-redrives); its sequence
headers are taken off. One that failed again is held from --max-redrives on, so that nothing goes round for ever.

--dry-run names what would go back, and what would be held, and changes nothing.`,
		Example: `  orderly dlt redrive -t orders --dry-run
  orderly dlt redrive -t orders --rate 100`,
		Args: noArgs,
	}
	f := cmd.Flags()
	conn := connect.AddFlags(f, connect.Topic)
	f.StringVar(&o.DLT, "dlt", "", "the dead-letter topic (default: TOPIC-dlt)")
	f.BoolVar(&o.DryRun, "dry-run", false, "say what would be sent back, and send nothing")
	f.IntVar(&o.Rate, "rate", 0, "records a second at the most (default: no limit)")
	f.IntVar(&o.MaxRedrives, "max-redrives", 1, "how often a record may be sent back")
	f.BoolVar(&o.AnyPartition, "any-partition", false, "also send records back whose key now belongs to another partition")
	cmd.RunE = run(func(cmd *cobra.Command, _ []string) (err error) {
		if f.Changed("rate") && o.Rate < 1 {
			return usagef("--rate is %d: it must be from 1 up", o.Rate)
		}
		if o.MaxRedrives < 1 {
			return usagef("--max-redrives is %d: it must be from 1 up", o.MaxRedrives)
		}
		set, err := resolve(conn, s.Err)
		if err != nil {
			return err
		}
		if err := need(set, cmd, connect.Topic); err != nil {
			return err
		}
		o.Topic = set.Get(connect.Topic)
		if o.DLT == "" {
			o.DLT = o.Topic + "-dlt"
		}
		if o.DLT == o.Topic {
			return usagef("--dlt is the topic itself")
		}
		if o.Cluster, err = set.Open(cmd.Context(), s.Err); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, o.Cluster.Close()) }()
		res, err := redrive.Run(cmd.Context(), o)
		for _, h := range res.Held {
			fmt.Fprintf(s.Err, "orderly: held: %s/%d/%d key %q: %s\n", o.DLT, h.Partition, h.Offset, h.Key, h.Why)
		}
		what := "sent back"
		if o.DryRun {
			what = "would be sent back"
		}
		if err != nil && res.Sent+res.Wait+len(res.Held) == 0 { // it did not begin: there is nothing to count
			return err
		}
		fmt.Fprintf(s.Err, "orderly: %s %s, %s held, %s\n", plural.Of(res.Sent, "record"), what, plural.Of(len(res.Held), "key"), plural.Of(res.Wait, "record")+plural.Verb(res.Wait, " waits", " wait")+" behind them")
		if res.Unrecorded > 0 {
			fmt.Fprintf(s.Err, "orderly: warning: of what was sent back the group's progress has no room to tell of %s: the next call sends that again; "+
				"see to the held keys first\n", plural.Of(res.Unrecorded, "record"))
		}
		switch {
		case err != nil:
			return err
		case cmd.Context().Err() != nil:
			return errInterrupted
		case len(res.Held) > 0:
			return fmt.Errorf("%s of %s %s held", plural.Of(len(res.Held), "key"), o.DLT, plural.Verb(len(res.Held), "is", "are"))
		}
		return nil
	})
	return cmd
}
