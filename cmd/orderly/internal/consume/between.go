package consume

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// nothingBetween reports that from one offset to another there is no record
// that a consumer would be given, nor a marker that moves its commit. It reads
// the log itself, since a client that is given nothing does not say how far it
// has read.
//
// What was deleted meanwhile is handed over to nobody, unless it was read before:
// held says that the consumer may have such records.
func (w *watch) nothingBetween(ctx context.Context, partition int32, from, to int64, held bool) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for at := from; at < to; {
		next, records, err := w.fetch(ctx, partition, at)
		if errors.Is(err, kerr.OffsetOutOfRange) {
			start, err := w.start(ctx, partition)
			if err != nil || held || start <= at {
				return false, err // the consumer says what it makes of it
			}
			at = start
			continue
		}
		if err != nil {
			return false, err
		}
		if len(records) > 0 {
			return records[0].Offset >= to, nil
		}
		if next <= at {
			return false, nil
		}
		at = next
	}
	return true, nil
}

// start is where the partition's log begins now.
func (w *watch) start(ctx context.Context, partition int32) (int64, error) {
	listed, err := w.adm.ListStartOffsets(ctx, w.topic)
	if err != nil {
		return 0, err
	}
	l, ok := listed.Lookup(w.topic, partition)
	if !ok {
		return 0, broken(w.topic, partition, kerr.UnknownTopicOrPartition)
	}
	return l.Offset, l.Err
}

// fetch reads one batch or more at an offset: what of them counts, and where to
// read on.
func (w *watch) fetch(ctx context.Context, partition int32, at int64) (next int64, records []*kgo.Record, err error) {
	md, err := w.adm.Metadata(ctx, w.topic)
	if err != nil {
		return 0, nil, err
	}
	t := md.Topics[w.topic]
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 100, 1, 1<<20
	req.IsolationLevel = 1 // read committed
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic, rt.TopicID = w.topic, t.ID
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = partition, at, 1<<20
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(ctx, w.cl.Broker(int(t.Partitions[partition].Leader)))
	if err != nil {
		return 0, nil, err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return 0, nil, broken(w.topic, partition, err)
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return 0, nil, broken(w.topic, partition, errMoved)
	}
	got := &resp.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(got.ErrorCode); err != nil {
		return 0, nil, broken(w.topic, partition, err)
	}
	fp, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		KeepControlRecords: true, Offset: at, IsolationLevel: kgo.ReadCommitted(), Topic: w.topic, Partition: partition,
	}, got, kgo.DefaultDecompressor(), nil)
	return next, fp.Records, fp.Err
}
