package lane

import (
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/orderly-go/orderly/internal/progress"
)

// A unit may exist for each outstanding record; it stays in its size class.
func TestUnitIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(unit{}); n > 88 {
		t.Errorf("a unit has %d bytes, want 88 at the most", n)
	}
}

var awaitModes = []struct {
	name string
	cfg  PartitionConfig
	free []int64 // of the records 0 to 5 with keys 1 2 1 2 3 1, those that run while record 0 waits
	rest []int64 // those that run when it is answered
}{
	{"keys", PartitionConfig{}, []int64{1, 3, 4}, []int64{2, 5}},
	{"lanes", PartitionConfig{Lanes: 2}, []int64{1, 3}, []int64{2, 4, 5}},
	{"detach", PartitionConfig{Lanes: 2, Detach: true}, []int64{1, 3, 4}, []int64{2, 5}},
	{"whole", PartitionConfig{Whole: true}, nil, []int64{1, 2, 3, 4, 5}},
}

// While a failed record awaits its settlement nothing of its unit runs, nothing
// counts as running, no timer is set; settled, its slot is done and the next run.
func TestAwait(t *testing.T) {
	for _, c := range awaitModes {
		for _, how := range []string{"done", "done early", "retry"} {
			t.Run(c.name+", "+how, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					ring := progress.NewRing(0)
					var started log[int64]
					var await *Await
					clock := newFakeClock()
					pl := NewPool(Config{
						Concurrency: 4, Clock: clock,
						Apply: one(func(r *Run, it *Item) error {
							started.add(it.Offset)
							if it.Offset == 0 && it.Attempts == 0 {
								return errTest
							}
							it.Slot.Done()
							return nil
						}),
						OnFailure: func(r *Run, it *Item, err error) Verdict {
							await = NewAwait(r, "writing")
							if how == "done early" {
								await.Done()
							}
							return Verdict{Await: await, Keep: &Item{Slot: it.Slot}}
						},
					})
					c.cfg.ID = "t/0"
					p := pl.Add(c.cfg, 1)
					its := items(0, 1, 2, 1, 2, 3, 1)
					for _, it := range its {
						it.Slot, _ = ring.Append(it.Offset)
					}
					p.Enqueue(its)
					synctest.Wait()
					got := started.take()
					if how != "done early" {
						slices.Sort(got)
						if want := append([]int64{0}, c.free...); !slices.Equal(got, want) {
							t.Errorf("while record 0 waits %v ran, want %v", got, want)
						}
						st := p.Stat()
						if st.Running != 0 || st.Blocked != 1 || clock.pending() != 0 || its[0].Slot.IsDone() {
							t.Errorf("%+v and %d timers, want one that waits", st, clock.pending())
						}
						if b := p.Blocked(9); len(b) != 1 || b[0].Awaits != "writing" || b[0].Held || !b[0].Next.IsZero() || b[0].Attempts != 1 {
							t.Errorf("Blocked says %+v", b)
						}
						select {
						case <-p.WaitIdle():
						default:
							t.Error("a record that awaits its settlement counts as running")
						}
						again := []int64(nil)
						if how == "retry" {
							again = []int64{0}
							if !await.Retry(time.Second) {
								t.Error("Retry did not count")
							}
							clock.advance(time.Second)
						} else if !await.Done() {
							t.Error("Done did not count")
						}
						synctest.Wait()
						if got, want := started.take(), append(again, c.rest...); !slices.Equal(got, want) {
							t.Errorf("answered, %v ran, want %v", got, want)
						}
					}
					if await.Open() || await.Done() || await.Retry(0) {
						t.Error("a second answer counted")
					}
					if st := p.Stat(); st.Records != 0 || st.Bytes != 0 || st.Units != 0 || st.Blocked != 0 || st.Done != 6 {
						t.Errorf("%+v, want all done", st)
					}
					if ring.Reclaim() != 0 {
						t.Errorf("%d records are not done", ring.Len())
					}
					p.Failed(func(o int64, n int32) { t.Errorf("record %d is done and has %d attempts", o, n) })
					closePool(t, pl)
				})
			})
		}
	}
}

