package cli

import (
	"context"
	"errors"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/orderly-go/orderly/cmd/orderly/internal/finding"
	"github.com/orderly-go/orderly/cmd/orderly/internal/logcheck"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kgo"
)

func newDoctorLog(s Streams) *cobra.Command {
	var (
		o      logcheck.Options
		asJSON bool
		failOn string
	)
	cmd := &cobra.Command{
		Use:   "log -t TOPIC [flags]",
		Short: "What a topic's log shows about its writers: producer ids, gaps, partitioners, split keys",
		Long: `log reads a sample of a topic: of each partition the oldest and the newest records. The headers of the batches say whether
their writers are idempotent, whether a producer gave batches up, and whether batches are missing. Where keys stand says
which hash put them there, among how many partitions, and so which client wrote them; a key in two partitions is shown
with its proof. It changes nothing and joins no group. What it could not check or see is said at the end.

The user needs Describe and Read on the topic. With DescribeConfigs on it, L04 is checked too.`,
		Example: `  orderly doctor log -t orders
  orderly doctor log -t orders --sample 100000 --json
  orderly doctor log -t orders --fail-on warn`,
		Args: noArgs,
	}
	f := cmd.Flags()
	conn := connect.AddFlags(f, connect.Topic)
	f.IntVar(&o.Sample, "sample", 10_000, "records to read of each partition, half of them the oldest")
	f.DurationVar(&o.Window, "window", time.Hour, "a producer that wrote within this time is active")
	addReportFlags(f, &asJSON, &failOn)
	cmd.RunE = run(func(cmd *cobra.Command, _ []string) error {
		if o.Sample < 2 || o.Window <= 0 {
			return usagef("--sample is %d and --window %s: they must be at least 2, and above zero", o.Sample, o.Window)
		}
		return withClient(cmd, s, conn, failOn, func(ctx context.Context, cl *kgo.Client, set *connect.Settings) (*finding.Report, error) {
			o.Topic, o.Now = set.Get(connect.Topic), time.Now()
			facts, err := logcheck.Collect(ctx, cl, o)
			if err != nil {
				return nil, err
			}
			r := logcheck.Check(facts)
			if err := write(s.Out, asJSON, r, r.Write); err != nil {
				return nil, err
			}
			if r.Sample.Records == 0 {
				return nil, &codeError{code: exitInconclusive, text: "topic " + o.Topic + " has no record to look at"}
			}
			return &r.Report, nil
		}, connect.Topic)
	})
	return cmd
}

// addReportFlags adds the flags of commands that report findings.
func addReportFlags(f *pflag.FlagSet, asJSON *bool, failOn *string) {
	f.BoolVar(asJSON, "json", false, "print one JSON object")
	f.StringVar(failOn, "fail-on", finding.Error, "end with 3 when there is a finding of this severity or worse: error, warn, note")
}

// withClient connects, lets look report, and ends with exit code 3 when it found
// something as bad as failOn.
func withClient(cmd *cobra.Command, s Streams, conn *connect.Flags, failOn string,
	look func(context.Context, *kgo.Client, *connect.Settings) (*finding.Report, error), needs ...string) (err error) {
	if finding.Rank(failOn) < 0 {
		return usagef("--fail-on is %q: it must be error, warn or note", failOn)
	}
	set, err := resolve(conn, s.Err)
	if err != nil {
		return err
	}
	if err := need(set, cmd, needs...); err != nil {
		return err
	}
	cluster, err := set.Open(cmd.Context(), s.Err)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Close()) }()
	cl, err := cluster.Client()
	if err != nil {
		return err
	}
	defer cl.Close()
	began := time.Now()
	if err := reach(cmd.Context(), cl); err != nil {
		if cmd.Context().Err() != nil {
			return errInterrupted
		}
		return &connect.UnreachableError{Brokers: cluster.Brokers, Waited: time.Since(began), Err: err}
	}
	r, err := look(cmd.Context(), cl, set)
	switch {
	case cmd.Context().Err() != nil:
		return errInterrupted
	case err != nil:
		return err
	case r.Fails(failOn):
		return &codeError{code: exitViolated, text: "findings of severity " + failOn + " or worse"}
	}
	return nil
}

// reach waits until a broker answers.
func reach(ctx context.Context, cl *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return cl.Ping(ctx)
}
