//go:build synctests

package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/history"
)

// The coordinator's answers do not arrive. When the session is over by our own
// clock, running contexts end and nothing starts; when it is heard again, and the
// partition still ours, the same attempt is made again.
func TestSilentCoordinator(t *testing.T) {
	scene(t, 1, func(t *testing.T, w *world) {
		var mu sync.Mutex
		var cause error
		var ended time.Time
		s := newScript()
		s.set("slow", func(ctx context.Context, m *orderly.Message) error {
			err := busy(ctx, 20*time.Second)
			mu.Lock()
			defer mu.Unlock()
			if cause == nil {
				cause, ended = context.Cause(ctx), time.Now()
			}
			return err
		})
		c := short()
		c.act, c.CommitInterval = s.act, time.Hour // heartbeats are all that is heard
		a := w.start("a", c)
		w.produce(keys("slow", "slow", "k"))
		w.running(a, 0)
		time.Sleep(3500 * time.Millisecond)
		began := time.Now()
		end := a.host.stall(true)
		w.until("the context has ended", time.Minute, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return cause != nil
		})
		if !errors.Is(cause, orderly.ErrCoordinatorSilent) {
			t.Errorf("the context ended with %v", cause)
		}
		// The last heartbeat that was answered was sent at most one interval ago.
		if d := ended.Sub(began); d <= 5*time.Second-10*time.Millisecond || d > 6*time.Second {
			t.Errorf("the context ended %s after the last answer; the session is 6s", d)
		}
		w.produce(keys("other"))
		time.Sleep(500 * time.Millisecond)
		if n := len(w.starts(3)) + len(w.starts(1)); n != 0 {
			t.Errorf("a handler began while the coordinator was silent")
		}
		if !a.warned("coordinator-silent") {
			t.Errorf("nobody was told of the silence")
		}
		end() // heartbeats did arrive: the coordinator has kept the member
		w.until("all is done", time.Minute, func() bool { return a.c.State().Partitions[0].Done == 4 })
		if n := w.count(history.Release, "a"); n != 0 {
			t.Errorf("the partition was given up, although it was still ours")
		}
		a.leave()
		w.caughtUp(time.Minute)
		st := w.starts(0)
		if len(st) != 2 || st[1].Attempt != 1 {
			t.Fatalf("the record was begun as %+v; the attempt that was cut short is not counted", st)
		}
		if st[1].Token <= st[0].Token {
			t.Errorf("it went on under token %d, and had %d before", st[1].Token, st[0].Token)
		}
		w.verdict(orderly.ScopeKey, true)
	})
}

// A join waits for another member's long drain, longer than the session: that is
// no silence, and what runs on kept partitions goes on.
func TestPendingJoinIsNoSilence(t *testing.T) {
	scene(t, 6, func(t *testing.T, w *world) {
		slow := newScript()
		c := short()
		c.act = slow.act
		long := c
		long.SessionTimeout, long.DrainTimeout = 45*time.Second, 30*time.Second
		w.start("long", long)
		w.until("long has all partitions", time.Minute, func() bool { return w.count(history.Own, "long") == 6 })
		quick := w.start("quick", c)
		w.until("quick has its part", time.Minute, func() bool { return w.count(history.Own, "quick") == 3 })
		var mu sync.Mutex
		var causes []error
		for p := range 6 {
			slow.set(fmt.Sprintf("slow%d", p), func(ctx context.Context, m *orderly.Message) error {
				err := busy(ctx, 25*time.Second)
				if ctx.Value(memberKey{}).(*member) == quick && errors.Is(context.Cause(ctx), orderly.ErrCoordinatorSilent) {
					mu.Lock()
					causes = append(causes, context.Cause(ctx))
					mu.Unlock()
				}
				return err
			})
			w.produce([]keyed{{partition: int32(p), key: fmt.Appendf(nil, "slow%d", p)}})
		}
		w.until("all are running", time.Minute, func() bool { return w.count(history.Start, "") == 6 })
		w.start("third", long)
		pending, began := time.Duration(0), time.Time{}
		w.until("everybody has joined", 2*time.Minute, func() bool {
			switch joining := quick.host.joining(); {
			case joining && began.IsZero():
				began = time.Now()
			case joining:
				pending = max(pending, time.Since(began))
			default:
				began = time.Time{}
			}
			return w.count(history.Own, "third") > 0
		})
		if pending <= c.SessionTimeout {
			t.Fatalf("the join was pending for %s only: this test shows nothing", pending)
		}
		if len(causes) > 0 || quick.warned("coordinator-silent") {
			t.Errorf("while a join was pending for %s, contexts ended: %v", pending, causes)
		}
		w.caughtUp(5 * time.Minute)
		w.verdict(orderly.ScopeKey, true)
	})
}