// An answer after Close is nobody's: the record belongs to the next owner.
func TestAnswerAfterClose(t *testing.T) {
	for _, c := range awaitModes {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ring := progress.NewRing(0)
				slot, _ := ring.Append(0)
				var started log[int64]
				var awaits []*Await
				pl := NewPool(Config{
					Concurrency: 4,
					Apply: one(func(r *Run, it *Item) error {
						started.add(it.Offset)
						return errTest
					}),
					OnFailure: func(r *Run, it *Item, err error) Verdict {
						awaits = append(awaits, NewAwait(r, "writing"))
						return Verdict{Await: awaits[len(awaits)-1]}
					},
				})
				c.cfg.ID = "t/0"
				p := pl.Add(c.cfg, 1)
				its := items(0, 1, 1)
				its[0].Slot = slot
				p.Enqueue(its)
				synctest.Wait()
				if n := p.Close(errTest); n != 2 {
					t.Errorf("Close dropped %d records, want the waiting one and the one behind it", n)
				}
				p = pl.Add(c.cfg, 2)
				if awaits[0].Open() || awaits[0].Done() || awaits[0].Retry(0) {
					t.Error("an answer counted after Close")
				}
				if slot.IsDone() {
					t.Error("an answer after Close has settled the record")
				}
				p.Enqueue(items(0, 1, 1))
				synctest.Wait()
				if got := started.take(); !slices.Equal(got, []int64{0, 0}) {
					t.Errorf("%v ran, want the record once in each ownership", got)
				}
				closePool(t, pl)
			})
		})
	}
}

// A record settled by decision needs no answer: its key goes on in the same step.
// An attempt that is not counted leaves the count as it was.
func TestSettledAndSpareVerdicts(t *testing.T) {
	for _, c := range awaitModes {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ring := progress.NewRing(0)
				var started log[int64]
				var seen []int32
				failures := 0
				pl := NewPool(Config{
					Concurrency: 1,
					Apply: one(func(r *Run, it *Item) error {
						started.add(it.Offset)
						if it.Offset == 0 {
							seen = append(seen, it.Attempts)
							return errTest
						}
						it.Slot.Done()
						return nil
					}),
					OnFailure: func(*Run, *Item, error) Verdict {
						if failures++; failures < 4 {
							return Verdict{Spare: failures != 2, Delay: time.Millisecond}
						}
						return Verdict{Settled: true}
					},
				})
				c.cfg.ID = "t/0"
				p := pl.Add(c.cfg, 1)
				its := items(0, 1, 1, 3)
				for _, it := range its {
					it.Slot, _ = ring.Append(it.Offset)
				}
				p.Enqueue(its)
				time.Sleep(time.Second)
				synctest.Wait()
				if !slices.Equal(seen, []int32{0, 0, 1, 1}) {
					t.Errorf("attempts %v, want only the second failure counted", seen)
				}
				got := started.take()
				if len(got) != 6 || slices.Index(got, 1) < 4 {
					t.Errorf("%v ran, want the record four times, then its follower", got)
				}
				if ring.Reclaim() != 0 || p.Stat().Records != 0 || p.Stat().Done != 3 {
					t.Errorf("%+v, %d not done", p.Stat(), ring.Len())
				}
				p.Failed(func(o int64, n int32) { t.Errorf("record %d is done and has %d attempts", o, n) })
				closePool(t, pl)
			})
		})
	}
}

// 100,000 keys await settlements at once: no goroutine and no timer each.
func TestManyKeysAwait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const n = 100_000
		clock := newFakeClock()
		awaits := make([]*Await, n)
		pl := NewPool(Config{
			Concurrency: 8, Clock: clock,
			Apply: one(func(r *Run, it *Item) error { return errTest }),
			OnFailure: func(r *Run, it *Item, err error) Verdict {
				awaits[it.Offset] = NewAwait(r, "writing")
				return Verdict{Await: awaits[it.Offset]}
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
		if st, g := p.Stat(), runtime.NumGoroutine()-before; st.Blocked != n || g > 8 || clock.pending() > 1 { // one looks after memory
			t.Errorf("%+v, %d goroutines, %d timers", st, g, clock.pending())
		}
		for _, a := range awaits {
			a.Done()
		}
		if st := p.Stat(); st.Blocked != 0 || st.Records != 0 || st.Units != 0 || st.Done != n {
			t.Errorf("%+v, want all done", st)
		}
		closePool(t, pl)
	})
}
