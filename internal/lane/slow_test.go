package lane

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// few is how long an innocent key may wait because of a slow one.
const few = 4 * monitorTick

// One slow record among fast ones of other keys, in one bunch with them: they go
// to other workers.
func TestSlowRecordDelaysNoOtherKey(t *testing.T) {
	for name, enqueue := range map[string]func(*Partition, []*Item){"units": together, "inline": streamed} {
		for _, concurrency := range []int{2, 64} {
			t.Run(fmt.Sprint(name, concurrency), func(t *testing.T) { slowRecord(t, enqueue, concurrency) })
		}
	}
}

func slowRecord(t *testing.T, enqueue func(*Partition, []*Item), concurrency int) {
	bubble(t, func(t *testing.T) {
		start := time.Now()
		var latest atomic.Int64
		pl := NewPool(Config{Concurrency: concurrency, Apply: one(func(r *Run, it *Item) error {
			if it.Offset == 3 {
				time.Sleep(time.Minute)
				return nil
			}
			latest.Store(max(latest.Load(), int64(time.Since(start))))
			return nil
		})})
		p := pl.Add(PartitionConfig{ID: "t/0"}, 1)
		keys := make([]uint64, 1000)
		for i := range keys {
			keys[i] = uint64(i) + 1
		}
		keys[500] = keys[3] // waits for it, and for nothing else
		keys[501] = keys[1] // done in the same bunch as the slow one, before it
		enqueue(p, items(0, keys...))
		time.Sleep(time.Second)
		synctest.Wait()
		if d := time.Duration(latest.Load()); d > few {
			t.Errorf("other keys waited %v", d)
		}
		if st := p.Stat(); st.Done != 998 {
			t.Errorf("%d done, want all but the slow one and its key's next", st.Done)
		}
		time.Sleep(time.Minute)
		closePool(t, pl)
	})
}

// Fast handlers get no more workers than processors. When those are stuck, ready
// records still start.
func TestLimitOnFastHandlersStarvesNobody(t *testing.T) {
	procs := runtime.GOMAXPROCS(0)
	const stuck, ready = 1 << 40, 1 << 41
	setup := func() (*Pool, *Partition, chan struct{}, *atomic.Int64) {
		release := make(chan struct{})
		done := new(atomic.Int64)
		pl := NewPool(Config{Concurrency: 10 * procs, Apply: one(func(r *Run, it *Item) error {
			if it.Offset >= stuck && it.Offset < ready {
				<-release
			}
			done.Add(1)
			return nil
		})})
		return pl, pl.Add(PartitionConfig{ID: "t/0"}, 1), release, done
	}
	wait := func(t *testing.T, done *atomic.Int64, want int, why string) {
		t.Helper()
		time.Sleep(few)
		synctest.Wait()
		if n := done.Load(); n != int64(want) {
			t.Errorf("%s: %d ready records ran in %v, want %d", why, n, few, want)
		}
	}
	keys := func(first uint64, n int) []uint64 {
		ks := make([]uint64, n)
		for i := range ks {
			ks[i] = first + uint64(i)
		}
		return ks
	}
	t.Run("stuck before the speed is known", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			pl, p, release, done := setup()
			p.Enqueue(items(stuck, keys(1, procs)...))
			synctest.Wait()
			p.Enqueue(items(0, 1001))
			synctest.Wait()
			p.Enqueue(items(ready, keys(2001, 5)...))
			wait(t, done, 6, "others are stuck")
			close(release)
			synctest.Wait()
			closePool(t, pl)
		})
	})
	t.Run("the last free worker learns the speed", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			release := make(chan struct{})
			var p *Partition
			var done atomic.Int64
			pl := NewPool(Config{Concurrency: procs + 1, Apply: one(func(r *Run, it *Item) error {
				switch {
				case it.Offset >= stuck:
					<-release
				case it.Offset == 0:
					p.Enqueue(items(1, 2001)) // nobody is free for it but this worker
				}
				done.Add(1)
				return nil
			})})
			p = pl.Add(PartitionConfig{ID: "t/0"}, 1)
			p.Enqueue(items(stuck, keys(1, procs)...))
			synctest.Wait()
			p.Enqueue(items(0, 1001))
			wait(t, &done, 2, "all others are stuck")
			close(release)
			synctest.Wait()
			closePool(t, pl)
		})
	})
	t.Run("stuck for long", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			pl, p, release, done := setup()
			fast(pl)
			p.Enqueue(items(stuck, keys(1, procs)...))
			p.Enqueue(items(0, 1001))
			const learn = 100 // that the fast ones are fast again, and the stuck ones still stuck
			for i := range int64(learn) {
				p.Enqueue(items(1+i, 1001))
				wait(t, done, 2+int(i), "others are stuck")
			}
			for i := learn + int64(1); i < 2*learn; i++ {
				p.Enqueue(items(i, 1001))
				synctest.Wait()
				if n := done.Load(); n != 1+i {
					t.Errorf("%d records ran, want %d: one was held back because of workers known to be stuck", n, 1+i)
					break
				}
			}
			close(release)
			synctest.Wait()
			closePool(t, pl)
		})
	})
	t.Run("again after a long time", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			pl, p, release, done := setup()
			fast(pl)
			p.Enqueue(items(stuck, keys(1, 1)...))
			time.Sleep(time.Minute) // the monitor looks seldom by now
			p.Enqueue(items(stuck+1000, keys(1001, 1)...))
			p.Enqueue(items(stuck+2000, keys(2001, 3*procs)...))
			p.Enqueue(items(ready, keys(3001, 5)...))
			wait(t, done, 5, "others are stuck again")
			close(release)
			synctest.Wait()
			closePool(t, pl)
		})
	})
	t.Run("fast ones that have all become slow", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			pl, p, release, done := setup()
			fast(pl)
			n := pl.cfg.Concurrency - 1
			p.Enqueue(items(stuck, keys(1, n)...))
			p.Enqueue(items(ready, keys(1001, 5)...))
			wait(t, done, 5, "all workers but one are stuck")
			if st := p.Stat(); st.Running != n {
				t.Errorf("%d handlers run, want all %d", st.Running, n)
			}
			close(release)
			synctest.Wait()
			closePool(t, pl)
		})
	})
	t.Run("ready in many partitions", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			pl, p, release, done := setup()
			fast(pl)
			p.Enqueue(items(stuck, keys(1, procs)...))
			for i := range 5 {
				q := pl.Add(PartitionConfig{ID: string(rune('a' + i))}, 1)
				q.Enqueue(items(ready, 1))
			}
			wait(t, done, 5, "stuck ones in another partition")
			close(release)
			synctest.Wait()
			closePool(t, pl)
		})
	})
	t.Run("slow in many partitions", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			pl, _, release, _ := setup()
			fast(pl)
			for i := range pl.cfg.Concurrency {
				q := pl.Add(PartitionConfig{ID: string(rune('a' + i))}, 1)
				q.Enqueue(items(stuck, 1))
			}
			time.Sleep(few)
			synctest.Wait()
			if n := len(pl.Running(0)); n != pl.cfg.Concurrency {
				t.Errorf("%d handlers run after %v, want all %d", n, few, pl.cfg.Concurrency)
			}
			close(release)
			synctest.Wait()
			closePool(t, pl)
		})
	})
	t.Run("no more workers than processors", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			var now, most atomic.Int64
			pl := NewPool(Config{Concurrency: 10 * procs, Apply: one(func(r *Run, it *Item) error {
				most.Store(max(most.Load(), now.Add(1)))
				runtime.Gosched()
				now.Add(-1)
				return nil
			})})
			p := pl.Add(PartitionConfig{ID: "t/0"}, 1)
			together(p, items(0, keys(1, 5000)...))
			synctest.Wait()
			if n := most.Load(); n > int64(procs) {
				t.Errorf("%d workers at once for a handler that takes no time, on %d processors", n, procs)
			}
			closePool(t, pl)
		})
	})
}

