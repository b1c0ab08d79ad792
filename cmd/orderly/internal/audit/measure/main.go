// Command measure says how fast an audit is beside a bare reader, and what memory it
// takes. One step is one process, so that each has its own memory:
//
//	ORDERLY_KAFKA=host:port measure fill  -topic t -records 10000000 -keys 10000000
//	ORDERLY_KAFKA=host:port measure bare  -topic t
//	ORDERLY_KAFKA=host:port measure audit -topic t -memory 536870912
//
// The bare reader polls with franz-go and takes the number out of each record with
// encoding/json, as a program of somebody's own would; -field takes it with the
// package that the audit uses.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/audit"
	"github.com/orderly-go/orderly/internal/fieldpath"
	"github.com/orderly-go/orderly/internal/kafkatest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if len(os.Args) < 2 || os.Getenv(kafkatest.AddrsEnv) == "" {
		return fmt.Errorf("usage: %s=host:port measure fill|bare|audit [flags]", kafkatest.AddrsEnv)
	}
	f := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	topic := f.String("topic", "measure", "the `topic`")
	records := f.Int("records", 1_000_000, "how many to write")
	keys := f.Int("keys", 100_000, "of how many keys")
	memory := f.Int64("memory", 512<<20, "what the audit may take")
	field := f.Bool("field", false, "read the number with package fieldpath")
	if err := f.Parse(os.Args[2:]); err != nil {
		return err
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(os.Getenv(kafkatest.AddrsEnv), ",")...))
	if err != nil {
		return err
	}
	defer cl.Close()
	path, err := fieldpath.Parse(".version")
	if err != nil {
		return err
	}
	began, n := time.Now(), int64(0)
	what := os.Args[1]
	switch what {
	case "fill":
		n, err = fill(ctx, cl, *topic, *records, *keys)
	case "bare":
		n, err = bare(ctx, cl, *topic, path, *field)
	case "audit":
		var r *audit.Report
		states, end := audit.WithMemory(*memory)
		defer end()
		r, err = audit.Run(ctx, audit.Options{Client: cl, Topic: *topic, Number: audit.Numbering{Field: &path}, Memory: states, Limit: 1000})
		if err == nil {
			n = r.Records
			what += fmt.Sprintf(" (%d keys, %d findings, %d MiB spilled)", r.Keys, len(r.Findings), r.Spilled>>20)
		}
	}
	if err != nil {
		return err
	}
	took := time.Since(began)
	fmt.Printf("%s: %d records in %.2f s, %.0f records/s, at most %s of memory\n", what, n, took.Seconds(), float64(n)/took.Seconds(), peak())
	return nil
}

// fill writes keys in turn, each with its own numbers, as a producer with order does.
func fill(ctx context.Context, cl *kgo.Client, topic string, records, keys int) (int64, error) {
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 6, 1, nil, topic); err != nil {
		return 0, err
	}
	var failed error
	for i := range records {
		key := binary.BigEndian.AppendUint64([]byte("customer"), uint64(i%keys)*0x9e3779b97f4a7c15)
		value := fmt.Appendf(nil, `{"id":%d,"version":%d,"name":"somebody of some street","amount":%d.50}`, i%keys, i/keys+1, i%997)
		cl.Produce(ctx, &kgo.Record{Topic: topic, Key: key, Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed = err
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return 0, err
	}
	return int64(records), failed
}

func bare(ctx context.Context, cl *kgo.Client, topic string, path fieldpath.Path, field bool) (n int64, err error) {
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err != nil {
		return 0, err
	}
	total := int64(0)
	ends.Each(func(o kadm.ListedOffset) { total += o.Offset })
	cl.AddConsumeTopics(topic)
	sum := int64(0)
	for n < total {
		fs := cl.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			return n, err
		}
		fs.EachRecord(func(r *kgo.Record) {
			n++
			if !field {
				var v struct{ Version int64 }
				if json.Unmarshal(r.Value, &v) == nil {
					sum += v.Version
				}
				return
			}
			if json.Valid(r.Value) {
				if raw, err := path.Find(r.Value); err == nil {
					sum += int64(len(raw))
				}
			}
		})
	}
	if sum == 0 {
		return n, fmt.Errorf("no record has a version")
	}
	return n, nil
}

// peak is the most memory that this process had.
func peak() string {
	status, err := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok && err == nil {
			return strings.TrimSpace(rest)
		}
	}
	return "an unknown amount"
}
