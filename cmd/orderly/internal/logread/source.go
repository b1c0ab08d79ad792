// Package logread reads the log of a topic as it is: batch by batch, with what their
// headers say, from the leaders of its partitions. It joins no group and commits
// nothing.
package logread

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/wire"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// patience is how long a partition may be without a leader that answers.
const patience = 30 * time.Second

// A Source is a topic that is read.
type Source struct {
	Topic string
	ID    kadm.TopicID

	cl  *kgo.Client
	adm *kadm.Client

	mu      sync.Mutex
	leaders map[int32]int32
}

// A TopicError says why a topic cannot be read.
type TopicError struct {
	Topic string
	Err   error
}

func (e *TopicError) Error() string {
	switch {
	case errors.Is(e.Err, kerr.UnknownTopicOrPartition):
		return fmt.Sprintf("topic %s is not there, or this user may not see it (-t names it; Describe on the topic shows it)", e.Topic)
	case errors.Is(e.Err, kerr.TopicAuthorizationFailed):
		return fmt.Sprintf("this user may not read topic %s: it needs Describe and Read on the topic", e.Topic)
	}
	return fmt.Sprintf("topic %s: %v", e.Topic, e.Err)
}

func (e *TopicError) Unwrap() error { return e.Err }

// A GoneError says that records were deleted before they were read.
type GoneError struct {
	Partition   int32
	Offset      int64
	Start, Ends int64 // what is there now
}

func (e *GoneError) Error() string {
	return fmt.Sprintf("partition %d has no offset %d any more: it has %d to %d", e.Partition, e.Offset, e.Start, e.Ends-1)
}

// Open looks the topic up.
func Open(ctx context.Context, cl *kgo.Client, topic string) (*Source, error) {
	s := &Source{Topic: topic, cl: cl, adm: kadm.NewClient(cl), leaders: map[int32]int32{}}
	return s, s.look(ctx)
}

// look asks who leads the partitions.
func (s *Source) look(ctx context.Context) error {
	md, err := s.adm.Metadata(ctx, s.Topic)
	if err != nil {
		return err
	}
	t := md.Topics[s.Topic]
	if t.Err != nil {
		return &TopicError{s.Topic, t.Err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if none := (kadm.TopicID{}); s.ID != none && t.ID != none && s.ID != t.ID {
		return &TopicError{s.Topic, errors.New("it was deleted and made anew while it was read; begin again")}
	}
	s.ID = t.ID
	for _, p := range t.Partitions {
		s.leaders[p.Partition] = p.Leader
	}
	return nil
}

// Partitions are the topic's, in order.
func (s *Source) Partitions() []int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []int32
	for p := range s.leaders {
		all = append(all, p)
	}
	slices.Sort(all)
	return all
}

// A Span is what a partition holds: offsets from Start to before Stable are there for
// every reader; to before End only for one who reads open transactions too.
type Span struct{ Start, Stable, End int64 }

// Spans asks what the partitions hold now.
func (s *Source) Spans(ctx context.Context) (map[int32]Span, error) {
	spans := map[int32]Span{}
	for i, ask := range []func(context.Context, ...string) (kadm.ListedOffsets, error){s.adm.ListStartOffsets, s.adm.ListCommittedOffsets, s.adm.ListEndOffsets} {
		listed, err := ask(ctx, s.Topic)
		if err == nil {
			err = listed.Error()
		}
		if err != nil {
			return nil, &TopicError{s.Topic, err}
		}
		listed.Each(func(o kadm.ListedOffset) {
			span := spans[o.Partition]
			*[]*int64{&span.Start, &span.Stable, &span.End}[i] = o.Offset
			spans[o.Partition] = span
		})
	}
	return spans, nil
}

// At asks for the first offsets with a time of at least t; a partition without one is
// left out.
func (s *Source) At(ctx context.Context, t time.Time) (map[int32]int64, error) {
	listed, err := s.adm.ListOffsetsAfterMilli(ctx, t.UnixMilli(), s.Topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, &TopicError{s.Topic, err}
	}
	at := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) {
		if o.Offset >= 0 {
			at[o.Partition] = o.Offset
		}
	})
	return at, nil
}

