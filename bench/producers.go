package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync/atomic"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// besideProducers compares our producer with a bare idempotent one of the client's,
// which has the same buffer and sends the same records: with the headers that ours
// adds, when it numbers them.
func (b *bench) besideProducers(ctx context.Context, l load, numbered bool, bar float64) ([]row, error) {
	bare := spec{Side: bareProducer, Write: &l, Numbered: numbered}
	cs := []contender{{"orderly", spec{Side: producer, Write: &l, Numbered: numbered}}, {"bare", bare}, {"matched bare", bare}}
	rs, err := b.inTurn(ctx, l, cs, func(first []result) {
		cs[2].spec.Ballast = max(0, first[0].Live-first[1].Live)
	})
	if err != nil {
		return nil, err
	}
	return []row{
		ratioRow("matched bare producer", rs[0], rs[2], bar),
		ratioRow("plain bare producer", rs[0], rs[1], 0),
	}, nil
}

// writes runs a producer's spec into a topic of its own, and sees whether all of it
// is there.
func (b *bench) writes(ctx context.Context, s spec) (r result, err error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...))
	if err != nil {
		return result{}, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	s.Brokers, s.Topic, s.Counts = b.brokers, b.groupName(), []int64{s.Write.Records}
	if _, err := adm.CreateTopic(ctx, b.topics.partitions, -1, nil, s.Topic); err != nil {
		return result{}, fmt.Errorf("topic %s: %w", s.Topic, err)
	}
	defer func() {
		_, gone := adm.DeleteTopic(context.WithoutCancel(ctx), s.Topic)
		err = errors.Join(err, gone)
	}()
	if b.opt.profile != "" {
		s.Profile = fmt.Sprintf("%s/%s-%s", b.opt.profile, s.Topic, s.Side)
	}
	if r, err = run(ctx, s); err != nil {
		return result{}, err
	}
	_, total, err := countRecords(ctx, adm, s.Topic)
	if err == nil && total != s.Write.Records+warmUp {
		err = fmt.Errorf("side %s: %d records of %d are in the topic", s.Side, total, s.Write.Records+warmUp)
	}
	return r, err
}

// warmUp is how many records are written before the measurement: topic and
// producer id are known then.
const warmUp = 100

// A stock is what records are made of. Keys and values are made before the
// measurement; a record is what both clients keep until it is answered, and is made
// anew each time, as programs do.
type stock struct {
	topic   string
	keys    [][]byte
	values  [][]byte
	headers []kgo.RecordHeader
}

func newStock(s spec) stock {
	r := rand.New(rand.NewPCG(1, uint64(s.Write.Records)))
	st := stock{topic: s.Topic}
	for i := range int64(1 << 16) {
		st.keys = append(st.keys, s.Write.key(i, r))
		st.values = append(st.values, s.Write.value(r))
	}
	if s.Numbered && s.Side == bareProducer {
		st.headers = []kgo.RecordHeader{
			{Key: orderly.HeaderWriter, Value: make([]byte, 16)}, // as many bytes as a random writer id
			{Key: orderly.HeaderEpoch, Value: make([]byte, 8)},
			{Key: orderly.HeaderSeq, Value: make([]byte, 8)},
		}
	}
	return st
}

func (st *stock) record(i int64) *kgo.Record {
	n := i % int64(len(st.keys))
	return &kgo.Record{Topic: st.topic, Key: st.keys[n], Value: st.values[n], Headers: st.headers}
}

// runProducers writes all records and waits until they are answered.
func runProducers(ctx context.Context, s spec, m *meter) (err error) {
	var produce func(context.Context, *kgo.Record, func(*kgo.Record, error))
	var flush func(context.Context) error
	if s.Side == bareProducer {
		cl, err := kgo.NewClient(kgo.SeedBrokers(s.Brokers...), kgo.MaxBufferedRecords(50_000), kgo.ProducerBatchMaxBytes(1_000_012))
		if err != nil {
			return err
		}
		defer cl.Close()
		produce, flush = cl.Produce, cl.Flush
	} else {
		p, err := orderly.NewProducer(orderly.ProducerConfig{
			Brokers: s.Brokers, Sequence: orderly.SequenceHeaders{Enabled: s.Numbered},
			Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, p.Close(ctx)) }()
		produce, flush = p.Produce, p.Flush
	}
	st := newStock(s)
	var failed atomic.Pointer[error]
	done := func(_ *kgo.Record, err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
		}
	}
	all := func(n int64) error {
		for i := range n {
			produce(ctx, st.record(i), done)
		}
		if err := flush(ctx); err != nil {
			return err
		}
		if err := failed.Load(); err != nil {
			return *err
		}
		return nil
	}
	if err := all(warmUp); err != nil {
		return err
	}
	m.begin()
	err = all(s.Write.Records)
	m.finish()
	close(m.done)
	return errors.Join(err, m.wait(ctx, nil))
}
