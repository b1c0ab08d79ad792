package orderly

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/orderly-go/orderly/internal/setup"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// letterTimeout is how long one write of a dead letter may take; then it has
	// failed, and is tried again after a backoff, with the reason shown.
	letterTimeout = 10 * time.Second
	// lettersUnderWay bounds the dead letters that the client holds; more wait in
	// their keys.
	lettersUnderWay = 10_000
	// lookEvery is how often, at the most, it is looked what has changed about a
	// topic that cannot be written to; more often where records are tried more often.
	lookEvery = 10 * time.Second
)

// A DeadLetterTopicError ends Run at its start: a dead-letter topic is missing, or
// is not as it has to be.
type DeadLetterTopicError struct {
	Source  string // the topic whose records fail
	Topic   string // the dead-letter topic
	Problem string
	Err     error // of the cluster; may be nil
}

// Error names the topics and the way out.
func (e *DeadLetterTopicError) Error() string {
	s := fmt.Sprintf("orderly: dead-letter topic %s of topic %s %s", e.Topic, e.Source, e.Problem)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cluster's error.
func (e *DeadLetterTopicError) Unwrap() error { return e.Err }

// kafkaLetters writes dead letters with a client of its own: idempotent, acknowledged by
// all replicas.
type kafkaLetters struct {
	cfg    *ConsumerConfig
	opts   []kgo.Opt
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	prepared bool

	mu      sync.Mutex
	cl      *kgo.Client
	looked  time.Time
	renewed time.Time

	limitsMu sync.Mutex     // apart: a client that is made asks for limits
	limits   map[string]int // of batches, by topic
}

func openLetters(cfg *ConsumerConfig) (*kafkaLetters, error) {
	k := &kafkaLetters{cfg: cfg, limits: make(map[string]int)}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	k.opts = slices.Concat([]kgo.Opt{kgo.ClientID("orderly"), kgo.MetadataMinAge(250 * time.Millisecond)}, cfg.KafkaOpts, []kgo.Opt{
		kgo.SeedBrokers(cfg.Brokers...),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(letterPlacer{cfg.DeadLetter.AnyPartition}),
		kgo.ProducerBatchMaxBytesFn(func(topic string) int32 { return int32(k.limit(topic)) }),
		kgo.ProducerLinger(0),
		kgo.MaxBufferedRecords(lettersUnderWay),
		kgo.RecordDeliveryTimeout(letterTimeout),
		kgo.UnknownTopicRetries(1),
	})
	var err error
	if k.cl, err = kgo.NewClient(k.opts...); err != nil {
		return nil, &ConfigError{Problems: []string{fmt.Sprintf("KafkaOpts: %v", err)}}
	}
	return k, nil
}

// close ends the client. Partitions have left by then: whether what is under way is
// acknowledged or not, it settles nothing, and that is told before close returns.
func (k *kafkaLetters) close() {
	k.mu.Lock()
	k.cancel() // nothing begins any more
	k.mu.Unlock()
	k.cl.Close()
	k.wg.Wait()
}

// begin says that a write may begin; then k.wg waits for its end.
func (k *kafkaLetters) begin() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ctx.Err() != nil {
		return false
	}
	k.wg.Add(1)
	return true
}

func (k *kafkaLetters) send(m *Message, g *givenUp, done func(at place, err error)) {
	topic := k.cfg.DeadLetter.topicOf(m.Topic)
	cl := k.client()
	r, err := k.cfg.letter(m, g, batchLimit(k.limit(topic), cl, topic))
	if err != nil {
		k.lookAgain()
		done(place{topic: topic}, err)
		return
	}
	if !k.begin() { // of a handler that has outlived Run
		done(place{topic: topic}, k.ctx.Err())
		return
	}
	cl.TryProduce(k.ctx, r, func(r *kgo.Record, err error) {
		defer k.wg.Done()
		switch {
		case errors.Is(err, kgo.ErrMaxBuffered):
			err = errCrowded
		case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
			k.lookAgain()
			err = fmt.Errorf("%w: %w", errTooLarge, err)
		case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID):
			k.renew(cl, false)
		}
		done(place{topic, r.Partition, r.Offset}, err)
	})
}

// renew puts another client in the place of one that knows a topic as it is no
// more: one that was deleted and made again has another id, and the client would
// write to the old one for ever; and it asks for a topic's limit once. A client of
// its own has a producer id of its own: were the topic only forgotten, its sequence
// would begin anew under the same id, and the broker take the next record for a
// repetition of the first, and acknowledge it unwritten.
func (k *kafkaLetters) renew(old *kgo.Client, now bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cl != old || k.ctx.Err() != nil || !now && time.Since(k.renewed) < k.seldom() {
		return
	}
	cl, err := kgo.NewClient(k.opts...)
	if err != nil {
		return // the options were good before
	}
	k.cl, k.renewed = cl, time.Now()
	k.wg.Go(func() {
		ctx, cancel := context.WithTimeout(k.ctx, 2*letterTimeout)
		defer cancel()
		_ = old.Flush(ctx) // what is under way has its answer
		old.Close()
	})
}

