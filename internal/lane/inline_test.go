package lane

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// While handlers are fast records have no units; when they are not each key has,
// so that as many run side by side as there are workers.
func TestInlineWhileHandlersAreFast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const n = 1000
		var p *Partition
		var pause time.Duration
		var units log[int]
		pl := NewPool(Config{Concurrency: 8, Apply: one(func(*Run, *Item) error {
			units.add(p.Stat().Units)
			time.Sleep(pause)
			return nil
		})})
		p = pl.Add(PartitionConfig{ID: "t/0"}, 1)
		keys := make([]uint64, n)
		for i := range keys {
			keys[i] = uint64(i)
		}
		streamed(p, items(0, keys...))
		synctest.Wait()
		if got := units.take(); len(got) != n || slices.Max(got) != 0 {
			t.Errorf("%d records of a fast handler ran, with up to %d units; want %d without any", len(got), slices.Max(got), n)
		}
		pause = time.Millisecond
		start := time.Now()
		streamed(p, items(n, keys...))
		<-p.WaitIdle()
		for p.Stat().Records > 0 {
			time.Sleep(pause)
		}
		// One bunch runs before anybody knows.
		if d := time.Since(start); d > (n/8+maxRun+10)*pause {
			t.Errorf("%d records of %v took %v with 8 workers", n, pause, d)
		}
		closePool(t, pl)
	})
}

// A record that fails holds back its key, and only its key.
func TestInlineFailureHoldsItsKey(t *testing.T) {
	for name, fail := range map[string]error{"failed": errTest, "halted": ErrHalted} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				first := true
				var started log[int64]
				pl := NewPool(Config{
					Concurrency: 1,
					Apply: one(func(r *Run, it *Item) error {
						started.add(it.Offset)
						if it.Offset == 1 && first {
							first = false
							return fail
						}
						return nil
					}),
					OnFailure: func(*Run, *Item, error) Verdict { return Verdict{Delay: time.Hour} },
				})
				p := pl.Add(PartitionConfig{ID: "t/0"}, 1)
				streamed(p, items(0, 1, 2, 2, 3, 2, 1))
				synctest.Wait()
				want := []int64{0, 1, 3, 5}
				if fail == errTest {
					if got := started.take(); !slices.Equal(got, want) {
						t.Errorf("%v started while key 2 waits for its retry, want %v", got, want)
					}
					if bs := p.Blocked(9); len(bs) != 1 || bs[0].Head.Offset != 1 || bs[0].Waiting != 3 {
						t.Errorf("blocked: %+v, want record 1 with two behind it", bs)
					}
					p.Enqueue(items(6, 2, 1))
					time.Sleep(2 * time.Hour)
					want = []int64{1, 2, 4, 6, 7}
				} else {
					p.Enqueue(items(6, 2, 1))
					want = []int64{0, 1, 1, 2, 3, 4, 5, 6, 7}
				}
				synctest.Wait()
				got := started.take()
				if i := slices.Index(got, 7); fail == errTest && i == 0 {
					got = append(got[1:], 7) // of another key, which did not wait
				}
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("%v started, want %v", got, want)
				}
				if st := p.Stat(); st.Units != 0 || st.Records != 0 {
					t.Errorf("%+v is left", st)
				}
				closePool(t, pl)
			})
		})
	}
}

// A handler that is stuck in the only record there was does not keep what arrives
// later.
func TestInlineStuckAloneDelaysNoOtherKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var done log[int64]
		pl := NewPool(Config{Concurrency: 2, Apply: one(func(_ *Run, it *Item) error {
			if it.Offset == 0 {
				time.Sleep(time.Minute)
			}
			done.add(it.Offset)
			return nil
		})})
		p := pl.Add(PartitionConfig{ID: "t/0"}, 1)
		streamed(p, items(0, 1))
		synctest.Wait()
		p.Enqueue(items(1, 2, 1, 3))
		time.Sleep(few)
		synctest.Wait()
		if got := done.take(); !slices.Equal(got, []int64{1, 3}) {
			t.Errorf("%v done while the handler of key 1 is stuck, want the other keys'", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := done.take(); !slices.Equal(got, []int64{0, 2}) {
			t.Errorf("%v done at the end, want key 1 in order", got)
		}
		closePool(t, pl)
	})
}

// Neither the stream nor the units starve the other when there is one worker.
func TestInlineAndUnitsTakeTurns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var p *Partition
		var unit, stream int // calls
		busy := func() bool { return min(unit, stream) < 50 && max(unit, stream) < 10_000 }
		next := int64(2)
		pl := NewPool(Config{Concurrency: 1, Apply: one(func(_ *Run, it *Item) error {
			if it.Hash == 1 {
				unit++
				if busy() {
					return ErrHalted // its unit is ready again at once
				}
				return nil
			}
			stream++
			if busy() { // the stream is never empty
				p.Enqueue(items(next, 2))
				next++
			}
			return nil
		})})
		pl.inlineAlways.Store(true)
		p = pl.Add(PartitionConfig{ID: "t/0", Halt: held}, 1)
		p.Enqueue(items(0, 1, 2))
		p.ClearHalt(held)
		synctest.Wait()
		if d := unit - stream; d < -2 || d > 2 {
			t.Errorf("%d calls of a unit that is always ready and %d of a stream that is never empty, want them to take turns", unit, stream)
		}
		closePool(t, pl)
	})
}

// Handlers that have become slow do not let a record pass the one of its key that
// is with the stream's worker.
func TestInlineEndsInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var running, most int
		pl := NewPool(Config{Concurrency: 4, Apply: one(func(*Run, *Item) error {
			running++ // by one handler at a time, or the race detector says so too
			most = max(most, running)
			time.Sleep(time.Millisecond)
			running--
			return nil
		})})
		p := pl.Add(PartitionConfig{ID: "t/0"}, 1)
		streamed(p, items(0, 1))
		synctest.Wait()
		pl.average.Store(int64(time.Second))
		p.Enqueue(items(1, 1))
		<-p.WaitIdle()
		synctest.Wait()
		time.Sleep(10 * time.Millisecond)
		if st := p.Stat(); most != 1 || st.Done != 2 {
			t.Errorf("%d handlers of one key at once, %d records done; want 1 and 2", most, st.Done)
		}
		closePool(t, pl)
	})
}

// Any number of records at the stream's head may have to join a key that waits.
func TestInlineBehindABlockedKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var done log[int64]
		pl := NewPool(Config{
			Concurrency: 1,
			Apply: one(func(_ *Run, it *Item) error {
				if it.Offset == 0 && it.Attempts == 0 {
					return errTest
				}
				done.add(it.Offset)
				return nil
			}),
			OnFailure: func(*Run, *Item, error) Verdict { return Verdict{Delay: time.Hour} },
		})
		p := pl.Add(PartitionConfig{ID: "t/0"}, 1)
		keys := slices.Repeat([]uint64{1}, 5*lockChunk)
		streamed(p, items(0, append(keys, 2)...))
		synctest.Wait()
		if got := done.take(); !slices.Equal(got, []int64{int64(len(keys))}) {
			t.Errorf("%v done while key 1 is blocked, want the record of key 2 behind its %d", got, len(keys))
		}
		if bs := p.Blocked(9); len(bs) != 1 || bs[0].Waiting != len(keys) {
			t.Errorf("blocked: %+v, want one key with %d records", bs, len(keys))
		}
		closePool(t, pl)
	})
}
