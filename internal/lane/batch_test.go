package lane

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestCannotTell(t *testing.T) {
	for _, detach := range []bool{false, true} {
		t.Run(fmt.Sprintf("detach=%t", detach), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var runs log[string]
				var blamed log[int64]
				pl := NewPool(Config{
					Concurrency: 1, BatchMax: 10,
					Apply: func(r *Run) (int, error) {
						runs.add(fmt.Sprint(offsets(r.Items)))
						if r.Items[0].Offset == 0 && (len(r.Items) > 1 || r.Items[0].Attempts < 2) {
							return -1, errTest
						}
						return len(r.Items), nil
					},
					OnFailure: func(r *Run, it *Item, err error) Verdict {
						blamed.add(it.Offset)
						if n := it.Attempts; n != int32(len(blamed.all)-1) {
							t.Errorf("%d attempts are on record, want those of the runs alone", n)
						}
						return Verdict{Delay: time.Second}
					},
				})
				p := pl.Add(PartitionConfig{ID: "t/0", Lanes: 1, Detach: detach, BatchMax: 10, Halt: held}, 1)
				p.Enqueue(items(0, 1, 2, 3))
				p.ClearHalt(held)
				synctest.Wait()
				p.Enqueue(items(3, 4, 5))
				time.Sleep(10 * time.Second)
				synctest.Wait()
				want := []string{"[0 1 2]", "[0]", "[0]", "[0]", "[1]", "[2]", "[3 4]"}
				if detach {
					want = []string{"[0 1 2]", "[0]", "[1]", "[2]", "[3 4]", "[0]", "[0]"}
				}
				if got := runs.take(); !slices.Equal(got, want) {
					t.Errorf("runs %v, want %v", got, want)
				}
				if got := blamed.take(); !slices.Equal(got, []int64{0, 0}) {
					t.Errorf("%v blamed, want only the culprit, once for each run alone", got)
				}
				closePool(t, pl)
			})
		})
	}
}

// Records that leave the lane for a detached key are not counted among those that
// are still to run alone.
func TestCannotTellEndsWithTheDetachedOnes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var runs log[string]
		pl := NewPool(Config{
			Concurrency: 1, BatchMax: 3,
			Apply: func(r *Run) (int, error) {
				runs.add(fmt.Sprint(offsets(r.Items)))
				if r.Items[0].Offset == 0 {
					return -1, errTest
				}
				return len(r.Items), nil
			},
			OnFailure: func(*Run, *Item, error) Verdict { return Verdict{Hold: true} },
		})
		p := pl.Add(PartitionConfig{ID: "t/0", Lanes: 1, Detach: true, BatchMax: 3, Halt: held}, 1)
		p.Enqueue(items(0, 1, 1, 1, 2, 3, 4, 1))
		p.ClearHalt(held)
		synctest.Wait()
		if got, want := runs.take(), []string{"[0 1 2]", "[0]", "[3]", "[4 5]"}; !slices.Equal(got, want) {
			t.Errorf("runs %v, want %v", got, want)
		}
		if b := p.Blocked(9); len(b) != 1 || b[0].Waiting != 4 || !b[0].Held || b[0].Attempts != 1 {
			t.Errorf("blocked %+v, want the one key with its four records, held", b)
		}
		closePool(t, pl)
	})
}

func TestBatchWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var runs log[string]
		start := time.Now()
		pl := NewPool(Config{Concurrency: 1, BatchMax: 3, Apply: func(r *Run) (int, error) {
			runs.add(fmt.Sprint(offsets(r.Items), time.Since(start)))
			return len(r.Items), nil
		}})
		p := pl.Add(PartitionConfig{ID: "t/0", Lanes: 1, BatchMax: 3, BatchWait: time.Second}, 1)
		p.Enqueue(items(0, 1, 2))
		time.Sleep(300 * time.Millisecond)
		p.Enqueue(items(2, 3, 4)) // full: at once; the fourth waits for its own time
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got, want := runs.take(), []string{"[0 1 2] 300ms", "[3] 1.3s"}; !slices.Equal(got, want) {
			t.Errorf("runs %v, want %v", got, want)
		}
		closePool(t, pl)
	})
}

