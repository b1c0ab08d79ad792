package lane

import (
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A handler that outlives its ownership keeps exactly its own unit closed.
func TestGhostKeepsItsUnitClosed(t *testing.T) {
	for _, c := range []struct {
		name   string
		cfg    PartitionConfig
		closed []int64 // of the records 10.. with keys 1 2 3 4, while the handler of key 1 is stuck
	}{
		{"keys", PartitionConfig{}, []int64{10}},
		{"lanes", PartitionConfig{Lanes: 2}, []int64{10, 12}},
		{"detach", PartitionConfig{Lanes: 2, Detach: true}, []int64{10, 12}},
		{"whole", PartitionConfig{Whole: true}, []int64{10, 11, 12, 13}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				release := make(chan struct{})
				var started log[int64]
				pl := NewPool(Config{Concurrency: 8, Apply: one(func(r *Run, it *Item) error {
					started.add(it.Offset)
					if it.Offset < 10 {
						<-release // whatever its context says
					}
					return nil
				})})
				c.cfg.ID = "t/0"
				for offset := range int64(2) { // each ownership with a stuck handler of its own
					p := pl.Add(c.cfg, 1)
					p.Enqueue(items(offset, 1))
					synctest.Wait()
					p.Close(errTest)
				}
				p := pl.Add(c.cfg, 2)
				p.Enqueue(items(10, 1, 2, 3, 4))
				synctest.Wait()
				var want []int64
				for o := range int64(14) {
					if o == 0 || o >= 10 && !slices.Contains(c.closed, o) {
						want = append(want, o)
					}
				}
				got := started.take()
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("while the handler of an earlier ownership is stuck %v started, want %v", got, want)
				}
				if rs := pl.Running(0); len(rs) != 1 || !rs[0].Closed || rs[0].Items[0].Offset != 0 {
					t.Errorf("Running says %+v, want the stuck one, closed", rs)
				}
				close(release)
				synctest.Wait()
				got = started.take()
				slices.Sort(got)
				if !slices.Equal(got, c.closed) {
					t.Errorf("when it has returned %v started, want %v", got, c.closed)
				}
				if len(pl.ghosts) > 0 {
					t.Errorf("ghosts stay: %v", pl.ghosts)
				}
				closePool(t, pl)
			})
		})
	}
}

// A later ownership knows nothing of a key that was detached: its lane is closed.
func TestGhostOfADetachedKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		var started log[int64]
		pl := NewPool(Config{Concurrency: 8, Apply: one(func(r *Run, it *Item) error {
			started.add(it.Offset)
			if it.Offset == 0 {
				if it.Attempts == 0 {
					return errTest
				}
				<-release
			}
			return nil
		})})
		cfg := PartitionConfig{ID: "t/0", Lanes: 2, Detach: true}
		p := pl.Add(cfg, 1)
		p.Enqueue(items(0, 5))
		time.Sleep(time.Second)
		synctest.Wait()
		p.Close(errTest)
		p = pl.Add(cfg, 2)
		p.Enqueue(items(10, 5, 6))
		synctest.Wait()
		if got := started.take(); !slices.Equal(got, []int64{0, 0, 11}) {
			t.Errorf("%v started, want the first, its retry, and the other lane", got)
		}
		close(release)
		synctest.Wait()
		if got := started.take(); !slices.Equal(got, []int64{10}) {
			t.Errorf("%v started when the handler had returned", got)
		}
		closePool(t, pl)
	})
}

// What only waits in the bunch of a stuck handler is not a running handler.
func TestCloseFreesTheBunchOfAStuckHandler(t *testing.T) {
	t.Run("units", func(t *testing.T) { closeStuck(t, together) })
	t.Run("inline", func(t *testing.T) { closeStuck(t, streamed) })
}

func closeStuck(t *testing.T, enqueue func(*Partition, []*Item)) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		dropped := make(chan int, 1)
		var started log[int64]
		var p *Partition
		pl := NewPool(Config{Concurrency: 8, Apply: one(func(r *Run, it *Item) error {
			started.add(it.Offset)
			if it.Offset == 1 {
				dropped <- p.Close(errTest)
				<-release
			}
			return nil
		})})
		p = pl.Add(PartitionConfig{ID: "t/0"}, 1)
		enqueue(p, items(0, 4, 1, 2, 3))
		if n := <-dropped; n != 2 {
			t.Errorf("Close says that %d records were dropped unstarted, want 2", n)
		}
		p2 := pl.Add(PartitionConfig{ID: "t/0"}, 2)
		p2.Enqueue(items(10, 1, 2, 3, 4))
		synctest.Wait()
		got := started.take()
		slices.Sort(got)
		if want := []int64{0, 1, 11, 12, 13}; !slices.Equal(got, want) {
			t.Errorf("%v started, want %v", got, want)
		}
		close(release)
		synctest.Wait()
		if got := started.take(); !slices.Equal(got, []int64{10}) {
			t.Errorf("%v started after the stuck one, want its key's next", got)
		}
		if len(pl.ghosts) > 0 {
			t.Errorf("ghosts stay: %v", pl.ghosts)
		}
		closePool(t, pl)
	})
}

// A handler that ends its goroutine, as a test's FailNow does, is a failed attempt.
func TestHandlerEndsItsGoroutine(t *testing.T) {
	t.Run("units", func(t *testing.T) { endGoroutine(t, together) })
	t.Run("inline", func(t *testing.T) { endGoroutine(t, streamed) })
}

