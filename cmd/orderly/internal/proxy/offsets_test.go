package proxy

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func lastOffset(ctx context.Context, cl *kgo.Client, partition int32) (int64, error) {
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, testTopic)
	if err != nil {
		return 0, err
	}
	o, ok := ends.Lookup(testTopic, partition)
	if !ok {
		return 0, errNoOffset
	}
	return o.Offset, o.Err
}
