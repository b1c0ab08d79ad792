package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A load is what stands in a topic. Workloads with the same load share it.
type load struct {
	Keys    int64 // 0: each record has its own
	Skewed  bool  // the i-th key is 1/sqrt(i) as frequent as the first
	Records int64
	Size    int // of a value
}

func (l load) topic() string {
	keys := "distinct"
	if l.Keys > 0 {
		keys = strconv.FormatInt(l.Keys, 10) + "keys"
	}
	if l.Skewed {
		keys += "-skewed"
	}
	return fmt.Sprintf("orderly-bench-%s-%dx%d", keys, l.Records, l.Size)
}

// key returns the key of record i.
func (l load) key(i int64, r *rand.Rand) []byte {
	switch {
	case l.Keys == 0:
	case l.Skewed:
		u := r.Float64()
		i = int64(u * u * float64(l.Keys))
	default:
		i = r.Int64N(l.Keys)
	}
	return fmt.Appendf(nil, "key-%010d", i)
}

// all yields the keys and values, the same each time.
func (l load) all() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		r := rand.New(rand.NewPCG(1, uint64(l.Records)))
		for i := range l.Records {
			if key := l.key(i, r); !yield(key, l.value(r)) {
				return
			}
		}
	}
}

// value returns a value of which half is random: it compresses as records do that
// repeat the names of their fields.
func (l load) value(r *rand.Rand) []byte {
	v := make([]byte, l.Size)
	for i := range v[:l.Size/2] {
		v[i] = byte(r.Uint32())
	}
	return v
}

// topics produces loads, each once.
type topics struct {
	brokers    []string
	partitions int32
	have       map[load][]int64 // records of each partition
}

// need returns how many records each partition of the load's topic has; it makes
// the topic at first.
func (t *topics) need(ctx context.Context, l load) ([]int64, error) {
	if n, ok := t.have[l]; ok {
		return n, nil
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(t.brokers...), kgo.DefaultProduceTopic(l.topic()),
		// Batches are full, whatever else the machine does meanwhile: their size
		// decides what reading them costs.
		kgo.ProducerLinger(time.Second), kgo.ProducerBatchMaxBytes(64<<10), kgo.MaxBufferedRecords(100_000))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	_, err = adm.CreateTopic(ctx, t.partitions, -1, nil, l.topic())
	created := err == nil
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return nil, fmt.Errorf("topic %s: %w", l.topic(), err)
	}
	if created {
		if err := l.produce(ctx, cl); err != nil {
			return nil, fmt.Errorf("topic %s: %w", l.topic(), err)
		}
	}
	counts, total, err := countRecords(ctx, adm, l.topic())
	if err != nil {
		return nil, err
	}
	if total != l.Records {
		return nil, fmt.Errorf("topic %s holds %d records instead of %d, from a run that was interrupted: delete it", l.topic(), total, l.Records)
	}
	t.have[l] = counts
	return counts, nil
}

func (l load) produce(ctx context.Context, cl *kgo.Client) error {
	var failed atomic.Pointer[error]
	for key, value := range l.all() {
		cl.Produce(ctx, &kgo.Record{Key: key, Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

func countRecords(ctx context.Context, adm *kadm.Client, topic string) (counts []int64, total int64, err error) {
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, 0, fmt.Errorf("topic %s: %w", topic, err)
	}
	counts = make([]int64, len(ends[topic]))
	for p, o := range ends[topic] {
		counts[p] = o.Offset
		total += o.Offset
	}
	return counts, total, nil
}

// remove deletes the topics that were made.
func (t *topics) remove(ctx context.Context) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(t.brokers...))
	if err != nil {
		return err
	}
	defer cl.Close()
	var names []string
	for l := range t.have {
		names = append(names, l.topic())
	}
	_, err = kadm.NewClient(cl).DeleteTopics(ctx, names...)
	return err
}