func endGoroutine(t *testing.T, enqueue func(*Partition, []*Item)) {
	bubble(t, func(t *testing.T) {
		var started log[int64]
		var blamed log[int64]
		pl := NewPool(Config{
			Concurrency: 1,
			Apply: one(func(r *Run, it *Item) error {
				started.add(it.Offset)
				if it.Offset == 1 && it.Attempts == 0 {
					runtime.Goexit()
				}
				return nil
			}),
			OnFailure: func(r *Run, it *Item, err error) Verdict {
				blamed.add(it.Offset)
				return Verdict{}
			},
		})
		p := pl.Add(PartitionConfig{ID: "t/0"}, 1)
		enqueue(p, items(0, 1, 2, 2, 3))
		synctest.Wait()
		if got := blamed.take(); !slices.Equal(got, []int64{1}) {
			t.Errorf("%v blamed, want the record whose handler ended its goroutine", got)
		}
		if st := p.Stat(); st.Done != 4 || st.Running != 0 {
			t.Errorf("%+v after %v, want all four done", st, started.take())
		}
		closePool(t, pl)
	})
}

// What Apply counts is told once for each bunch of a worker, before its results are
// given back, also when a handler ended its goroutine on the way.
func TestTally(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var told log[Tally]
		ended := false
		pl := NewPool(Config{
			Concurrency: 1,
			Apply: one(func(r *Run, it *Item) error {
				if it.Offset == 2 && !ended {
					ended = true
					runtime.Goexit()
				}
				if r.Tally.Done == 0 {
					r.Tally.Of = it.Offset
				}
				r.Tally.Done++
				return nil
			}),
			Tally: told.add,
		})
		p := pl.Add(PartitionConfig{ID: "t/0"}, 1)
		streamed(p, items(0, 1, 2, 3, 4))
		synctest.Wait()
		total := 0
		all := told.take()
		for _, one := range all {
			total += one.Done
		}
		if total != 4 || len(all) == 4 || all[0] != (Tally{Done: 2, Of: int64(0)}) {
			t.Errorf("told %+v, want the two before the one that failed, then the rest", all)
		}
		closePool(t, pl)
	})
}

// Tick gets the time of the pool's clock, which a test may have stopped.
func TestTickIsOfTheClock(t *testing.T) {
	clock := newFakeClock()
	for name, c := range map[string]struct {
		clock Clock
		now   func() time.Time
	}{"system": {nil, time.Now}, "another": {clock, clock.Now}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var ticks log[time.Time]
				pl := NewPool(Config{Concurrency: 1, Clock: c.clock, Tick: ticks.add, Apply: one(func(*Run, *Item) error { return nil })})
				p := pl.Add(PartitionConfig{ID: "t/0"}, 1)
				p.Enqueue(items(0, 1))
				synctest.Wait()
				if got := ticks.take(); len(got) != 1 || !got[0].Equal(c.now()) {
					t.Errorf("%v, want one at %v", got, c.now())
				}
				closePool(t, pl)
			})
		})
	}
}

// The records of the run that were done before it are not handed over again, when
// the Apply says where it is.
func TestHandlerEndsItsGoroutineInARun(t *testing.T) {
	for name, c := range map[string]struct {
		tells bool
		want  []int64
	}{"tells": {true, []int64{0, 1, 1, 2}}, "cannot tell": {false, []int64{0, 1, 0, 1, 2}}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var started, blamed log[int64]
				ended := 0
				pl := NewPool(Config{
					Concurrency: 1,
					Apply: func(r *Run) (int, error) {
						for i, it := range r.Items {
							if c.tells {
								r.At = i + 1
							}
							started.add(it.Offset)
							if it.Offset == 1 && ended == 0 {
								ended = len(r.Items)
								runtime.Goexit()
							}
						}
						return len(r.Items), nil
					},
					OnFailure: func(_ *Run, it *Item, _ error) Verdict {
						blamed.add(it.Offset)
						return Verdict{}
					},
				})
				p := pl.Add(PartitionConfig{ID: "t/0", Whole: true}, 1)
				together(p, items(0, 7, 7, 7))
				synctest.Wait()
				if ended != 3 {
					t.Errorf("the handler ended a run of %d records, want all three", ended)
				}
				if got := started.take(); !slices.Equal(got, c.want) {
					t.Errorf("%v started, want %v", got, c.want)
				}
				if got := blamed.take(); c.tells != slices.Equal(got, []int64{1}) {
					t.Errorf("%v blamed", got)
				}
				if st := p.Stat(); st.Done != 3 || st.Running != 0 {
					t.Errorf("%+v, want all three done", st)
				}
				closePool(t, pl)
			})
		})
	}
}

func TestRunningOutlivesTheRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		pl := NewPool(Config{Concurrency: 1, Apply: one(func(*Run, *Item) error {
			<-release
			return nil
		})})
		p := pl.Add(PartitionConfig{ID: "t/0"}, 1)
		p.Enqueue(items(5, 1))
		synctest.Wait()
		rs := pl.Running(0)
		close(release)
		synctest.Wait()
		if len(rs) != 1 || len(rs[0].Items) != 1 || rs[0].Items[0] == nil || rs[0].Items[0].Offset != 5 || rs[0].Ctx == nil {
			t.Errorf("Running's answer changed when the run ended: %+v", rs)
		}
		if rs := pl.Running(0); len(rs) > 0 {
			t.Errorf("Running lists a run that has ended: %+v", rs)
		}
		closePool(t, pl)
	})
}
