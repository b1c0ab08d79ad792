package orderly_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// closedBy returns the error as a KeyClosedError.
func closedBy(t *testing.T, err error) *orderly.KeyClosedError {
	t.Helper()
	var closed *orderly.KeyClosedError
	if !errors.As(err, &closed) {
		t.Fatalf("%v is not a KeyClosedError", err)
	}
	if errors.Is(err, orderly.ErrNotWritten) == errors.Is(err, orderly.ErrMaybeWritten) {
		t.Fatalf("%v: not exactly one of ErrNotWritten and ErrMaybeWritten", err)
	}
	return closed
}

// fast makes the client try again soon.
var fast = kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond })

// A context ends waiting, never a record that was taken in: the ones behind it
// would pass it.
func TestProducerContextsDoNotAbandonRecords(t *testing.T) {
	c := prodSite(t, 1)
	p := producer(t, c, func(cfg *orderly.ProducerConfig) {
		cfg.Linger = time.Minute
		cfg.KafkaOpts = []kgo.Opt{kgo.WithHooks(&underWay{wrote: make(chan struct{}, 100)})}
	})
	if err := p.ProduceSync(within30(t), c.rec("a", "0")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var told results
	r := c.rec("a", "1")
	r.Context = ctx
	p.Produce(ctx, r, told.add)
	p.Produce(ctx, c.rec("a", "2"), told.add)
	cancel()
	if err := p.Flush(within30(t)); err != nil {
		t.Fatal(err)
	}
	for _, r := range told.get() {
		if r.err != nil {
			t.Error(r.err)
		}
	}
	ascending(t, byKey(t, readLog(t, c, c.topic)))
}

// The broker refuses batches of a stream: nothing is written behind a refused
// record of its key. Here the topic's limit was lowered when the producer had read
// it already.
func TestProducerNothingPassesARefusedBatch(t *testing.T) {
	for range 3 {
		every := 50 + rand.IntN(500)
		t.Run(fmt.Sprintf("every-%d", every), func(t *testing.T) {
			c := prodSite(t, 2)
			p := producer(t, c, func(cfg *orderly.ProducerConfig) { cfg.MaxBatchBytes = 1 << 16 })
			ctx := within30(t)
			if err := p.ProduceSync(ctx, c.rec("warm", "up")).FirstErr(); err != nil {
				t.Fatal(err)
			}
			limit := "50000"
			if _, err := c.Admin().AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: "max.message.bytes", Value: &limit}}, c.topic); err != nil {
				t.Fatal(err)
			}
			noise := rand.NewPCG(1, 2)
			large := func(key string) *kgo.Record {
				v := make([]byte, 60_000)
				for i := range v {
					v[i] = byte(noise.Uint64())
				}
				return c.rec(key, string(v))
			}
			for { // until the brokers know
				err := p.ProduceSync(ctx, large("probe")).FirstErr()
				if p.ClearAll(); errors.Is(err, kerr.MessageTooLarge) {
					break
				}
			}
			keys := names("k", 50)
			var failed atomic.Int64
			for i := 0; i < 100 || failed.Load() == 0; i++ {
				for n, k := range keys {
					r := c.rec(k, strconv.Itoa(i))
					if (i*len(keys)+n)%every == every-1 {
						r = large(k)
					}
					p.Produce(ctx, r, func(_ *kgo.Record, err error) {
						if err != nil {
							failed.Add(1)
						}
					})
				}
			}
			if err := p.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			log := byKey(t, readLog(t, c, c.topic))
			delete(log, "warm")
			delete(log, "probe")
			ascending(t, log)
			for _, closed := range p.ClosedKeys() {
				if !errors.Is(closed, kerr.MessageTooLarge) || !errors.Is(closed, orderly.ErrNotWritten) {
					t.Errorf("%v", closed)
				}
				if len(closed.First.Value) < 100 && strconv.Itoa(len(log[string(closed.Key)])) != string(closed.First.Value) {
					t.Errorf("key %s is closed at %s and has %d records", closed.Key, closed.First.Value, len(log[string(closed.Key)]))
				}
			}
		})
	}
}
