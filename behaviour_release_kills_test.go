package orderly_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
)

// A parked record whose release ends the process does not end one after the other: who
// takes over waits for as long as until a first release, in which the others go on and an
// operator can decide.
func TestReleaseThatEndsTheProcess(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"parking topic", "store"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			const first = 2 * time.Second
			b := engine(t)
			topic := newTopic(t, b, 1)
			var mended atomic.Bool
			var good, bad atomic.Int64
			deadly := make(chan struct{}, 1)
			var assigned atomic.Pointer[time.Time]
			handle := func(ctx context.Context, m *orderly.Message) error {
				switch {
				case string(m.Key) == "good":
					good.Add(1)
				case m.Offset == 0 && !mended.Load():
					return errBusy
				case m.Offset == 2:
					deadly <- struct{}{}
					<-ctx.Done()
					return ctx.Err()
				case m.Offset > 2:
					bad.Add(1)
				}
				return nil
			}
			cfg := orderly.ConsumerConfig{Topics: []string{topic}, Retry: orderly.Retry{MaxAttempts: 1, Backoff: time.Millisecond},
				Parking: orderly.Parking{First: first, Longest: first}, Handler: handle}
			if kind == "store" {
				cfg.Handler = nil
				cfg.Effects = orderly.Effects{Store: newEffectBook().Memory, Handler: func(ctx context.Context, _ any, m *orderly.Message) error { return handle(ctx, m) }}
			}
			cfg.Events.Assigned = func(orderly.AssignedEvent) {
				now := time.Now()
				assigned.Store(&now)
			}
			g := b.Group(cfg)
			b.Produce(topic, keyed(4, "bad", "good")...)
			m := g.Start()
			parkedRecords(t, b, m, topic, 1, 4)
			mended.Store(true)
			<-deadly
			m.Kill()
			before := good.Load()
			m = g.Start()
			b.Produce(topic, keyed(1, "good")...)
			b.Eventually("another key to go on", func() bool { return good.Load() > before })
			<-deadly
			if took := time.Since(*assigned.Load()); took < first*3/4 {
				t.Errorf("the parked record came again %s after the takeover, want %s at the least", took, first)
			}
			m.Kill()
			// An operator's word is not held up.
			m = g.Start(func(c *orderly.ConsumerConfig) { c.Parking.First, c.Parking.Longest = time.Hour, time.Hour })
			a := admin(t, b, g)
			ans, err := a.Skip(patient(t), orderly.Command{Topic: topic, Key: []byte("bad"), Offset: 2, Reason: "it ends the process"})
			answered(t, ans, err, "done", "skipped")
			ans, err = a.Retry(patient(t), orderly.Command{Topic: topic, Key: []byte("bad")})
			answered(t, ans, err, "done", "released")
			if n := bad.Load(); n != 2 {
				t.Errorf("%d behind it were released", n)
			}
			parkedRecords(t, b, m, topic, 0, 0)
			stopAll(t, m)
		})
	}
}
