package prove

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/history"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A sender gives records to a client, whose call returns before it is written.
type sender interface {
	produce(ctx context.Context, r *kgo.Record, done func(*kgo.Record, error))
	flush(ctx context.Context) error
	// outcome is what an error says of the record.
	outcome(err error) history.Outcome
	close(ctx context.Context)
}

// write lets the side write its records.
func (s *side) write(ctx context.Context, stop <-chan struct{}) error {
	if s.who.Kind == Program {
		return s.runProgram(ctx, stop)
	}
	out, err := s.sender()
	if err != nil {
		return err
	}
	defer out.close(ctx)
	total := s.cfg.Keys * s.cfg.Records
	if s.who.Kind == mirror {
		total = len(s.mirrored)
	}
	giving, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-stop:
			cancel()
		case <-giving.Done():
		}
	}()
	for i := range total {
		if giving.Err() != nil {
			break
		}
		if s.cfg.Workload == Growth && i == total/2 {
			if err := s.grow(ctx, out); err != nil {
				return err
			}
		}
		s.send(giving, out, i)
	}
	limit, end := context.WithTimeoutCause(ctx, s.cfg.Limit, fmt.Errorf("not all records were answered within %s", s.cfg.Limit))
	defer end()
	if err := out.flush(limit); err != nil {
		s.doubt("%s did not get an answer for each record within %s: %v", s.role, s.cfg.Limit, err)
	}
	return nil
}

// record gives the i-th record of the side: key by key in turns.
func (s *side) record(i int) (r *kgo.Record, key []byte, n int64) {
	if s.who.Kind == mirror {
		m := s.mirrored[i]
		return numbered(s.topic, s.seq, m.key, m.number), m.key, m.number
	}
	key, n = s.plain(i)
	r = numbered(s.topic, s.seq, key, n)
	if s.who.Client.NullKeys {
		r.Key, r.Headers = nil, append(r.Headers, kgo.RecordHeader{Key: entity, Value: key})
	}
	return r, key, n
}

// numbered makes a record that has its number where seq says.
func numbered(topic, seq string, key []byte, n int64) *kgo.Record {
	r := &kgo.Record{Topic: topic, Key: bytes.Clone(key)}
	digits := strconv.FormatInt(n, 10)
	switch name, isHeader := strings.CutPrefix(seq, "header:"); {
	case isHeader:
		r.Headers = []kgo.RecordHeader{{Key: name, Value: []byte(digits)}}
	default:
		value := digits
		fields := strings.FieldsFunc(seq, func(c rune) bool { return c == '.' })
		for _, f := range slices.Backward(fields) {
			value = fmt.Sprintf(`{%q:%s}`, f, value)
		}
		r.Value = []byte(value)
	}
	return r
}

// keyName is the i-th key of an experiment.
func keyName(i int) []byte { return fmt.Appendf(nil, "key-%d", i) }

func (s *side) send(ctx context.Context, out sender, i int) {
	r, key, n := s.record(i)
	e := history.Event{Kind: history.Send, Topic: s.topic, Key: history.BytesKey(key), Number: n}
	s.book.add(e)
	out.produce(ctx, r, func(r *kgo.Record, err error) {
		s.book.written.Add(1)
		e.Kind, e.Partition, e.Offset = history.Ack, r.Partition, r.Offset
		switch {
		case err != nil:
			e.Kind, e.Partition, e.Offset = out.outcome(err).Kind(), 0, 0
			if e.Kind == history.Ack {
				e.Partition, e.Offset = -1, -1
			} else {
				e.Why = err.Error()
			}
		case s.who.Kind == FranzGo && s.who.Client.Acks == "0":
			e.Partition, e.Offset = -1, -1 // nobody said where
		}
		s.book.add(e)
	})
}

// grow adds partitions while records are under way, and goes on when the client
// can know of them.
func (s *side) grow(ctx context.Context, out sender) error {
	limit, cancel := context.WithTimeout(ctx, adminLimit)
	defer cancel()
	// What is under way is of the old number; then the difference is the keys'
	// place and nothing else.
	if err := out.flush(limit); err != nil {
		return err
	}
	resp, err := s.world.adm.UpdatePartitions(limit, 2*s.cfg.Partitions, s.topic)
	if err == nil {
		err = resp.Error()
	}
	if err != nil {
		return &ClusterError{"adding partitions to " + s.topic, err}
	}
	s.book.struck.Add(1)
	s.book.add(history.Event{Kind: history.Fault, Why: "partitions added", Topic: s.topic, Partition: -1, Offset: -1})
	return s.grown(limit)
}

