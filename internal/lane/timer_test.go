package lane

import (
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Keys in backoff cost neither a goroutine nor a timer each.
func TestManyKeysInBackoff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		clock := newFakeClock()
		n := 100_000 * min(soak, 10)
		var done, failed atomic.Int64
		pl := NewPool(Config{
			Concurrency: 8, Clock: clock,
			Apply: one(func(r *Run, it *Item) error {
				if it.Attempts < 2 {
					return errTest
				}
				done.Add(1)
				return nil
			}),
			OnFailure: func(r *Run, it *Item, err error) Verdict {
				failed.Add(1)
				return Verdict{Delay: time.Second + time.Duration(it.Offset)*time.Millisecond}
			},
		})
		before := runtime.NumGoroutine()
		p := pl.Add(PartitionConfig{ID: "t/0"}, 1)
		its := make([]*Item, n)
		for i := range its {
			its[i] = &Item{Hash: uint64(i), Offset: int64(i), Size: 1}
		}
		p.Enqueue(its)
		synctest.Wait()
		if st := p.Stat(); st.Blocked != n || failed.Load() != int64(n) {
			t.Fatalf("%+v after %d failures, want all %d blocked", st, failed.Load(), n)
		}
		if g := runtime.NumGoroutine() - before; g > 8 {
			t.Errorf("%d goroutines for %d keys in backoff", g, n)
		}
		if k := clock.pending(); k > 1 {
			t.Errorf("%d timers for %d keys in backoff", k, n)
		}
		if b := p.Blocked(3); len(b) != 3 || b[0].Attempts != 1 || b[0].Next.Before(clock.Now()) {
			t.Errorf("Blocked says %+v", b)
		}
		attempts := 0
		p.Failed(func(_ int64, n int32) { attempts += int(n) })
		if attempts != n {
			t.Errorf("Failed knows %d attempts, want %d", attempts, n)
		}
		for step := 0; done.Load() < int64(n) && step < 10; step++ {
			clock.advance(time.Duration(n) * time.Millisecond)
			synctest.Wait()
		}
		st := p.Stat()
		if st.Done != uint64(n) || st.Records != 0 || st.Bytes != 0 || st.Blocked != 0 || st.Units != 0 || failed.Load() != 2*int64(n) {
			t.Errorf("%+v after %d failures, want all done", st, failed.Load())
		}
		p.Failed(func(o int64, n int32) { t.Errorf("record %d is done and has %d attempts", o, n) })
		closePool(t, pl)
		if k := clock.pending(); k > 0 {
			t.Errorf("%d timers stay after Close", k)
		}
	})
}

// The earliest time counts, whoever set the timer first, and whatever became of
// the partition it was set for.
func TestTimersFireInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		clock := newFakeClock()
		var runs log[int64]
		pl := NewPool(Config{
			Concurrency: 1, Clock: clock,
			Apply: one(func(r *Run, it *Item) error {
				runs.add(it.Offset)
				if it.Attempts == 0 {
					return errTest
				}
				return nil
			}),
			OnFailure: func(r *Run, it *Item, err error) Verdict {
				return Verdict{Delay: time.Duration(it.Offset) * time.Second}
			},
		})
		p := pl.Add(PartitionConfig{ID: "t/0"}, 1)
		q := pl.Add(PartitionConfig{ID: "t/1"}, 1)
		for _, o := range []int64{5, 3, 9, 4} {
			p.Enqueue(items(o, uint64(o)))
		}
		q.Enqueue(items(1, 1))
		synctest.Wait()
		q.Close(errTest) // its timer was the next
		runs.take()
		for s := int64(1); s <= 10; s++ {
			clock.advance(time.Second)
			synctest.Wait()
			want := []int64{s}
			if !slices.Contains([]int64{3, 4, 5, 9}, s) {
				want = nil
			}
			if got := runs.take(); !slices.Equal(got, want) {
				t.Errorf("after %d s %v ran, want %v", s, got, want)
			}
		}
		closePool(t, pl)
	})
}

// Halted partitions keep their times; what came due meanwhile runs at once.
func TestRetryComesDueUnderAHalt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		clock := newFakeClock()
		var runs log[int64]
		pl := NewPool(Config{
			Concurrency: 1, Clock: clock,
			Apply: one(func(r *Run, it *Item) error {
				runs.add(it.Offset)
				if it.Attempts == 0 && it.Offset == 0 {
					return errTest
				}
				return nil
			}),
			OnFailure: func(*Run, *Item, error) Verdict { return Verdict{Delay: time.Second} },
		})
		p := pl.Add(PartitionConfig{ID: "t/0"}, 1)
		p.Enqueue(items(0, 1, 1))
		synctest.Wait()
		p.SetHalt(held)
		clock.advance(time.Hour)
		synctest.Wait()
		if got := runs.take(); !slices.Equal(got, []int64{0}) {
			t.Errorf("%v ran, want the first attempt only", got)
		}
		p.ClearHalt(held)
		synctest.Wait()
		if got := runs.take(); !slices.Equal(got, []int64{0, 1}) {
			t.Errorf("%v ran, want the retry and the next", got)
		}
		closePool(t, pl)
	})
}

// A timer that fires although an earlier one has replaced it does nothing: it must
// not make the pool forget the one that is set.
func TestStaleTimerIsIgnored(t *testing.T) {
	clock := newFakeClock()
	pl := NewPool(Config{Concurrency: 1, Clock: clock, Apply: one(func(*Run, *Item) error { return nil })})
	pl.arm(time.Hour)
	stale := pl.timer.gen
	pl.arm(time.Minute)
	pl.arm(time.Hour)
	pl.fire(stale)
	pl.arm(time.Hour)
	if clock.pending() != 1 || clock.made != 2 {
		t.Errorf("%d timers set of %d made, want the second of two", clock.pending(), clock.made)
	}
	closePool(t, pl)
	pl.arm(time.Second)
	if k := clock.pending(); k > 0 {
		t.Errorf("%d timers after Close", k)
	}
}
