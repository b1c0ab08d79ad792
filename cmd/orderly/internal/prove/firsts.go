package prove

import (
	"context"

	"github.com/orderly-go/orderly/cmd/orderly/internal/proxy"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// firstBatches strikes the very first batch of each partition, in three ways one
// after the other: refused, its answer lost, cut and given to the broker late. The
// broker knows nothing of the producer then, and takes any first number.
func firstBatches(ctx context.Context, sc *Scenario, c *Config) ([]CaseResult, error) {
	c.Subject, c.Control = sc.Cases[0].who, sc.Cases[0].who
	if err := c.settle(); err != nil {
		return nil, err
	}
	first := firstRecords(c)
	c.Faults = []proxy.Fault{
		{Kind: proxy.Refuse, Error: kerr.NotEnoughReplicas.Code, Chosen: first},
		{Kind: proxy.LostAck, Chosen: first},
		{Kind: proxy.Hold, Chosen: first},
	}
	return oneByOne(ctx, sc, c)
}

// firstRecords are the ones that come first in their partitions.
func firstRecords(c *Config) (first []proxy.Target) {
	place := kgo.StickyKeyPartitioner(nil).ForTopic(one)
	seen := map[int]bool{}
	for i := range c.Keys {
		key := keyName(i)
		p := place.Partition(&kgo.Record{Key: key}, c.Partitions)
		if n := int64(1); !seen[p] {
			seen[p] = true
			first = append(first, proxy.Target{Topic: one, Key: key, Number: &n})
		}
	}
	return first
}
