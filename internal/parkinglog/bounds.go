package parkinglog

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A Bound is where a partition of the parking topic begins and ends.
type Bound struct {
	Start, End int64
	Err        error
}

// Bounds returns those of all partitions of a topic, in two requests to each broker.
func Bounds(ctx context.Context, cl *kgo.Client, topic string) (map[int32]Bound, error) {
	adm := kadm.NewClient(cl)
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil && len(starts) == 0 {
		return nil, fmt.Errorf("where the parking topic %s begins: %w", topic, err)
	}
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err != nil && len(ends) == 0 {
		return nil, fmt.Errorf("where the parking topic %s ends: %w", topic, err)
	}
	out := make(map[int32]Bound)
	starts.Each(func(s kadm.ListedOffset) {
		if s.Topic != topic {
			return
		}
		e, ok := ends.Lookup(topic, s.Partition)
		if !ok {
			e.Err = errors.New("the answer does not name the partition")
		}
		out[s.Partition] = Bound{Start: s.Offset, End: e.Offset, Err: errors.Join(s.Err, e.Err)}
	})
	return out, nil
}

// Ends returns the ends of a topic's partitions, of those that a broker tells.
func Ends(ctx context.Context, cl *kgo.Client, topic string) map[int32]int64 {
	out := make(map[int32]int64)
	ends, _ := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	ends.Each(func(e kadm.ListedOffset) {
		if e.Err == nil && e.Topic == topic {
			out[e.Partition] = e.Offset
		}
	})
	return out
}

// Limit is how large a batch the topic takes; Kafka's default where it may not be
// asked.
func Limit(ctx context.Context, cl *kgo.Client, topic string) int32 {
	const byDefault = 1_000_012
	all, err := kadm.NewClient(cl).DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return byDefault
	}
	of, err := all.On(topic, nil)
	if err != nil || of.Err != nil {
		return byDefault
	}
	for _, c := range of.Configs {
		if n, err := strconv.ParseInt(c.MaybeValue(), 10, 32); c.Key == "max.message.bytes" && err == nil {
			return int32(n)
		}
	}
	return byDefault
}
