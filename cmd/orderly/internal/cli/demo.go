package cli

import (
	"math/rand/v2"
	"os"
	"os/signal"

	"github.com/orderly-go/orderly/cmd/orderly/internal/demo"
	"github.com/spf13/cobra"
)

func newDemo(version string, s Streams) *cobra.Command {
	o := demo.Options{Version: version, Progress: s.Err}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the order kept through an outage, a kill -9, a rebalance and keys that fail for ever",
		Long: `demo sends a real change history through Kafka, keyed by file: each change of a file is valid only after the one before.
Two consumer processes apply the changes. For some seconds what they write to is down; later one process is killed (kill -9)
and replaced, one more joins and forces a rebalance, and some records fail twice before they succeed. The same records go through a naive consumer (a goroutine per record,
offsets committed automatically), which must break: it is the control. A table compares both. Then one key in a hundred
fails until its fault is mended: those keys are parked, the others go on beside a run without failures, the parked keys are
released by command, and the end is compared.

It needs nothing: the broker runs in this process, in memory, on the loopback interface. It takes about 25 seconds.

It exits with 0 when orderly kept every promise and the control broke, 3 when orderly did not keep them, 4 when the
control did not break. Of a run that does not end with 0 the histories and logs are kept, and it says where.

With --json the result is one JSON object on standard output: format (1), version, verdict (kept, violated, inconclusive),
reason, input, seed, partitions, seconds, saved (folder), and naive and orderly, each with records, keys,
order_violations, overlaps, lost, repeated_effects, repeats_allowed, retries, refused, committed_too_far,
other_violations, end_state_equal, end_state_differences, killed_pid, killed_running, joined_pid, seconds, stalled,
examples; orderly has outage, too, with skipped, seconds, breakers_opened, processes, attempts_failed, attempts_given_back,
attempts_burnt, attempts_while_open, attempts_on_their_way, probes, resumed_in_steps. parking has records, keys, faulty_keys,
records_parked, handed_over_behind_a_parked_record, parked_in_order, healthy_records_per_second, healthy_p99_seconds (both
also with _without_failures), release_seconds, overtakes, end_state_differences, stalled, parked_keys.`,
		Example: `  orderly demo
  orderly demo --seed 7 --partitions 12
  orderly demo --json > result.json
  orderly demo --input kafka-history.jsonl.gz --keep-logs /tmp/demo`,
		Args: noArgs,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("seed") {
				o.Seed = rand.Uint64N(1_000_000)
			}
			res, err := demo.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(s.Out, res)
			} else {
				err = res.Write(s.Out)
			}
			if err != nil {
				return err
			}
			return verdict(res)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&o.Input, "input", "", "a change history to use, .jsonl or .jsonl.gz, instead of the bundled sample (`file`)")
	f.Uint64Var(&o.Seed, "seed", 0, "decides how long each record takes and which fail (default: another one each time)")
	f.IntVar(&o.Partitions, "partitions", 6, "number of partitions of the topic")
	f.StringVar(&o.KeepLogs, "keep-logs", "", "keep histories and logs in this `folder`, also of a good run")
	f.BoolVar(&asJSON, "json", false, "print one JSON object instead of the table; progress still goes to standard error")
	return cmd
}

func verdict(r *demo.Result) error {
	text := "demo: " + r.Reason
	if r.Saved != "" {
		text += "; histories and logs are in " + r.Saved
	}
	switch r.Verdict {
	case demo.Violated:
		return &codeError{code: exitViolated, text: text}
	case demo.Inconclusive:
		return &codeError{code: exitInconclusive, text: text}
	}
	return nil
}

// newMember is how the demo starts its consumer processes. It is not for people.
func newMember(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:                demo.MemberCommand,
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: run(func(_ *cobra.Command, args []string) error {
			// Ctrl-C reaches all processes of a terminal; the demo decides when
			// this one stops.
			signal.Ignore(os.Interrupt)
			m, err := demo.ParseMember(args)
			if err != nil {
				return err
			}
			return m.Run(s.In, s.Out, s.Err)
		}),
	}
}
