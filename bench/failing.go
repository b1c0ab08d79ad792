package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What healthy keys lose when others fail: one key in a hundred fails at every
// tenth of its records. The records of the others are what is measured.

// failing says how those keys fail.
type failing string

const (
	failNever     failing = "never"     // the same run without failures
	failTransient failing = "transient" // twice, then they succeed
	failForEver   failing = "for ever"  // and their keys are parked
)

const (
	failKeys     = 1000
	failOneIn    = 100 // keys
	failRecord   = 10  // of those keys' records, one in so many
	failAttempts = 2
	failWork     = time.Millisecond
	failWorkers  = 100
	pacedRate    = 3000 // records a second
	pacedFor     = 15 * time.Second
	pacedWarmUp  = 3 * time.Second // is not measured
)

// health runs our consumer and looks after the healthy keys.
type health struct {
	s         spec
	m         *meter
	total     int64 // records of healthy keys
	handled   atomic.Int64
	failed    atomic.Int64
	overtakes atomic.Int64
	parked    atomic.Int64
	last      []atomic.Int64 // by key: the offset behind the last record that is done, or parked
	mu        sync.Mutex
	took      []time.Duration // of healthy records, when paced
	from      time.Time
}

func newHealth(s spec, m *meter) *health {
	h := &health{s: s, m: m, last: make([]atomic.Int64, failKeys)}
	if s.Paced {
		m.lo, m.hi = 0, int64(pacedRate*pacedFor.Seconds())
		return h
	}
	for key := range s.Load.all() {
		if !fails(keyNumber(key)) {
			h.total++
		}
	}
	m.lo, m.hi = h.total*15/100, h.total*85/100
	return h
}

func fails(key int) bool { return key%failOneIn == failOneIn/2 }

func keyNumber(key []byte) int {
	n, _ := strconv.Atoi(string(bytes.TrimPrefix(key, []byte("key-")))) // ours
	return n
}

// handle is the handler.
func (h *health) handle(_ context.Context, m *orderly.Message) error {
	key := keyNumber(m.Key)
	if done := h.last[key].Load(); m.Offset < done {
		h.overtakes.Add(1)
	}
	time.Sleep(failWork)
	if fails(key) {
		switch {
		case m.Offset%failRecord != 0:
		case h.s.Failing == failTransient && m.Attempt <= failAttempts:
			h.failed.Add(1)
			return errors.New("this record fails twice")
		case h.s.Failing == failForEver:
			h.failed.Add(1)
			return errors.New("this record fails")
		}
		h.last[key].Store(m.Offset + 1)
		return nil
	}
	h.last[key].Store(m.Offset + 1)
	if h.s.Paced {
		written := time.Unix(0, int64(binary.LittleEndian.Uint64(m.Value)))
		if written.After(h.from) {
			h.mu.Lock()
			h.took = append(h.took, time.Since(written))
			h.mu.Unlock()
		}
		h.handled.Add(1)
		return nil
	}
	switch h.handled.Add(1) {
	case h.m.lo:
		h.m.begin()
	case h.m.hi:
		h.m.finish()
	case h.total:
		close(h.m.done)
	}
	return nil
}

// parks sees to it that the records of a key are parked in their order.
func (h *health) parks(e orderly.ParkedEvent) {
	h.parked.Add(1)
	if h.last[keyNumber(e.Key)].Swap(e.Offset+1) > e.Offset {
		h.overtakes.Add(1)
	}
}

func (h *health) run(ctx context.Context) (end error) {
	cfg := orderly.ConsumerConfig{
		Brokers: h.s.Brokers, Group: h.s.Group, Topics: []string{h.s.Topic}, Handler: h.handle, Concurrency: failWorkers, OnExhausted: h.s.Policy,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	}
	if h.s.Policy == orderly.PolicyPark {
		// Its own lines, an error for each key, are not what is measured.
		cfg.Logger = slog.New(slog.DiscardHandler)
		cfg.Retry = orderly.Retry{MaxAttempts: failAttempts, Backoff: 10 * time.Millisecond}
		cfg.Events.Parked = h.parks
		cfg.Parking.Prefix = "orderly-bench-parked"
		topic, err := parking.TopicName(cfg.Parking.Prefix, h.s.Group, h.s.Topic)
		if err != nil {
			return err
		}
		defer func() { end = errors.Join(end, deleteTopic(ctx, h.s.Brokers, topic)) }()
	}
	c, err := orderly.NewConsumer(cfg)
	if err != nil {
		return err
	}
	if h.s.Paced {
		remove, err := createTopic(ctx, h.s.Brokers, h.s.Topic, int32(len(h.s.Counts)))
		if err != nil {
			return err
		}
		defer func() { end = errors.Join(end, remove()) }()
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	if h.s.Paced {
		err = h.write(ctx, ended)
	} else {
		err = h.m.wait(ctx, ended)
	}
	c.Abort() // keys that fail may wait for long
	if over := <-ended; err == nil && !errors.Is(over, orderly.ErrAborted) {
		err = over
	}
	return err
}

// write writes records at an even pace and waits for the healthy ones.
func (h *health) write(ctx context.Context, ended <-chan error) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(h.s.Brokers...), kgo.DefaultProduceTopic(h.s.Topic), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer cl.Close()
	var failed atomic.Pointer[error]
	healthy := int64(0)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	begun := time.Now()
	h.from = begun.Add(pacedWarmUp)
	h.m.begin()
	for n := 0; time.Since(begun) < pacedFor; {
		for ; n < int(time.Since(begun).Seconds()*pacedRate); n++ {
			key := n * 7919 % failKeys // 7919 and the number of keys have no common divisor: all keys in turn, scattered
			if !fails(key) {
				healthy++
			}
			value := make([]byte, max(8, h.s.Load.Size))
			binary.LittleEndian.PutUint64(value, uint64(time.Now().UnixNano()))
			cl.Produce(ctx, &kgo.Record{Key: fmt.Appendf(nil, "key-%010d", key), Value: value}, func(_ *kgo.Record, err error) {
				if err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			})
		}
		select {
		case <-tick.C:
		case err := <-ended:
			return fmt.Errorf("the consumer ended: %w", err)
		}
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return *err
	}
	for h.handled.Load() < healthy {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-ended:
			return fmt.Errorf("the consumer ended: %w", err)
		}
	}
	h.m.finish()
	return nil
}

