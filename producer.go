package orderly

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderly-go/orderly/internal/produce"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

// A Producer writes records so that the records of a key are in the log in the
// order in which they were given, or an error says so: when one of them fails, its
// key is closed, and later ones are refused until the caller has decided what to
// do and calls Clear.
//
// Order is that of the calls of Produce that come one after the other; of calls
// at the same time either may be first. Its methods may be called from several
// goroutines.
type Producer struct {
	cfg    ProducerConfig
	cl     *kgo.Client
	hash   kgo.TopicPartitioner
	wire   wire
	writer *writer
	traced bool // contexts are kept for hooks
	budget *produce.Budget
	begin  time.Time
	clock  clock
	risks  topicRisks

	mu        sync.Mutex
	ended     bool // Close waits for running, or has
	topics    atomic.Pointer[map[string]*topic]
	lastTopic atomic.Pointer[topic]
	watched   sync.Once
	reason    atomic.Pointer[error] // why it was stopped
	hurry     atomic.Int32          // Flush and ProduceSync: do not linger

	ctx     context.Context // of look-ups
	cancel  context.CancelFunc
	runs    context.Context // of what the client was given
	endRuns context.CancelFunc
	running sync.WaitGroup

	closing  chan struct{} // Close was called: nothing is accepted
	abort    chan struct{} // its deadline has passed
	closed   chan struct{}
	closeErr error
	once     sync.Once
	unsentMu sync.Mutex
	unsent   unsent
}

// NewProducer checks the configuration and returns a producer. All problems come
// in one ConfigError. Nothing is connected to before the first record.
func NewProducer(cfg ProducerConfig) (*Producer, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	p := &Producer{
		cfg:     cfg,
		hash:    kgo.StickyKeyPartitioner(nil).ForTopic(""),
		writer:  newWriter(cfg.Sequence),
		budget:  produce.NewBudget(cfg.Buffer.Records, cfg.Buffer.Bytes),
		begin:   time.Now(),
		closing: make(chan struct{}), abort: make(chan struct{}), closed: make(chan struct{}),
		unsent: unsent{},
	}
	p.wire.begin = p.begin
	p.topics.Store(&map[string]*topic{})
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.runs, p.endRuns = context.WithCancel(context.Background())
	opts, err := p.options()
	if err == nil {
		p.cl, err = kgo.NewClient(opts...)
	}
	if err != nil {
		return nil, &ConfigError{Problems: []string{fmt.Sprintf("KafkaOpts: %v", err)}}
	}
	return p, nil
}

// clientLinger holds a batch back until its run was given to the client in whole.
// The end of the run ends it.
const clientLinger = 5 * time.Millisecond

func (p *Producer) options() ([]kgo.Opt, error) {
	given := slices.Concat([]kgo.Opt{
		kgo.ClientID("orderly"),
		kgo.MetadataMinAge(250 * time.Millisecond),
		kgo.MetadataMaxAge(time.Minute),
	}, p.cfg.KafkaOpts)
	probe, err := kgo.NewClient(given...)
	if err != nil {
		return nil, err
	}
	defer probe.Close()
	hooks, _ := probe.OptValue(kgo.WithHooks).([]kgo.Hook)
	p.traced = len(hooks) > 0
	p.wire.backoff = probe.OptValue(kgo.RetryBackoffFn).(func(int) time.Duration)

	opts := append(given,
		kgo.SeedBrokers(p.cfg.Brokers...),
		kgo.RecordPartitioner(placer{p}),
		kgo.ProducerLinger(clientLinger),
		kgo.ProducerBatchMaxBytesFn(p.batchBytes),
		// What waits is bounded here, by Buffer.
		kgo.MaxBufferedRecords(math.MaxInt32),
		// Records are given up by DeliveryTimeout only.
		kgo.UnknownTopicRetries(-1),
		kgo.RetryBackoffFn(p.wire.retryBackoff),
		kgo.WithHooks(&p.wire),
		// The broker has lost what it had acknowledged. The client raises its
		// epoch and writes the batch again: nothing else of the partition is
		// under way, so that no order is lost by it. The alternative
		// (StopProducerOnDataLossDetected) fails the client for good, and all
		// partitions with it.
		kgo.ProducerOnDataLossDetected(func(topic string, partition int32) {
			p.cfg.Logger.Error("orderly: the broker no longer knows what this producer wrote; records that it acknowledged may be lost",
				"topic", topic, "partition", partition)
		}),
	)
	if p.cfg.MaxInFlight == 1 {
		// The client has no setting for it while it is idempotent, but allows
		// more than one request only from version 4 of them on.
		most, _ := probe.OptValue(kgo.MaxVersions).(*kversion.Versions)
		if most == nil {
			most = kversion.Stable()
		}
		if v, ok := most.LookupMaxKeyVersion(0); !ok || v > 3 {
			most.SetMaxKeyVersion(0, 3)
		}
		opts = append(opts, kgo.MaxVersions(most))
	}
	return opts, nil
}

