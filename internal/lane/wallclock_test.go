package lane

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

// A steppedClock is a fakeClock whose wall clock somebody sets, as an operator or a
// time daemon does: what has passed on the monotonic clock stays as it was.
type steppedClock struct {
	*fakeClock
	by time.Duration
}

func (c *steppedClock) Now() time.Time { return stepped(c.fakeClock.Now(), c.by) }

// stepped returns the time as it would have been read from a wall clock that is ahead
// by whole seconds. Package time has no way to make one: of its two readings only the
// wall's seconds are changed, which begin at bit 30 of the first word.
func stepped(t time.Time, by time.Duration) time.Time {
	*(*uint64)(unsafe.Pointer(&t)) += uint64(by/time.Second) << 30
	return t
}

// A wall clock that is set forward or back neither hastens nor delays a retry, a write's
// next try, or what comes due under the gate.
func TestStepsOfTheWallClockChangeNothing(t *testing.T) {
	real := time.Now() // outside of the bubble, with both readings
	for _, by := range []time.Duration{-240 * time.Hour, -time.Second, time.Minute, 240 * time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			if moved := stepped(real, by); moved.Unix()-real.Unix() != int64(by/time.Second) || moved.Sub(real) != 0 {
				t.Fatalf("%s, stepped by %s, is %s: package time keeps its readings elsewhere now", real, by, moved)
			}
			bubble(t, func(t *testing.T) {
				clock := &steppedClock{fakeClock: newFakeClock()}
				clock.now = real
				var runs log[int64]
				pl := NewPool(Config{
					Concurrency: 1, Clock: clock,
					Apply: one(func(r *Run, it *Item) error {
						runs.add(it.Offset)
						if it.Attempts < 2 {
							return errTest
						}
						return nil
					}),
					OnFailure: func(r *Run, it *Item, err error) Verdict {
						if it.Offset == 20 {
							a := NewAwait(r, "writing")
							a.Retry(20 * time.Second)
							return Verdict{Await: a, Spare: true}
						}
						return Verdict{Delay: time.Duration(it.Offset) * time.Second}
					},
				})
				p := pl.Add(PartitionConfig{ID: "t/0"}, 1)
				p.Enqueue(items(10, 10))
				p.Enqueue(items(20, 20))
				synctest.Wait()
				if got := runs.take(); !slices.Equal(got, []int64{10, 20}) {
					t.Fatalf("%v ran, want both once", got)
				}
				clock.by = by
				for s := 1; s <= 20; s++ {
					clock.advance(time.Second)
					synctest.Wait()
					var want []int64
					switch s {
					case 10: // fails again: its next time is read from the stepped clock
						want = []int64{10}
						clock.by = 0 // and back
					case 20:
						want = []int64{10, 20}
					}
					got := runs.take()
					slices.Sort(got)
					if !slices.Equal(got, want) {
						t.Errorf("after %d s %v ran, want %v", s, got, want)
					}
				}
				pl.Close(nil)
			})
		})
	}
}
