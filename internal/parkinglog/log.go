// Package parkinglog is the parking topic on Kafka: it writes entries, reads
// them, creates the topic and deletes what a trim has made useless. What entries
// mean is for package parking.
package parkinglog

import (
	"context"
	"errors"
	"fmt"

	"github.com/orderly-go/orderly/internal/parking"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A Log is one parking topic.
type Log struct {
	cl    *kgo.Client
	topic string
	id    [16]byte
	known known
}

// ID is that of the topic.
func (l *Log) ID() [16]byte { return l.id }

// Options are those that a client needs for a Log: writes are acknowledged by all
// replicas, in order, to the partition that is named, and are tried until they
// have an outcome or the client is closed.
func Options() []kgo.Opt {
	return []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0), kgo.UnknownTopicRetries(-1),
	}
}

// New returns the log of a topic; cl was made with Options.
func New(cl *kgo.Client, topic string, id [16]byte) *Log { return &Log{cl: cl, topic: topic, id: id} }

// Write sends an entry. Then is called once with its position, or with why it
// failed, from a goroutine of the client.
func (l *Log) Write(ctx context.Context, partition int32, e *parking.Entry, then func(pos int64, why parking.WriteError, err error)) {
	r, err := parking.Encode(e)
	if err != nil {
		then(0, parking.TooLarge, err)
		return
	}
	out := &kgo.Record{Topic: l.topic, Partition: partition, Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	l.known.add(out, e)
	l.cl.Produce(context.WithoutCancel(ctx), out, func(r *kgo.Record, err error) {
		if err != nil {
			l.cl.ForceMetadataRefresh() // it may not know a partition that was added
			err = fmt.Errorf("writing a %s entry to %s/%d: %w", e.Kind, l.topic, partition, err)
		}
		then(r.Offset, outcome(err), err)
	})
}

// Forget ends an ownership of a partition: what was written under it is not kept to be
// read back any more.
func (l *Log) Forget(partition int32) { l.known.forget(partition) }

// outcome says what is known of a failed write. Only what a broker refuses for its
// size, each time it is sent, is surely not written: any other failure may follow
// an earlier try that was never answered.
func outcome(err error) parking.WriteError {
	if errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) {
		return parking.TooLarge
	}
	return parking.Unknown
}

// A Read is an entry and where it stands.
type Read struct {
	Pos   int64
	Entry *parking.Entry
}

// A Page is what one fetch returns.
type Page struct {
	Entries []Read
	Next    int64 // where the next fetch begins
	Start   int64 // of the log
	End     int64 // the high watermark
}

// A PositionError names the record that is no entry.
type PositionError struct {
	Topic     string
	Partition int32
	Pos       int64
	Err       error
}

func (e *PositionError) Error() string {
	return fmt.Sprintf("topic %s partition %d offset %d: %v", e.Topic, e.Partition, e.Pos, e.Err)
}

func (e *PositionError) Unwrap() error { return e.Err }

// Fetch reads entries from a position on, about limit bytes of them, and waits for
// the first when there is none for as long as waitMillis says. Entries before one
// that cannot be read are returned with the *PositionError.
func (l *Log) Fetch(ctx context.Context, partition int32, from int64, limit, waitMillis int32) (Page, error) {
	raw, page, err := l.fetch(ctx, partition, from, limit, waitMillis)
	for _, r := range raw {
		e, err := l.Decode(r)
		if err != nil {
			page.Next = r.Offset
			return page, err
		}
		page.Entries = append(page.Entries, Read{r.Offset, e})
	}
	return page, err
}

// FetchRaw is Fetch for who needs few of the entries, and has those decoded with Decode.
func (l *Log) FetchRaw(ctx context.Context, partition int32, from int64, limit, waitMillis int32) ([]*kgo.Record, error) {
	raw, _, err := l.fetch(ctx, partition, from, limit, waitMillis)
	return raw, err
}

func (l *Log) fetch(ctx context.Context, partition int32, from int64, limit, waitMillis int32) ([]*kgo.Record, Page, error) {
	leader, epoch, err := l.leader(ctx, partition)
	if err != nil {
		l.cl.ForceMetadataRefresh()
		return nil, Page{}, l.failed(partition, err)
	}
	resp, err := l.request(partition, from, epoch, limit, waitMillis).RequestWith(ctx, l.cl.Broker(int(leader)))
	if err != nil {
		l.cl.ForceMetadataRefresh()
		return nil, Page{}, l.failed(partition, err)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, Page{}, l.failed(partition, err)
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, Page{}, l.failed(partition, errors.New("the broker's answer does not name the partition"))
	}
	p, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Offset: from, Topic: l.topic, Partition: partition},
		&resp.Topics[0].Partitions[0], kgo.DefaultDecompressor(), nil)
	page := Page{Start: p.LogStartOffset, End: p.HighWatermark}
	if p.Err != nil {
		l.cl.ForceMetadataRefresh()
		return nil, page, l.failed(partition, p.Err)
	}
	page.Next = max(next, from)
	return p.Records, page, nil
}

// leader returns who leads the partition. A client that has written nothing to the
// topic yet does not know.
func (l *Log) leader(ctx context.Context, partition int32) (node, epoch int32, err error) {
	if node, epoch, err = l.cl.PartitionLeader(l.topic, partition); err == nil && node >= 0 {
		return node, epoch, nil
	}
	resp, err := metadata(ctx, l.cl, l.topic)
	if err != nil {
		return -1, -1, err
	}
	for _, p := range resp.Partitions {
		if p.Partition == partition && p.Leader >= 0 {
			return p.Leader, p.LeaderEpoch, nil
		}
	}
	return -1, -1, kerr.LeaderNotAvailable
}

func (l *Log) failed(partition int32, err error) error {
	return fmt.Errorf("reading the parking topic %s/%d: %w", l.topic, partition, err)
}

func (l *Log) request(partition int32, from int64, epoch, limit, waitMillis int32) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = waitMillis, 1, limit
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = l.topic, l.id
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.FetchOffset, p.PartitionMaxBytes = partition, epoch, from, limit
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// Delete deletes what stands before a position, which the group's commit names.
func (l *Log) Delete(ctx context.Context, partition int32, before int64) error {
	var offsets kadm.Offsets
	offsets.AddOffset(l.topic, partition, before, -1)
	resp, err := kadm.NewClient(l.cl).DeleteRecords(ctx, offsets)
	if err == nil {
		err = resp.Error()
	}
	if err != nil {
		return fmt.Errorf("trimming the parking topic %s/%d to %d: %w", l.topic, partition, before, err)
	}
	return nil
}

// Decode reads an entry that was fetched. An error is a *PositionError.
func (l *Log) Decode(r *kgo.Record) (*parking.Entry, error) {
	if e := l.known.take(r); e != nil {
		return e, nil
	}
	rec := parking.Record{Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		rec.Headers = append(rec.Headers, parking.Header{Key: h.Key, Value: h.Value})
	}
	e, err := parking.Decode(rec)
	if err != nil {
		return nil, &PositionError{l.topic, r.Partition, r.Offset, err}
	}
	return e, nil
}