// A key is detached while its lane's batch fails; what follows of it joins it from
// the lane's head only, and it rejoins when it has nothing left and no handler.
func TestDetachAndRejoin(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var runs log[string]
		gates := map[int64]chan struct{}{3: make(chan struct{}), 6: make(chan struct{})}
		pl := NewPool(Config{
			Concurrency: 4, BatchMax: 10,
			Apply: func(r *Run) (int, error) {
				runs.add(fmt.Sprint(offsets(r.Items)))
				if g := gates[r.Items[0].Offset]; g != nil {
					<-g
				}
				if it := r.Items[0]; it.Offset == 0 && it.Attempts == 0 {
					return 0, errTest
				}
				return len(r.Items), nil
			},
			OnFailure: func(*Run, *Item, error) Verdict { return Verdict{Delay: time.Second} },
		})
		p := pl.Add(PartitionConfig{ID: "t/0", Lanes: 1, Detach: true, BatchMax: 10, Halt: held}, 1)
		step := func(what string, want ...string) {
			t.Helper()
			synctest.Wait()
			if got := runs.take(); !slices.Equal(got, want) {
				t.Fatalf("%s: runs %v, want %v", what, got, want)
			}
		}
		p.Enqueue(items(0, 1, 2, 1))
		p.ClearHalt(held)
		step("0 fails: its key leaves with 2, the other runs", "[0 1 2]", "[1]")
		p.Enqueue(items(3, 3))
		step("the lane is with a handler", "[3]")
		p.Enqueue(items(4, 1, 2))
		time.Sleep(2 * time.Second)
		step("0 again, then 2; 4 waits in the lane although its key's queue was empty", "[0]", "[2]")
		close(gates[3])
		step("the key has rejoined", "[4 5]")
		p.Enqueue(items(6, 1))
		step("6 is with a handler", "[6]")
		close(gates[6])
		synctest.Wait()
		if st := p.Stat(); st.Units != 0 || st.Done != 7 {
			t.Errorf("%+v, want nothing left", st)
		}
		closePool(t, pl)
	})
}

// While a handler of a detached key runs, the key stays detached although its
// queue is empty: the lane must not run its next record beside it.
func TestDetachedWhileItsHandlerRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var runs log[string]
		gate := make(chan struct{})
		pl := NewPool(Config{
			Concurrency: 4, BatchMax: 10,
			Apply: func(r *Run) (int, error) {
				runs.add(fmt.Sprint(offsets(r.Items)))
				if it := r.Items[0]; it.Offset == 0 {
					if it.Attempts == 0 {
						return 0, errTest
					}
					<-gate
				}
				return len(r.Items), nil
			},
			OnFailure: func(*Run, *Item, error) Verdict { return Verdict{Delay: time.Second} },
		})
		p := pl.Add(PartitionConfig{ID: "t/0", Lanes: 1, Detach: true, BatchMax: 10}, 1)
		p.Enqueue(items(0, 1))
		time.Sleep(time.Second)
		synctest.Wait()
		p.Enqueue(items(1, 1, 2, 1))
		synctest.Wait()
		if got, want := runs.take(), []string{"[0]", "[0]", "[2]"}; !slices.Equal(got, want) {
			t.Errorf("runs %v, want %v", got, want)
		}
		close(gate)
		synctest.Wait()
		if got, want := runs.take(), []string{"[1 3]"}; !slices.Equal(got, want) {
			t.Errorf("runs %v, want %v", got, want)
		}
		if st := p.Stat(); st.Units != 0 || st.Done != 4 {
			t.Errorf("%+v, want nothing left", st)
		}
		closePool(t, pl)
	})
}
