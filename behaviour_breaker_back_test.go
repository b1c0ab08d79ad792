package orderly_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
)

// A handler runs when the breaker opens, and still when it has closed: what its record
// had spent before is given back to it, too, so that its failure is not its last.
func TestGivenBackWhileTheHandlerRuns(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	var breaker seen[orderly.BreakerEvent]
	var down atomic.Bool
	down.Store(true)
	second, release := make(chan struct{}), make(chan struct{})
	var slow atomic.Int64
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicyStop, Concurrency: 8,
		Retry: orderly.Retry{MaxAttempts: 2, Backoff: time.Millisecond, MaxBackoff: time.Millisecond},
		Breaker: orderly.Breaker{ProbeInterval: 100 * time.Millisecond, Probe: func(context.Context) error {
			if down.Load() {
				return errDown
			}
			return nil
		}},
		Events: orderly.Events{Breaker: breaker.add},
		Handler: func(_ context.Context, m *orderly.Message) error {
			switch {
			case string(m.Key) != "slow":
				if down.Load() {
					return orderly.Unavailable(errDown)
				}
				return nil
			case slow.Add(1) == 2:
				close(second)
				<-release
				return errBusy
			case slow.Load() == 1:
				return errBusy
			}
			return nil
		}})
	b.Produce(topic, orderlytest.Msg("slow", "0"))
	m := g.Start()
	<-second
	for i := range 3 {
		b.Produce(topic, orderlytest.Msg(fmt.Sprint("k", i), "0"))
	}
	b.Eventually("the breaker to open", func() bool { return breaker.any(isOpen) })
	if e := breaker.get()[0]; e.GivenBack != 1 {
		t.Errorf("%d attempts were given back, want the one of the record whose handler runs", e.GivenBack)
	}
	down.Store(false)
	b.Produce(topic, keyed(1, names("n", 60)...)...) // it closes in steps
	b.Eventually("the breaker to close", func() bool { return m.Consumer().State().Breaker.State == orderly.BreakerClosed })
	close(release)
	committed(t, b, m, topic, 0, 64)
	if n := slow.Load(); n != 3 {
		t.Errorf("%d attempts, want 3", n)
	}
	stopAll(t, m)
}
