package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/orderly-go/orderly/internal/embedded"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// startBroker starts a Kafka broker inside this process, in memory, on a free
// port of the loopback interface. Each column has its own: the topic is the same
// to the last offset.
func startBroker(partitions int) (*embedded.Cluster, error) {
	c, err := embedded.New(
		kfake.NumBrokers(1),
		kfake.SeedTopics(int32(partitions), topic),
		// Real brokers allow no session shorter than 6 s unless told so.
		kfake.GroupMinSessionTimeout(100*time.Millisecond),
	)
	if err != nil {
		return nil, fmt.Errorf("starting the embedded broker: %w", err)
	}
	return c, nil
}

// writer writes the changes to the topic. Partition and offset of each are known
// beforehand, so that the ledger knows a record before a consumer can have it.
type writer struct {
	cl      *kgo.Client
	ledger  *ledger
	records []*kgo.Record // in the order of the input
	offsets []int64
}

func newWriter(broker string, lg *ledger, in *Input, partitions int) (*writer, error) {
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(broker), kgo.DefaultProduceTopic(topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
	)
	if err != nil {
		return nil, err
	}
	w := &writer{cl: cl, ledger: lg}
	// Where the Java client would put the key.
	byKey := kgo.StickyKeyPartitioner(nil).ForTopic(topic)
	for _, c := range in.Changes {
		r := &kgo.Record{Key: []byte(c.Path), Value: c.encode(), Timestamp: time.Unix(c.At, 0)}
		r.Partition = int32(byKey.Partition(r, partitions))
		w.records = append(w.records, r)
		w.offsets = append(w.offsets, lg.expect(r.Partition, c))
	}
	return w, nil
}

// write writes the records from one place of the input up to another. The
// producer is idempotent: a partition's records stay in order and come once.
func (w *writer) write(ctx context.Context, from, to int) error {
	for i, r := range w.records[from:to] {
		w.ledger.logged(r.Partition)
		want, partition := w.offsets[from+i], r.Partition
		w.cl.Produce(ctx, r, func(r *kgo.Record, err error) {
			switch {
			case err != nil:
				w.ledger.fail(fmt.Errorf("writing to the embedded broker: %w", err))
			case r.Partition != partition || r.Offset != want:
				w.ledger.fail(fmt.Errorf("the embedded broker put a record at partition %d offset %d, not %d offset %d",
					r.Partition, r.Offset, partition, want))
			}
		})
	}
	return w.cl.Flush(ctx)
}

func (w *writer) close() { w.cl.Close() }