// A Chunk is a part of a partition's log.
type Chunk struct {
	Partition int32
	From      int64 // the offset that was asked for
	Bytes     int

	topic string
	resp  kmsg.FetchResponseTopicPartition
}

// Fetch reads from an offset on. committed leaves out what transactions have not
// committed. Where a partition has no leader for a moment it waits.
func (s *Source) Fetch(ctx context.Context, partition int32, from int64, maxBytes int32, committed bool) (*Chunk, error) {
	limit, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var last error
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		resp, err := s.fetch(limit, partition, from, maxBytes, committed)
		switch {
		case err == nil:
			return &Chunk{Partition: partition, From: from, Bytes: len(resp.RecordBatches), topic: s.Topic, resp: *resp}, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, kerr.OffsetOutOfRange):
			return nil, s.gone(ctx, partition, from, err)
		case limit.Err() != nil:
			if last == nil {
				last = err
			}
			return nil, &TopicError{s.Topic, fmt.Errorf("partition %d was not to be read for %s: %w", partition, patience, last)}
		}
		if ke := (*kerr.Error)(nil); errors.As(err, &ke) && !ke.Retriable {
			return nil, &TopicError{s.Topic, fmt.Errorf("partition %d: %w", partition, err)}
		}
		last = err
		select {
		case <-time.After(wait):
		case <-limit.Done():
			continue
		}
		if err := s.look(limit); errors.As(err, new(*TopicError)) {
			return nil, err
		}
	}
}

func (s *Source) gone(ctx context.Context, partition int32, from int64, err error) error {
	spans, lookErr := s.Spans(ctx)
	if lookErr != nil {
		return errors.Join(err, lookErr)
	}
	sp := spans[partition]
	return &GoneError{partition, from, sp.Start, sp.End}
}

func (s *Source) fetch(ctx context.Context, partition int32, from int64, maxBytes int32, committed bool) (*kmsg.FetchResponseTopicPartition, error) {
	s.mu.Lock()
	leader, id := s.leaders[partition], s.ID
	s.mu.Unlock()
	if leader < 0 {
		return nil, kerr.LeaderNotAvailable
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 500, 1, maxBytes
	req.SessionEpoch = -1 // no session
	if committed {
		req.IsolationLevel = 1
	}
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, from, maxBytes
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID, t.Partitions = s.Topic, id, []kmsg.FetchRequestTopicPartition{p}
	req.Topics = []kmsg.FetchRequestTopic{t}
	answer, err := s.cl.Broker(int(leader)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	resp := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, errors.New("the broker's answer has not the one partition that was asked for")
	}
	out := &resp.Topics[0].Partitions[0]
	return out, kerr.ErrorForCode(out.ErrorCode)
}

// NewChunk is a part of a partition's log that was read in another way, as the
// bytes of a segment's file.
func NewChunk(topic string, partition int32, batches []byte) *Chunk {
	c := &Chunk{Partition: partition, Bytes: len(batches), topic: topic, resp: kmsg.NewFetchResponseTopicPartition()}
	c.resp.Partition, c.resp.RecordBatches = partition, batches
	return c
}

// Batches calls each for the header of every whole batch.
func (c *Chunk) Batches(each func(wire.Batch)) error {
	_, err := wire.Batches(c.resp.RecordBatches, each)
	return err
}

// Records are the records in it, from the offset that was asked for on, without
// markers, and the offset to go on from. committed leaves out those of aborted
// transactions, when it was fetched so.
func (c *Chunk) Records(committed bool) ([]*kgo.Record, int64, error) {
	level := kgo.ReadUncommitted()
	if committed {
		level = kgo.ReadCommitted()
	}
	part, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: c.From, IsolationLevel: level, Topic: c.topic, Partition: c.Partition,
	}, &c.resp, kgo.DefaultDecompressor(), nil)
	if part.Err != nil && len(part.Records) == 0 {
		return nil, next, fmt.Errorf("partition %d, from offset %d: %w", c.Partition, c.From, part.Err)
	}
	return part.Records, next, nil
}

// Stable is the partition's last stable offset, as of the answer.
func (c *Chunk) Stable() int64 { return c.resp.LastStableOffset }
