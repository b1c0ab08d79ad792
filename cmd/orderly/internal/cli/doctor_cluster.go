package cli

import (
	"context"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/cluster"
	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/orderly-go/orderly/cmd/orderly/internal/finding"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
)

func newDoctorCluster(s Streams) *cobra.Command {
	var (
		o      cluster.Options
		asJSON bool
		failOn string
	)
	cmd := &cobra.Command{
		Use:   "cluster [flags]",
		Short: "Check a running cluster: settings, replicas, groups, lag against retention, open transactions",
		Long: `cluster asks the brokers, and changes nothing: settings of brokers and topics, replicas in sync and eligible ones, features,
groups with type, assignor, state and instance ids, lag against retention, the producers that partitions remember, and
open transactions. Topics and groups are all that this user may see, unless they are named.

It works with whatever the user may do; a rule that needs more is listed as not checked, with the right that it needs:
Describe on topics and groups for most; DescribeConfigs on the cluster and on topics for settings; Read on topics for
producers, transactions, and the age of what groups have not read. It needs no right to write or alter.`,
		Example: `  orderly doctor cluster
  orderly doctor cluster --topics orders,payments --groups billing --fail-on warn
  orderly doctor cluster --json`,
		Args: noArgs,
	}
	f := cmd.Flags()
	conn := connect.AddFlags(f)
	f.StringSliceVar(&o.Topics, "topics", nil, "only these `topics`, whose order matters")
	f.StringSliceVar(&o.Groups, "groups", nil, "only these `groups`")
	f.DurationVar(&o.Window, "window", time.Hour, "a producer that wrote within this time is active")
	addReportFlags(f, &asJSON, &failOn)
	cmd.RunE = run(func(cmd *cobra.Command, _ []string) error {
		if o.Window <= 0 {
			return usagef("--window is %s: it must be above zero", o.Window)
		}
		return withClient(cmd, s, conn, failOn, func(ctx context.Context, cl *kgo.Client, _ *connect.Settings) (*finding.Report, error) {
			o.Now = time.Now()
			facts, err := cluster.Collect(ctx, cl, o)
			if err != nil {
				return nil, err
			}
			r := cluster.Check(facts)
			return &r.Report, write(s.Out, asJSON, r, r.Write)
		})
	})
	return cmd
}
