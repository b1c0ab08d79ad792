package orderly

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/orderly-go/orderly/internal/breaker"
	"github.com/orderly-go/orderly/internal/lane"
)

// Events.Breaker may take its time, ask State, and wait for handlers, whose results come
// by the breaker; what changes meanwhile is told afterwards, in order.
func TestBreakerEventMayWaitForHandlers(t *testing.T) {
	cfg := ConsumerConfig{Concurrency: 4, Logger: slog.New(slog.DiscardHandler)}
	cfg.Breaker.setDefaults()
	passed := make(chan struct{})
	var g *guard
	var told []string
	cfg.Events.Breaker = func(e BreakerEvent) {
		told = append(told, e.State)
		if len(told) > 1 {
			return
		}
		if st := g.state(); st.State != BreakerOpen {
			t.Errorf("state %+v while it is told that it is open", st)
		}
		go func() { // another handler
			g.tell(func() breaker.Actions {
				g.m.Succeeded(1, false, g.now())
				return g.m.Wake(false, g.now())
			})
			close(passed)
		}()
		select {
		case <-passed:
		case <-time.After(time.Minute):
			t.Error("a handler waits for whoever listens")
		}
	}
	g = newGuard(&cfg, newReporter(&cfg))
	pool := lane.NewPool(lane.Config{Concurrency: 1})
	defer pool.Close(nil)
	g.start(pool, lane.SystemClock{})
	defer g.end()
	for n := range 5 {
		g.tell(func() breaker.Actions {
			_, a := g.m.Failed(breaker.NewKey(1, uint64(n)), breaker.Retry, false, false, g.now())
			return a
		})
	}
	if got := fmt.Sprint(told); len(told) != 1 {
		t.Errorf("told %s", got)
	}
	g.tell(func() breaker.Actions { return g.m.Succeeded(breaker.NewKey(1, 9), true, g.now()) })
	for n := uint64(10); g.state().State != BreakerClosed; n++ {
		g.tell(func() breaker.Actions { return g.m.Succeeded(breaker.NewKey(1, n), true, g.now()) })
	}
	if got := fmt.Sprint(told); got != "[open half-open closed]" {
		t.Errorf("told %s", got)
	}
}