// report adds what the meter does not know.
func (h *health) report(r *result) {
	r.Overtakes, r.Failed, r.Parked = h.overtakes.Load(), h.failed.Load(), h.parked.Load()
	if h.s.Paced {
		h.mu.Lock()
		defer h.mu.Unlock()
		slices.Sort(h.took)
		r.P99 = h.took[len(h.took)*99/100].Seconds()
	}
}

func createTopic(ctx context.Context, brokers []string, topic string, partitions int32) (remove func() error, err error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return nil, err
	}
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(ctx, partitions, -1, nil, topic); err != nil {
		cl.Close()
		return nil, fmt.Errorf("topic %s: %w", topic, err)
	}
	cl.Close()
	return func() error { return deleteTopic(ctx, brokers, topic) }, nil
}

func deleteTopic(ctx context.Context, brokers []string, topic string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return err
	}
	defer cl.Close()
	_, err = kadm.NewClient(cl).DeleteTopics(context.WithoutCancel(ctx), topic)
	return err
}

// measureFailingRate: how fast healthy keys go while others fail, beside the same
// without failures.
func measureFailingRate(how failing, p orderly.Policy) func(context.Context, *bench) ([]row, error) {
	return func(ctx context.Context, b *bench) ([]row, error) {
		const bar = 0.97
		l := load{Keys: failKeys, Records: 400_000, Size: b.opt.size}
		with := spec{Side: ours, Sleep: failWork, Load: l, Failing: how, Policy: p}
		without := with
		without.Failing = failNever
		rs, err := b.inTurn(ctx, l, []contender{{"some fail", with}, {"none fails", without}}, nil)
		if err != nil {
			return nil, err
		}
		r := ratioRow("the same without failures", rs[0], rs[1], bar)
		return []row{r, overtakesOf(rs[0])}, nil
	}
}

func overtakesOf(rs []result) row {
	overtakes, failed, parked := int64(0), int64(0), int64(0)
	for _, r := range rs {
		overtakes += r.Overtakes
		failed += r.Failed
		parked += r.Parked
	}
	also := ""
	if parked > 0 {
		also = fmt.Sprintf(" and %s records that were parked", group(parked))
	}
	return fact("overtakes of the own key", fmt.Sprintf("%d, with %s attempts that failed%s in %d runs", overtakes, group(failed), also, len(rs)),
		"0", overtakes == 0 && failed > 0)
}

// measureFailingLatency: how long a healthy key's record takes from writing it to
// the end of its handler.
func measureFailingLatency(how failing, p orderly.Policy) func(context.Context, *bench) ([]row, error) {
	return func(ctx context.Context, b *bench) ([]row, error) {
		return b.failingLatency(ctx, how, p)
	}
}

func (b *bench) failingLatency(ctx context.Context, how failing, p orderly.Policy) ([]row, error) {
	const bar = 1.2
	var ratios []float64
	var p99s [2][]float64
	var all []result
	for pair := range b.opt.pairs + 1 {
		var got [2]float64
		for i, f := range []failing{how, failNever} {
			s := spec{Side: ours, Brokers: b.brokers, Sleep: failWork, Failing: f, Policy: p, Paced: true, Load: load{Size: b.opt.size},
				Group: b.groupName(), Counts: make([]int64, b.opt.partitions)}
			s.Topic = s.Group
			r, err := run(ctx, s)
			if err != nil {
				return nil, err
			}
			got[i] = r.P99
			if pair > 0 && f == how {
				all = append(all, r)
			}
		}
		note := ""
		if pair == 0 {
			note = " (discarded)"
		} else {
			ratios = append(ratios, got[0]/got[1])
			p99s[0], p99s[1] = append(p99s[0], got[0]), append(p99s[1], got[1])
		}
		b.say("  %2d/%d  p99 %.2f ms where some fail, %.2f ms where none does%s", pair, b.opt.pairs, 1e3*got[0], 1e3*got[1], note)
	}
	s := summarize(ratios)
	v := fmt.Sprintf("%.2f [%.2f - %.2f] x: %.2f and %.2f ms", s.Median, s.Low, s.High, 1e3*median(p99s[0]), 1e3*median(p99s[1]))
	return []row{
		fact(fmt.Sprintf("p99 of healthy keys at %s/s, beside none failing", group(pacedRate)), v, fmt.Sprintf("at most %.1f x", bar), s.Low <= bar),
		overtakesOf(all),
	}, nil
}
