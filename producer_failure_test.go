package orderly_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
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