func (k *kafkaLetters) client() *kgo.Client {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.cl
}

// seldom is the least time between looks at what may have changed.
func (k *kafkaLetters) seldom() time.Duration { return min(lookEvery, k.cfg.Retry.MaxBackoff) }

const defaultBatchBytes = 1_000_012

func (k *kafkaLetters) limit(topic string) int {
	k.limitsMu.Lock()
	defer k.limitsMu.Unlock()
	if n, ok := k.limits[topic]; ok {
		return n
	}
	return defaultBatchBytes
}

// lookAgain looks the topics' limits up, when the last time is some while ago.
func (k *kafkaLetters) lookAgain() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.looked) < k.seldom() || k.ctx.Err() != nil {
		return
	}
	k.looked = time.Now()
	k.wg.Go(func() { k.readLimits(k.ctx) })
}

// readLimits asks how large records may be. Where that may not be read Kafka's
// default counts.
func (k *kafkaLetters) readLimits(ctx context.Context) {
	var topics []string
	for _, t := range k.cfg.Topics {
		topics = append(topics, k.cfg.DeadLetter.topicOf(t))
	}
	ctx, cancel := context.WithTimeout(ctx, letterTimeout)
	defer cancel()
	cl := k.client()
	all, err := kadm.NewClient(cl).DescribeTopicConfigs(ctx, topics...)
	if err != nil {
		return
	}
	changed := false
	k.limitsMu.Lock()
	for _, rc := range all {
		for _, c := range rc.Configs {
			n, err := strconv.Atoi(c.MaybeValue())
			if err != nil || rc.Err != nil || c.Key != "max.message.bytes" {
				continue
			}
			if old, ok := k.limits[rc.Name]; ok && old != n {
				changed = true
			}
			k.limits[rc.Name] = n
		}
	}
	k.limitsMu.Unlock()
	if changed {
		k.renew(cl, true)
	}
}

// prepare checks the dead-letter topics of topics with so many partitions, and
// makes those that are missing when that is allowed.
func (k *kafkaLetters) prepare(ctx context.Context, partitions map[string]int) error {
	if k.prepared {
		return nil // what is amiss by now holds up those keys only that need it
	}
	adm := kadm.NewClient(k.client())
	d := &k.cfg.DeadLetter
	for _, source := range slices.Sorted(maps.Keys(partitions)) {
		topic, want := d.topicOf(source), partitions[source]
		fail := func(err error, format string, args ...any) error {
			return &DeadLetterTopicError{Source: source, Topic: topic, Problem: fmt.Sprintf(format, args...), Err: err}
		}
		md, err := adm.Metadata(ctx, topic)
		if err != nil {
			return fail(err, "cannot be looked up")
		}
		t := md.Topics[topic]
		switch {
		case errors.Is(t.Err, kerr.UnknownTopicOrPartition) && d.Create:
			companion, err := setup.Companion(ctx, adm, source, topic)
			if err == nil {
				err = setup.Create(ctx, adm, companion)
			}
			if err != nil {
				return fail(err, "is not there and cannot be made")
			}
			k.cfg.Logger.Info("orderly: made a dead-letter topic", "topic", source, "dead_letter_topic", topic, "partitions", companion.Partitions)
		case errors.Is(t.Err, kerr.UnknownTopicOrPartition):
			return fail(nil, "is not there: make it with `orderly setup --topic %s --group %s --dead-letter`, or set DeadLetter.Create", source, k.cfg.Group)
		case t.Err != nil:
			return fail(t.Err, "cannot be looked up")
		case len(t.Partitions) < want && !d.AnyPartition:
			return fail(nil, "has %d partitions and its source %d: a dead letter has the partition number of its record; add partitions, "+
				"or set DeadLetter.AnyPartition to place them by the key's hash", len(t.Partitions), want)
		}
	}
	k.readLimits(ctx)
	k.prepared = true
	return nil
}

// letterPlacer gives a dead letter the partition number of its record, or, when
// the topic may have fewer, that of its key's hash.
type letterPlacer struct{ any bool }

func (p letterPlacer) ForTopic(topic string) kgo.TopicPartitioner {
	return &letterTopicPlacer{p.any, kgo.StickyKeyPartitioner(nil).ForTopic(topic)}
}

type letterTopicPlacer struct {
	any  bool
	hash kgo.TopicPartitioner
}

func (p *letterTopicPlacer) RequiresConsistency(*kgo.Record) bool { return true }

func (p *letterTopicPlacer) Partition(r *kgo.Record, n int) int {
	switch {
	case !p.any:
		return int(r.Partition) // none such: the client fails the record
	case r.Key == nil:
		return int(r.Partition) % n
	}
	return p.hash.Partition(r, n)
}
