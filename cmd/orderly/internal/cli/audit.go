package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/audit"
	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/orderly-go/orderly/cmd/orderly/internal/finding"
	"github.com/orderly-go/orderly/internal/fieldpath"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
)

func newAudit(s Streams) *cobra.Command {
	var (
		o                        audit.Options
		seq, since, memory, html string
		partitions               []string
		asJSON, quiet            bool
		failOn                   string
	)
	cmd := &cobra.Command{
		Use:   "audit -t TOPIC [flags]",
		Short: "Read a topic's past: records out of order, duplicates, gaps, keys in two partitions",
		Long: `audit reads a topic once, from its beginning to its end as of now, and says where the order of its keys was broken, and by
which producers. Records are judged by a number of your own (--seq, --seq-header), which is one higher for each record of
a key; or by orderly's sequence headers, when none is named; or by their times. Keys in several partitions, records
without a key and replaced writers are found without a number. Transaction markers, aborted records and what compaction
takes are no faults. It joins no group and changes nothing.

What it knows of keys takes some 200 bytes for each; what does not fit into --memory goes to files. With --state it goes on where it was ended, or
where it came to: what is new since then is read, and judged with what was there before.

The user needs Describe and Read on the topic. With DescribeConfigs on it, gaps are told from compaction.

It ends with 3 when there are findings of the severity of --fail-on, 4 when there was no record, or none with a number, to
judge by, 2 when the topic has no such partition. With --json the result is one JSON object; docs/audit.md has its fields.`,
		Example: `  orderly audit -t orders --seq .version
  orderly audit -t orders --seq-header version --since 24h --json
  orderly audit -t orders --by-time --partitions 0,4-7 --html report.html
  orderly audit -t orders --seq .version --state orders.audit --memory 1GiB`,
		Args: noArgs,
	}
	f := cmd.Flags()
	conn := connect.AddFlags(f, connect.Topic)
	f.StringVar(&seq, "seq", "", "`path` of the number in the JSON value, as .order.version")
	f.StringVar(&o.Number.Header, "seq-header", "", "`name` of the header with the number: decimal digits, or 8 bytes, big-endian")
	f.BoolVar(&o.Number.ByTime, "by-time", false, "judge by the records' times")
	f.StringVar(&since, "since", "", "leave out what is older: a `time` as 2026-01-31T08:00:00Z, or a duration as 24h")
	f.StringSliceVar(&partitions, "partitions", nil, "only these: `0,4-7`")
	f.StringSliceVar(&o.Keys, "keys", nil, "only these `keys`")
	f.StringVar(&memory, "memory", "512MiB", "`size` that the process may take, about; what is known of keys beyond a third of it goes to files")
	f.StringVar(&o.Temp, "temp", "", "`folder` for what does not fit (default: the system's)")
	f.StringVar(&o.State, "state", "", "`file` to write the state to, and to go on from; spill files stand beside it")
	f.IntVar(&o.Limit, "limit", 1000, "examples of each kind in --json and --html")
	f.StringVar(&html, "html", "", "`file` for a page of the report")
	f.BoolVarP(&quiet, "quiet", "q", false, "no progress")
	addReportFlags(f, &asJSON, &failOn)
	cmd.RunE = run(func(cmd *cobra.Command, _ []string) error {
		if err := auditOptions(&o, seq, since, memory, partitions, time.Now()); err != nil {
			return err
		}
		return withClient(cmd, s, conn, failOn, func(ctx context.Context, cl *kgo.Client, set *connect.Settings) (*finding.Report, error) {
			o.Client, o.Topic = cl, set.Get(connect.Topic)
			states, end := audit.WithMemory(o.Memory)
			defer end()
			o.Memory = states
			if !quiet {
				o.Progress = func(p audit.Progress) { fmt.Fprintln(s.Err, auditProgress(p)) }
			}
			r, err := audit.Run(ctx, o)
			if err != nil {
				return nil, err
			}
			if html != "" {
				if err := writeFile(html, r.WriteHTML); err != nil {
					return nil, err
				}
			}
			if err := write(s.Out, asJSON, r, r.Write); err != nil {
				return nil, err
			}
			if r.Records == 0 {
				return nil, &codeError{code: exitInconclusive, text: "there is no record to judge: the topic is empty, or --since, --partitions or --keys leave none"}
			}
			if !r.Fails(failOn) && r.Numbered == 0 && (seq != "" || o.Number.Header != "") {
				return nil, &codeError{code: exitInconclusive, text: "no record has " + o.Number.String() + ": nothing is known of the order within keys"}
			}
			return &r.Report, nil
		}, connect.Topic)
	})
	return cmd
}

// auditOptions reads the flags that are text.
func auditOptions(o *audit.Options, seq, since, memory string, partitions []string, now time.Time) (err error) {
	ways := 0
	for _, given := range []bool{seq != "", o.Number.Header != "", o.Number.ByTime} {
		if given {
			ways++
		}
	}
	if ways > 1 {
		return usagef("--seq, --seq-header and --by-time exclude each other")
	}
	if seq != "" {
		p, err := fieldpath.Parse(seq)
		if err != nil {
			return usagef("--seq: %v", err)
		}
		o.Number.Field = &p
	}
	if since != "" {
		if d, err := time.ParseDuration(since); err == nil && d > 0 {
			o.Since = now.Add(-d)
		} else if o.Since, err = time.Parse(time.RFC3339, since); err != nil {
			return usagef("--since is %q: it must be a time like 2026-01-31T08:00:00Z, or a duration like 24h", since)
		}
	}
	if o.Partitions, err = audit.ParsePartitions(partitions); err != nil {
		return usagef("--partitions: %v", err)
	}
	if o.Memory, err = sizeOf(memory); err != nil {
		return usagef("--memory: %v", err)
	}
	if o.Memory < 64<<20 || o.Limit < 1 || o.Limit > 100_000 {
		return usagef("--memory is %s and --limit %d: they must be at least 64MiB, and from 1 to 100000", memory, o.Limit)
	}
	return nil
}

// sizeOf reads "512MiB".
func sizeOf(text string) (int64, error) {
	for _, u := range []struct {
		name string
		n    int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"", 1}} {
		if digits, ok := strings.CutSuffix(text, u.name); ok {
			n, err := strconv.ParseInt(digits, 10, 64)
			if err != nil || n < 0 || n > (1<<62)/u.n {
				return 0, fmt.Errorf("%q is no size: want one like 512MiB or 2GiB", text)
			}
			return n * u.n, nil
		}
	}
	return 0, nil // the last unit suits all
}

func auditProgress(p audit.Progress) string {
	share := 100.0
	if p.Total > 0 {
		share = 100 * float64(p.Done) / float64(p.Total)
	}
	line := fmt.Sprintf("audit: %.0f%% of %d offsets, %.0f records/s, %d violations so far", share, p.Total, float64(p.Records)/p.Took.Seconds(), p.Found)
	if p.Spilled > 0 {
		line += fmt.Sprintf(", %d MiB spilled", p.Spilled>>20)
	}
	return line
}

func writeFile(name string, to func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(to(f), f.Close())
}
