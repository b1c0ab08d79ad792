//go:build synctests

package sim

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
)

// Members come and go while every handler takes two seconds: 64 workers each, with
// the default timeouts. No two handlers of a key run at the same time, and every
// handover waits for those that run.
func TestNoOverlapWhileMembersJoinAndLeave(t *testing.T) {
	for _, balancer := range []orderly.Balancer{orderly.CooperativeSticky, orderly.Range, orderly.MigrateFrom(orderly.Range)} {
		t.Run(balancer.String(), func(t *testing.T) {
			scene(t, 12, func(t *testing.T, w *world) {
				var c memberConfig
				c.Balancer, c.Concurrency = balancer, 64
				c.act = func(ctx context.Context, _ *orderly.Message) error { return busy(ctx, 2*time.Second) }
				w.fill(6000, 20, true)
				var first *member
				for i := range 5 {
					m := w.start(fmt.Sprintf("m%d", i), c)
					if i == 0 {
						first = m
					}
					time.Sleep(11 * time.Second)
				}
				first.end()
				w.caughtUp(time.Hour)
				w.verdict(orderly.ScopeKey, true)
				if n := w.redelivered(); n > 0 {
					t.Errorf("%d records were begun twice, although every handler returned before the drain deadline", n)
				}
			})
		})
	}
}
