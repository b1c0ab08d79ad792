// Package logcheck says what a sample of a topic's log shows about its writers: the
// checks of "orderly doctor log".
package logcheck

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/logread"
	"github.com/orderly-go/orderly/cmd/orderly/internal/wire"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	fetchBytes = 1 << 20
	// partBytes bounds what a part of a partition costs where records are large.
	partBytes = 16 << 20
)

// Options say what is looked at.
type Options struct {
	Topic  string
	Sample int           // records of each partition: half the oldest, half the newest
	Window time.Duration // a producer that wrote within it is active
	Now    time.Time
}

// Facts are what the cluster said.
type Facts struct {
	Topic      string
	Partitions int
	Sample     *wire.Sample
	Read       []Read
	Compacted  bool

	ConfigErr    error // the topic's settings are not known
	ProducersErr error // the brokers' lists of producers are not known
	Active       []Producer
	Now          time.Time
	Window       time.Duration
	OpenRecords  int64 // behind the last stable offsets
}

// Read is what was read of a partition.
type Read struct {
	Partition  int32  `json:"partition"`
	Start, End int64  `json:"-"`
	Offsets    string `json:"log"`
	Sampled    string `json:"sampled"`
	Whole      bool   `json:"whole"`
}

// Producer is a producer that a partition's leader keeps the state of.
type Producer struct {
	Partition int32
	ID        int64
	Epoch     int16
	Last      time.Time
	TxnStart  int64 // offset of its open transaction; -1: none
}

// Collect reads the sample.
func Collect(ctx context.Context, cl *kgo.Client, o Options) (*Facts, error) {
	src, err := logread.Open(ctx, cl, o.Topic)
	if err != nil {
		return nil, err
	}
	spans, err := src.Spans(ctx)
	if err != nil {
		return nil, err
	}
	parts := src.Partitions()
	f := &Facts{Topic: o.Topic, Partitions: len(parts), Sample: wire.NewSample(int32(len(parts))), Now: o.Now, Window: o.Window}
	for _, p := range parts {
		r, err := f.partition(ctx, src, p, spans[p], int64(o.Sample))
		if err != nil {
			return nil, err
		}
		f.Read = append(f.Read, r)
		f.OpenRecords += max(0, spans[p].End-spans[p].Stable)
	}
	adm := kadm.NewClient(cl)
	f.settings(ctx, adm)
	f.producers(ctx, adm)
	return f, ctx.Err()
}

func (f *Facts) partition(ctx context.Context, src *logread.Source, p int32, span logread.Span, sample int64) (Read, error) {
	r := Read{Partition: p, Start: span.Start, End: span.End, Offsets: offsets(span.Start, span.End)}
	headEnd := span.End
	if span.End-span.Start > sample {
		headEnd = span.Start + sample/2
	}
	at, err := f.part(ctx, src, p, span.Start, headEnd, span.End)
	if err != nil {
		return r, err
	}
	r.Sampled, r.Whole = offsets(span.Start, at), at >= span.End
	if r.Whole {
		return r, nil
	}
	from := max(at, span.End-sample/2)
	end, err := f.part(ctx, src, p, from, span.End, span.End)
	if err != nil {
		return r, err
	}
	r.Sampled += ", " + offsets(from, end)
	r.Whole = from == at && end >= span.End
	return r, nil
}

func offsets(from, to int64) string {
	if from >= to {
		return "none"
	}
	return fmt.Sprintf("%d-%d", from, to-1)
}

// part reads from one offset to before another, and returns how far it came: not
// further than its bytes allow, and a little further where a batch is longer.
func (f *Facts) part(ctx context.Context, src *logread.Source, p int32, from, to, end int64) (int64, error) {
	f.Sample.Begin(p)
	bytes := 0
	for at := from; ; {
		if at >= to || bytes >= partBytes {
			return at, nil
		}
		c, err := src.Fetch(ctx, p, at, fetchBytes, false)
		if gone := (*logread.GoneError)(nil); errors.As(err, &gone) && gone.Start > at {
			at = gone.Start // deleted meanwhile
			f.Sample.Begin(p)
			continue
		}
		if err != nil {
			return at, err
		}
		next, err := f.take(c)
		if err != nil {
			return at, err
		}
		if next <= at {
			return end, nil // nothing is left up to the end
		}
		at, bytes = next, bytes+c.Bytes
	}
}

// take adds what was read to the sample, and gives the offset to go on from.
func (f *Facts) take(c *logread.Chunk) (int64, error) {
	if err := c.Batches(f.Sample.Batch); err != nil {
		return 0, fmt.Errorf("partition %d, from offset %d: %w", c.Partition, c.From, err)
	}
	recs, next, err := c.Records(false)
	if err != nil {
		return 0, err
	}
	for _, r := range recs {
		f.Sample.Record(wire.Record{Offset: r.Offset, Key: r.Key, ProducerID: r.ProducerID, Time: r.Timestamp})
	}
	return next, nil
}

func (f *Facts) settings(ctx context.Context, adm *kadm.Client) {
	rs, err := adm.DescribeTopicConfigs(ctx, f.Topic)
	if err == nil {
		var rc kadm.ResourceConfig
		if rc, err = rs.On(f.Topic, nil); err == nil {
			err = rc.Err
		}
		for _, c := range rc.Configs {
			if c.Key == "cleanup.policy" {
				f.Compacted = slices.Contains(splitList(c.MaybeValue()), "compact")
			}
		}
	}
	f.ConfigErr = err
}

func (f *Facts) producers(ctx context.Context, adm *kadm.Client) {
	set := kadm.TopicsSet{}
	set.Add(f.Topic)
	all, err := adm.DescribeProducers(ctx, set)
	if err != nil {
		f.ProducersErr = err
		return
	}
	all.EachPartition(func(p kadm.DescribedProducersPartition) {
		if p.Err != nil && f.ProducersErr == nil {
			f.ProducersErr = p.Err
		}
		p.ActiveProducers.Each(func(a kadm.DescribedProducer) {
			f.Active = append(f.Active, Producer{p.Partition, a.ProducerID, a.ProducerEpoch, time.UnixMilli(a.LastTimestamp), a.CurrentTxnStartOffset})
		})
	})
}

// why says why an API gave nothing.
func why(err error, api string) string {
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed), errors.Is(err, kerr.GroupAuthorizationFailed):
		return "this user may not use " + api
	case errors.Is(err, kerr.UnsupportedVersion):
		return "the brokers do not have " + api
	}
	return fmt.Sprintf("%s failed: %v", api, err)
}
