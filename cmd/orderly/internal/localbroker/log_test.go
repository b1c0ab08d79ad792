package localbroker

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func newClient(t testing.TB, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }),
		kgo.MetadataMinAge(10 * time.Millisecond),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// readTopic returns all records up to the end, in the order of each partition.
func readTopic(t testing.TB, addr, topic string) []*kgo.Record {
	t.Helper()
	ctx := withPatience(t)
	cl := newClient(t, kgo.SeedBrokers(addr))
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	offsets := make(map[int32]kgo.Offset)
	left := make(map[int32]int64)
	ends.Each(func(o kadm.ListedOffset) {
		offsets[o.Partition] = kgo.NewOffset().AtStart()
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets})
	var all []*kgo.Record
	for len(left) > 0 {
		fs := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("reading %s: %v", topic, context.Cause(ctx))
		}
		fs.EachRecord(func(r *kgo.Record) {
			all = append(all, r)
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return all
}

// A verdict on a log whose records carry, per key, the numbers 0, 1, 2, ...
type verdict struct {
	records, duplicates, stepsBack, lost int
}

func (v verdict) String() string {
	return fmt.Sprintf("%d records: %d duplicates, %d steps back, %d acknowledged and not there", v.records, v.duplicates, v.stepsBack, v.lost)
}

// judge compares a log with what was acknowledged: acked[key][number].
func judge(t testing.TB, log []*kgo.Record, acked map[string]map[int]bool) verdict {
	t.Helper()
	v := verdict{records: len(log)}
	seen := make(map[string]map[int]bool)
	last := make(map[string]int)
	for _, r := range log {
		key := string(r.Key)
		n, err := strconv.Atoi(string(r.Value[:8]))
		if err != nil {
			t.Fatal(err)
		}
		if seen[key] == nil {
			seen[key] = make(map[int]bool)
			last[key] = -1
		}
		if seen[key][n] {
			v.duplicates++
		}
		if n < last[key] {
			v.stepsBack++
		}
		seen[key][n], last[key] = true, n
	}
	for key, ns := range acked {
		for n := range ns {
			if !seen[key][n] {
				v.lost++
			}
		}
	}
	return v
}
