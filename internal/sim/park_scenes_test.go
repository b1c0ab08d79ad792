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
	"github.com/twmb/franz-go/pkg/kadm"
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

// Records that follow a parked one of their key now and then are written together, and so
// are those of other keys.
func TestFollowersNowAndThenShareWrites(t *testing.T) {
	scene(t, 1, func(t *testing.T, w *world) {
		c := short()
		c.OnExhausted = orderly.PolicyPark
		c.act = func(context.Context, *orderly.Message) error { return orderly.Permanent(errors.New("poison")) }
		w.start("a", c)
		w.produce(keys("a", "b", "c"))
		parked := func(n int) func() bool {
			return func() bool {
				keys, err := w.parkedKeys(time.Minute)
				records := 0
				for _, k := range keys {
					records += k.Records
				}
				return err == nil && records == n
			}
		}
		w.until("the keys are parked", time.Minute, parked(3))
		const n = 200
		before := w.entries()
		for i := range n {
			w.produce([]keyed{{key: []byte(string(rune('a' + i%3))), value: fmt.Sprint(i)}})
			time.Sleep(5 * time.Millisecond)
		}
		w.until("all are parked", time.Minute, parked(3+n))
		if got := w.entries() - before; got > n/2 {
			t.Errorf("%d records were parked in %d entries", n, got)
		}
	})
}

// entries is how many entries the parking topic has.
func (w *world) entries() (n int64) {
	w.t.Helper()
	ends, err := kadm.NewClient(w.cl).ListEndOffsets(context.Background(), parkingTopic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		w.t.Error(err)
	}
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n
}
