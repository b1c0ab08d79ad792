package effectstest

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
)

const parksEnv = "ORDERLY_EFFECTSTEST_PARKS"

var errPlanted = errors.New("planted")

// parks has one of so many calls of the handler fail in every other partition, behind
// its effects: its key is parked at once, and released soon. The others have transactions
// of many records.
func parks(db *DB, cfg *orderly.ConsumerConfig) error {
	const oneOf = 40
	var calls atomic.Int64
	cfg.OnExhausted, cfg.Retry.MaxAttempts = orderly.PolicyPark, 1
	cfg.Breaker = orderly.Breaker{Disabled: true}
	cfg.Parking = orderly.Parking{First: 20 * time.Millisecond, Longest: 100 * time.Millisecond}
	die, spared := func(*orderly.Message) {}, func(*orderly.Message) bool { return false }
	if dir := os.Getenv(deadlyEnv); dir != "" {
		d, err := planted(dir)
		if err != nil {
			return err
		}
		die, spared = d.call, d.spares
	}
	cfg.Effects = db.Effects(func(ctx context.Context, tx any, m *orderly.Message) error {
		err := db.apply(ctx, tx, m)
		if err == nil && m.Partition%2 == 0 && calls.Add(1)%oneOf == 0 && !spared(m) {
			err = errPlanted
		}
		die(m)
		return err
	})
	return nil
}

// parkedRows watches how much is parked.
type parkedRows struct{ most atomic.Int64 }

const countParked = `SELECT count(*) FROM orderly_exception WHERE payload IS NOT NULL`

// watch looks now and then, until the test ends.
func (p *parkedRows) watch(t *testing.T, db *DB) {
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
			}
			// The database may be down at the moment.
			_ = db.Query(ctx, countParked, func(scan func(...any) error) error {
				var n int64
				if err := scan(&n); err != nil {
					return err
				}
				p.most.Store(max(p.most.Load(), n))
				return nil
			})
		}
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
}

// enough says that something was parked, and that nothing is left.
func (p *parkedRows) enough(t *testing.T, db *DB) {
	if p.most.Load() == 0 {
		t.Error("nothing was parked: that shows nothing")
	}
	t.Logf("up to %d records were parked at a time", p.most.Load())
	var left int
	one(t, db, `SELECT count(*) FROM orderly_exception`, &left)
	if left != 0 {
		t.Errorf("%d exceptions are left of records that are applied", left)
	}
}