// batchBytes is asked when the client first learns of a partition.
func (p *Producer) batchBytes(name string) int32 {
	if t := (*p.topics.Load())[name]; t != nil && t.loaded.Load() {
		return int32(t.limit)
	}
	return int32(p.cfg.MaxBatchBytes)
}

// spawn starts a goroutine that Close waits for.
func (p *Producer) spawn(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		go f() // which tells a caller that the producer is closed
		return
	}
	p.running.Go(f)
}

// now is the clock of deadlines.
func (p *Producer) now() time.Duration { return time.Since(p.begin) }

// A clock gives timestamps from the time that has passed since the wall clock was
// read last, a second ago at most: to read both for each record takes a tenth of
// what a record takes.
type clock struct{ read atomic.Pointer[reading] }

type reading struct {
	wall time.Time
	at   time.Duration
}

func (c *clock) at(now time.Duration) time.Time {
	r := c.read.Load()
	if r == nil || now-r.at > time.Second || now < r.at {
		r = &reading{time.Now(), now}
		c.read.Store(r)
	}
	return r.wall.Add(now - r.at)
}

// Produce takes a record in and returns; done is called once when its outcome is
// known, with an error when it was not acknowledged. Functions of one key are
// called in the order of its records, from a goroutine of the producer: what they
// wait for, the partition waits for, and a call of Produce or Flush in them may
// wait for themselves. A nil done is allowed: failures are logged.
//
// Produce waits for room in the buffer, and for the first record of a topic until
// the topic is known: for as long as ctx, DeliveryTimeout and StartTimeout allow.
// A record that is not taken in for that has failed, and closes its key.
//
// The record is the producer's until done was called with it. When its outcome is
// unknown (ErrMaybeWritten) done is called with a copy, and the record itself stays
// the producer's: send the copy again. Its key, value and headers are shared.
func (p *Producer) Produce(ctx context.Context, rec *kgo.Record, done func(*kgo.Record, error)) {
	if done == nil {
		done = func(*kgo.Record, error) {}
	}
	now := p.now()
	if rec.Timestamp.IsZero() {
		rec.Timestamp = p.clock.at(now)
	}
	due := now + p.cfg.DeliveryTimeout
	size := bufferBytes(rec)

	t := p.topic(rec.Topic)
	if err := p.refusal(rec); err != nil {
		p.budget.Force(int64(size))
		s := t.limbo
		if t.loaded.Load() {
			s = t.senderOf(p, rec)
		}
		s.refuse(rec, done, size, err)
		return
	}
	if p.traced && rec.Context == nil && ctx != context.Background() {
		// For hooks, which look for spans in it. The record is not given up when
		// ctx ends.
		rec.Context = context.WithoutCancel(ctx)
	} else if rec.Context != nil && rec.Context.Done() != nil {
		rec.Context = context.WithoutCancel(rec.Context)
	}
	if !p.budget.Acquire(ctx, p.closing, int64(size)) {
		p.budget.Force(int64(size))
		p.fail(t, rec, done, size, due, p.waitError(ctx, "for room in the buffer"))
		return
	}
	if !t.loaded.Load() {
		p.watched.Do(func() { p.spawn(p.watch) })
		if err := t.load(ctx, p); err != nil {
			if ctx.Err() != nil {
				err = p.waitError(ctx, "for the topic to be looked up")
			}
			if errors.As(err, new(*PartitionsChangedError)) {
				p.stop(err)
			}
			p.fail(t, rec, done, size, due, err)
			return
		}
	}
	wire := recordBytes(rec, p.writer)
	var cause error
	if wire+batchOverhead > t.limit {
		cause = tooLarge(wire+batchOverhead, t.limit)
		wire = 0
	}
	t.senderOf(p, rec).add(rec, done, size, int32(wire+inBatchExtra), due, cause)
}

