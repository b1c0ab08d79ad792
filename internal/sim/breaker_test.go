//go:build synctests

package sim

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
)

// Keys that fail always are all that there is to try when the breaker is open. Records
// of other keys come: those are read, and close it.
func TestBreakerIsNotHeldOpenByBadKeys(t *testing.T) {
	scene(t, 1, func(t *testing.T, w *world) {
		s := newScript()
		c := short()
		c.act = s.act
		c.Breaker.ProbeInterval, c.Breaker.MaxInterval = time.Second, 5*time.Second
		var bad []keyed
		for i := range 6 {
			key := fmt.Sprint("bad", i)
			s.set(key, func(context.Context, *orderly.Message) error { return errors.New("bad") })
			bad = append(bad, keys(key)...)
		}
		m := w.start("m", c)
		w.produce(bad)
		w.until("the breaker is open", time.Minute, func() bool { return m.c.State().Breaker.State == orderly.BreakerOpen })
		time.Sleep(10 * time.Second) // all of them were tried
		w.produce(many(100))
		w.until("the breaker is closed, and other keys are done", 5*time.Minute, func() bool {
			st := m.c.State()
			return st.Breaker.State == orderly.BreakerClosed && len(st.Partitions) == 1 && st.Partitions[0].Done == 100
		})
		for i := range 6 {
			s.set(fmt.Sprint("bad", i), nil)
		}
		w.caughtUp(time.Minute)
		w.verdict(orderly.ScopeKey, true)
	})
}

// Two keys said that a dependency is unavailable, and then fail for ever by themselves;
// nothing else is there to try. The breaker does not wait for ever: it closes, and the
// policy decides. In partition scope it is the same with the heads of two partitions.
func TestBadHeadsAloneDoNotHoldTheBreaker(t *testing.T) {
	for _, scope := range []orderly.Scope{orderly.ScopeKey, orderly.ScopePartition} {
		scene(t, 2, func(t *testing.T, w *world) {
			s := newScript()
			c := short()
			c.act, c.Scope, c.OnExhausted, c.Retry.MaxAttempts = s.act, scope, orderly.PolicySkip, 2
			c.Breaker.ProbeInterval, c.Breaker.MaxInterval = time.Second, 5*time.Second
			var bad atomic.Bool
			for _, key := range []string{"a", "b"} {
				s.set(key, func(_ context.Context, m *orderly.Message) error {
					if bad.Load() {
						return errors.New("bad")
					}
					return orderly.Unavailable(errors.New("down"))
				})
			}
			m := w.start("m", c)
			for range 3 {
				w.produce([]keyed{{partition: 0, key: []byte("a"), value: "1"}, {partition: 1, key: []byte("b"), value: "1"}})
			}
			w.until("the breaker is open", time.Minute, func() bool { return m.c.State().Breaker.State == orderly.BreakerOpen })
			bad.Store(true)
			w.caughtUp(10 * time.Minute)
			if st := m.c.State(); st.Breaker.State != orderly.BreakerClosed {
				t.Errorf("%+v", st.Breaker)
			}
			w.verdict(scope, true)
		})
	}
}

// First attempts fail for all keys, and second ones succeed: that opens the breaker, and
// is over in minutes, with its default times.
func TestFirstAttemptsThatFailDoNotHoldTheBreaker(t *testing.T) {
	scene(t, 2, func(t *testing.T, w *world) {
		c := short()
		var open atomic.Int64
		c.act = func(_ context.Context, m *orderly.Message) error {
			if m.Attempt == 1 {
				return errors.New("too slow at first")
			}
			return nil
		}
		c.Retry = orderly.Retry{Backoff: time.Second, MaxBackoff: time.Minute}
		c.Events.Breaker = func(e orderly.BreakerEvent) {
			if e.State == orderly.BreakerOpen {
				open.Add(1)
			}
		}
		for range 5 {
			w.produce(many(200))
		}
		w.start("m", c)
		w.caughtUp(15 * time.Minute)
		if open.Load() == 0 {
			t.Error("it never opened: this shows nothing")
		}
		w.verdict(orderly.ScopeKey, true)
	})
}
