//go:build synctests

package sim

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
)

// Under park a record without a key blocks. It is tried for ever at the maximum backoff,
// also when the process ended during all of its attempts.
func TestNullKeyThatEndsProcessesIsTriedAgainUnderPark(t *testing.T) {
	scene(t, 1, func(t *testing.T, w *world) {
		var lives atomic.Int64
		lives.Store(6)
		c := short()
		c.OnExhausted, c.Retry.MaxAttempts = orderly.PolicyPark, 2
		c.act = func(ctx context.Context, m *orderly.Message) error {
			if m.Key == nil && lives.Add(-1) >= 0 {
				ctx.Value(memberKey{}).(*member).kill(true)
				<-ctx.Done()
				return context.Cause(ctx)
			}
			return nil
		}
		w.produce(append(keys("a", "b"), keyed{value: "null"}))
		names := "mnopqrstu"
		for i := 0; lives.Load() > 0 && i < len(names); i++ {
			m := w.start(names[i:i+1], c)
			w.until("the process has ended, or goes on", 2*time.Minute, func() bool { return !m.running() || len(w.behind()) == 0 || lives.Load() <= 0 })
		}
		w.start("last", c)
		w.caughtUp(5 * time.Minute)
		w.verdict(orderly.ScopeKey, true)
	})
}