func tooLarge(bytes, limit int) error {
	return fmt.Errorf("a batch of this record alone takes %d bytes before compression and the limit is %d "+
		"(the smaller of MaxBatchBytes and the topic's max.message.bytes): %w", bytes, limit, kerr.MessageTooLarge)
}

// bufferBytes is what a record counts against Buffer.Bytes.
func bufferBytes(r *kgo.Record) int32 {
	n := len(r.Key) + len(r.Value) + 256
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value) + 48
	}
	return int32(min(n, math.MaxInt32))
}

// refusal says why a record is not taken in at all. It closes no key: there is
// none, or nothing is written any more.
func (p *Producer) refusal(rec *kgo.Record) error {
	if err := p.stopped(); err != nil {
		return err
	}
	select {
	case <-p.closing:
		return ErrProducerClosed
	default:
	}
	switch {
	case rec.Topic == "":
		return errors.New("orderly: the record has no topic")
	case rec.Key == nil && !p.cfg.AllowNullKey:
		return fmt.Errorf("orderly: topic %s: the record has no key, and so no order; give it one, or set AllowNullKey", rec.Topic)
	case rec.Key != nil && len(rec.Key) == 0 && !p.cfg.AllowEmptyKey:
		return fmt.Errorf("orderly: topic %s: the record's key is empty: one key for all such records, which often is a mistake; "+
			"give it one, or set AllowEmptyKey", rec.Topic)
	}
	return nil
}

func (p *Producer) waitError(ctx context.Context, what string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("waited %s: %w", what, err)
	}
	return ErrProducerClosed
}

// fail closes the key of a record that did not get to its partition.
func (p *Producer) fail(t *topic, rec *kgo.Record, done func(*kgo.Record, error), size int32, due time.Duration, cause error) {
	s := t.limbo
	if t.loaded.Load() {
		s = t.senderOf(p, rec)
	}
	s.add(rec, done, size, 0, due, cause)
}

// ProduceSync produces records, waits for their outcomes, and returns them in
// the order of the records. It does not linger.
//
// When ctx ends first it returns: for records that are still under way it has
// ErrMaybeWritten and a copy then; the record itself stays the producer's. It is not
// given up, and its key not closed: what is produced later stays behind it.
func (p *Producer) ProduceSync(ctx context.Context, recs ...*kgo.Record) kgo.ProduceResults {
	results := make(kgo.ProduceResults, len(recs))
	under := make([]kgo.Record, len(recs)) // what can be said of a record under way
	var (
		mu   sync.Mutex
		left bool
		wg   sync.WaitGroup
	)
	wg.Add(len(recs))
	p.hurry.Add(1)
	defer p.hurry.Add(-1)
	for i, rec := range recs {
		if rec.Timestamp.IsZero() {
			rec.Timestamp = time.Now()
		}
		under[i].Timestamp = rec.Timestamp
		p.Produce(ctx, rec, func(rec *kgo.Record, err error) {
			mu.Lock()
			if !left {
				results[i] = kgo.ProduceResult{Record: rec, Err: err}
			}
			mu.Unlock()
			wg.Done()
		})
		under[i] = kgo.Record{Topic: rec.Topic, Key: rec.Key, Value: rec.Value, Headers: rec.Headers, Timestamp: under[i].Timestamp}
	}
	p.pokeAll()
	all := make(chan struct{})
	go func() { wg.Wait(); close(all) }()
	select {
	case <-all:
	case <-ctx.Done():
		mu.Lock()
		defer mu.Unlock()
		left = true
		for i := range recs {
			if results[i].Record == nil {
				for _, s := range p.senders(under[i].Topic) {
					s.abandon(&under[i])
				}
				results[i] = kgo.ProduceResult{Record: &under[i], Err: &failure{ErrMaybeWritten, fmt.Errorf("orderly: the record is still under way: %w", ctx.Err())}}
			}
		}
	}
	return results
}
