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
		lives.Store(100)
		c := short()
		c.OnExhausted, c.Retry.MaxAttempts = orderly.PolicyPark, 2
		c.Retry.MaxBackoff = 20 * time.Second
		c.act = func(ctx context.Context, m *orderly.Message) error {
			if m.Key == nil && string(m.Value) == "null" && lives.Add(-1) >= 0 {
				ctx.Value(memberKey{}).(*member).kill(true)
				<-ctx.Done()
				return context.Cause(ctx)
			}
			return nil
		}
		w.produce(append(keys("a", "b"), keyed{value: "null"}, keyed{value: "behind it"}))
		blocked := func(m *member) bool {
			ps := m.c.State().Partitions
			return len(ps) == 1 && ps[0].BlockedStates["permanent"] == 1
		}
		for i := 0; ; i++ {
			m := w.start(string(rune('a'+i)), c)
			w.until("the process has ended, or the record is given up", 2*time.Minute, func() bool { return !m.running() || blocked(m) })
			if m.running() {
				break
			}
		}
		lives.Store(0)
		w.caughtUp(5 * time.Minute)
		w.verdict(orderly.ScopeKey, true)
	})
}