// Records that a halt gave back say nothing about the handler's speed.
func TestHaltedRunsAreNotMeasured(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var p *Partition
		pl := NewPool(Config{Concurrency: 1, Apply: func(r *Run) (int, error) {
			p.SetHalt(held)
			return 0, ErrHalted
		}})
		p = pl.Add(PartitionConfig{ID: "t/0"}, 1)
		p.Enqueue(items(0, 1))
		synctest.Wait()
		if a := pl.average.Load(); a != 0 {
			t.Errorf("a record that was not attempted counts with %v", time.Duration(a))
		}
		closePool(t, pl)
	})
}

// The monitor ends when nothing is under way, and when there is nothing to find.
func TestMonitorEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		pl := NewPool(Config{Concurrency: 64, Apply: one(func(r *Run, it *Item) error {
			if it.Offset == 0 {
				time.Sleep(time.Minute)
			} else if it.Offset >= 100 {
				time.Sleep(time.Millisecond)
			}
			return nil
		})})
		p := pl.Add(PartitionConfig{ID: "t/0"}, 1)
		together(p, items(0, 1, 2, 3))
		synctest.Wait()
		if pl.watch.tick.Load() == 0 {
			t.Error("nobody looks after the bunch")
		}
		time.Sleep(time.Second)
		pl.average.Store(int64(time.Second)) // slow: no limit, no bunches
		time.Sleep(time.Second)
		if tick := pl.watch.tick.Load(); tick != 0 {
			t.Errorf("the monitor still looks every %v at a handler that holds nobody up", time.Duration(tick))
		}
		time.Sleep(time.Minute)
		p.Enqueue(items(10, 1, 2, 3))
		fast(pl)
		time.Sleep(time.Second)
		if tick := pl.watch.tick.Load(); tick != 0 {
			t.Errorf("the monitor still looks every %v although all is done", time.Duration(tick))
		}
		pl.average.Store(int64(time.Second))
		for i := range int64(100) {
			p.Enqueue(items(100+i, 1))
		}
		pl.beginWatch()
		time.Sleep(10 * time.Millisecond)
		if tick := pl.watch.tick.Load(); tick != 0 {
			t.Errorf("the monitor looks every %v at workers that hold nobody up", time.Duration(tick))
		}
		time.Sleep(time.Second)
		closePool(t, pl)
	})
}
