package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/orderly-go/orderly/cmd/orderly/internal/consume"
	"github.com/orderly-go/orderly/cmd/orderly/internal/plural"
	"github.com/orderly-go/orderly/cmd/orderly/internal/produce"
	"github.com/orderly-go/orderly/internal/fieldpath"
	"github.com/spf13/cobra"
)

// What the commands run; tests see what the flags have made of it.
var (
	runProduce = produce.Run
	runConsume = consume.Run
)

func newProduce(s Streams) *cobra.Command {
	o := produce.Options{In: s.In, Err: s.Err}
	var key, value string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "produce -t TOPIC --key .path [flags] [FILE...|-]",
		Short: "Send JSON lines as records, in order per key",
		Long: `produce reads JSON lines from files, or standard input, and sends each as a record with the key that --key finds in it.
The records of a key are in the topic in the order of the lines, or an error says so: when one is not written, nothing of
its key is written behind it, and the command ends.

A path looks like .order.lines[0].id; ."name with spaces" for other names. A key that is a number is written in one way
(1, 1.0 and 10e-1 are the key 1). A line whose key is missing, null, empty, an object or a list is refused.

The value is the line, or with --value a field of it: the text of a string, no value for null, else its JSON. What
"orderly consume" prints goes back in with --key .key --value .value: keys and values do, headers and timestamps do not,
and a line with key_base64 or value_base64 (what is not UTF-8) is refused, as it has no field .key or .value.

A topic's number of partitions decides where keys go. --partitions keeps them where they are when the topic has grown:
give the number over which they were spread until then, each time.

A line that cannot be sent ends the command with 2 and is named with file, line and reason. The lines before it are sent,
nothing behind it is. With --skip-bad such lines are counted instead. Blank lines are no lines.

When a record is not acknowledged the command ends with 1 and names the first such line of the input: all lines before it
are written. Lines behind it may be written too, those of other keys: who sends the input again from that line on writes
these twice. Ctrl-C, or SIGTERM, ends the reading at once and waits 10 s for what is under way.

With --json the result is one JSON object: topic, lines, sent, skipped, failed, bytes, seconds, records_per_second, and
error when there was one.`,
		Example: `  orderly produce -t orders --key .customer.id orders.jsonl
  zcat orders.jsonl.gz | orderly produce -t orders --key .id --create --partitions 12
  orderly produce -t orders --key .key --value .value --local ./kafka dump.jsonl`,
	}
	f := cmd.Flags()
	conn := connect.AddFlags(f, connect.Topic)
	f.StringVar(&key, "key", "", "`path` of the key in a line (required)")
	f.StringVar(&value, "value", "", "`path` of the value in a line (default: the line)")
	f.BoolVar(&o.Create, "create", false, "make the topic when it is not there; needs --partitions")
	f.IntVar(&o.Partitions, "partitions", 0, "over how many partitions keys are spread, for good; --create makes the topic with so many (default: all that it has)")
	f.BoolVar(&o.SkipBad, "skip-bad", false, "count lines that cannot be sent, and go on")
	f.IntVar(&o.MaxRecord, "max-record-bytes", 1_000_012, "largest record (and batch) before compression; the topic's max.message.bytes counts when it is smaller")
	f.DurationVar(&o.DeliveryTimeout, "delivery-timeout", 2*time.Minute, "how long a record may take to be acknowledged, from 100ms to 24h")
	f.BoolVar(&asJSON, "json", false, "print one JSON object at the end")
	cmd.RunE = run(func(cmd *cobra.Command, args []string) (err error) {
		o.Files = args
		if key == "" {
			return usagef("%q needs --key: the path of the key in a line, like --key .customer.id", cmd.CommandPath())
		}
		if o.Key, err = fieldpath.Parse(key); err != nil {
			return usagef("--key: %v", err)
		}
		if value != "" {
			p, err := fieldpath.Parse(value)
			if err != nil {
				return usagef("--value: %v", err)
			}
			o.Value = &p
		}
		switch n := f.Changed("partitions"); {
		case o.Create && !n:
			return usagef("--create needs --partitions: the number decides where keys go, and cannot be changed later without moving them")
		case n && o.Partitions < 1:
			return usagef("--partitions is %d: it must be from 1 up", o.Partitions)
		case o.DeliveryTimeout < 100*time.Millisecond || o.DeliveryTimeout > 24*time.Hour:
			return usagef("--delivery-timeout is %s: it must be from 100ms to 24h", o.DeliveryTimeout)
		case o.MaxRecord < 1<<10 || o.MaxRecord > 1<<30-1<<20:
			return usagef("--max-record-bytes is %d: it must be from %d to %d", o.MaxRecord, 1<<10, 1<<30-1<<20)
		}
		set, err := resolve(conn, s.Err)
		if err != nil {
			return err
		}
		if err := need(set, cmd, connect.Topic); err != nil {
			return err
		}
		o.Topic = set.Get(connect.Topic)
		if o.Cluster, err = set.Open(cmd.Context(), s.Err); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, o.Cluster.Close()) }()
		ctx, stop := o.Cluster.While(cmd.Context())
		defer stop()
		res, err := runProduce(ctx, o)
		err = connect.Ended(ctx, err)
		return errors.Join(err, sum(s, res, asJSON, err))
	})
	return cmd
}

// sum says what became of the lines.
func sum(s Streams, r produce.Result, asJSON bool, err error) error {
	if asJSON {
		if err != nil {
			r.Error = words(err)
		}
		return printJSON(s.Out, r)
	}
	fmt.Fprintf(s.Err, "orderly: %s sent to %s in %.1f s (%.0f/s); %s skipped, %s not acknowledged\n",
		plural.Of(r.Sent, "record"), r.Topic, r.Seconds, r.Rate, plural.Of(r.Skipped, "line"), plural.Of(r.Failed, "record"))
	return nil
}
