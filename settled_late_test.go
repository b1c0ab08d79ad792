package orderly

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/progress"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What is discarded does not count as settled: a result that comes when its partition
// has left, or after what is done of it was fixed at the drain deadline. One that comes
// while the coordinator is silent counts: the partition may still be ours.
func TestLateResultsAreNotSettled(t *testing.T) {
	for _, batch := range []bool{false, true} {
		for name, c := range map[string]struct {
			end  func(p *lane.Partition)
			want int64
		}{
			"closed":   {func(p *lane.Partition) { p.Close(ErrPartitionLost) }, 0},
			"deadline": {func(p *lane.Partition) { p.Cancel(ErrDrainDeadline) }, 0},
			"silent":   {func(p *lane.Partition) { p.Cancel(ErrCoordinatorSilent) }, 1},
			"in time":  {func(*lane.Partition) {}, 1},
		} {
			var settled atomic.Int64
			running, release := make(chan struct{}), make(chan struct{})
			cfg := ConsumerConfig{Logger: slog.New(slog.DiscardHandler), Events: Events{Settled: func(e SettledEvent) { settled.Add(int64(e.Records)) }}}
			if batch {
				cfg.Batch.Handler = func(_ context.Context, ms []*Message) (int, error) {
					close(running)
					<-release
					return len(ms), nil
				}
			} else {
				cfg.Handler = func(context.Context, *Message) error {
					close(running)
					<-release
					return nil
				}
			}
			cfg = cfg.withDefaults()
			h := newHandling(&cfg, func(err *StopError) { t.Error(err) })
			pool := h.pool(lane.SystemClock{})
			p := pool.Add(h.partition("t", 0), 1)
			items := h.items([]*kgo.Record{{Topic: "t", Key: []byte("a")}}, nil)
			var err error
			if items[0].Slot, err = progress.NewRing(0).Append(0); err != nil {
				t.Fatal(err)
			}
			p.Enqueue(items)
			<-running
			c.end(p)
			close(release)
			<-p.WaitIdle()
			pool.Close(errors.New("over"))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if err := pool.Wait(ctx); err != nil {
				t.Fatal(err)
			}
			cancel()
			h.guard.end()
			if got := settled.Load(); got != c.want {
				t.Errorf("batch %t, %s: %d settled, want %d", batch, name, got, c.want)
			}
		}
	}
}