// grown waits until the cluster tells of the new partitions.
func (s *side) grown(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		md, err := s.world.adm.Metadata(ctx, s.topic)
		if err == nil && len(md.Topics[s.topic].Partitions) == 2*s.cfg.Partitions {
			return nil
		}
		select {
		case <-ctx.Done():
			return &ClusterError{"the new partitions of " + s.topic, context.Cause(ctx)}
		case <-tick.C:
		}
	}
}

func (s *side) doubt(format string, args ...any) {
	s.doubts = append(s.doubts, fmt.Sprintf(format, args...))
}

// sender makes the client of the side.
func (s *side) sender() (sender, error) {
	id := s.role + "-producer"
	if s.who.Kind == Orderly {
		cfg := orderly.ProducerConfig{
			Brokers: []string{s.addr()}, MaxBatchBytes: batchBytes, DeliveryTimeout: s.cfg.Limit,
			Buffer:    orderly.ProducerBuffer{Records: 2000, Bytes: 1 << 20},
			Logger:    slog.New(slog.DiscardHandler),
			KafkaOpts: append(append([]kgo.Opt{kgo.ClientID(id), kgo.MetadataMinAge(20 * time.Millisecond)}, s.growthOpts()...), s.cfg.Opts...),
		}
		if s.cfg.Workload == Growth {
			cfg.Partitions = map[string]int{s.topic: s.cfg.Partitions}
		}
		cfg.KafkaOpts = append(cfg.KafkaOpts, s.cfg.patience()...)
		p, err := orderly.NewProducer(cfg)
		if err != nil {
			return nil, err
		}
		return &ourSender{p}, nil
	}
	opts, err := s.who.Client.producer()
	if err != nil {
		return nil, err
	}
	opts = append(append(opts, kgo.RecordDeliveryTimeout(s.cfg.Limit)), s.cfg.patience()...)
	cl, err := kgo.NewClient(s.client(id, append(opts, s.growthOpts()...)...)...)
	if err != nil {
		return nil, err
	}
	return &franzSender{cl}, nil
}

// growthOpts let a client notice new partitions soon; by default it takes minutes.
func (s *side) growthOpts() []kgo.Opt {
	if s.cfg.Workload == Growth {
		return []kgo.Opt{kgo.MetadataMaxAge(50 * time.Millisecond)}
	}
	return nil
}

type ourSender struct{ p *orderly.Producer }

func (o *ourSender) produce(ctx context.Context, r *kgo.Record, done func(*kgo.Record, error)) {
	o.p.Produce(ctx, r, done)
}
func (o *ourSender) flush(ctx context.Context) error { return o.p.Flush(ctx) }
func (o *ourSender) outcome(err error) history.Outcome {
	if errors.Is(err, orderly.ErrNotWritten) {
		return history.OutcomeFailed
	}
	return history.OutcomeUnknown
}

func (o *ourSender) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = o.p.Close(ctx) // what was not answered is told of each record
}

type franzSender struct{ cl *kgo.Client }

func (f *franzSender) produce(ctx context.Context, r *kgo.Record, done func(*kgo.Record, error)) {
	f.cl.Produce(ctx, r, done)
}
func (f *franzSender) flush(ctx context.Context) error { return f.cl.Flush(ctx) }
func (f *franzSender) close(context.Context)           { f.cl.Close() }

// outcome: the client tells of the last attempt only. Whether one before it was
// written nobody knows; a record that is too large was never sent.
func (f *franzSender) outcome(err error) history.Outcome {
	if errors.Is(err, kerr.MessageTooLarge) {
		return history.OutcomeFailed
	}
	return history.OutcomeUnknown
}

// filler is a client that writes the records of the consumer's workload, surely in
// order, and not through the proxy.
func (s *side) filler() (*kgo.Client, error) {
	opts, err := Safe.producer()
	if err != nil {
		return nil, err
	}
	opts = append(opts, kgo.SeedBrokers(s.world.brokers...), kgo.ClientID("orderly-prove-filler"))
	opts = append(opts, s.cfg.Opts...)
	if s.cfg.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(s.cfg.TLS))
	}
	return kgo.NewClient(opts...)
}

// fill writes all of them.
func (s *side) fill(ctx context.Context) error {
	cl, err := s.filler()
	if err != nil {
		return err
	}
	defer cl.Close()
	var mu sync.Mutex
	var failed error
	for i := range s.cfg.Keys * s.cfg.Records {
		key, n := s.plain(i)
		cl.Produce(ctx, numbered(s.topic, s.seq, key, n), func(_ *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil && failed == nil {
				failed = err
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	if failed != nil {
		return &ClusterError{"writing the records of " + s.topic, failed}
	}
	return nil
}
