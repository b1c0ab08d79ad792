package lane

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderly-go/orderly/internal/progress"
)

// Records that wait together are taken from their unit whatever the length of a run,
// are settled from the first on, some at a time, and what is given back of them runs in
// its order, before what came later. Those of a lane go alone, others stand between, until
// their key has a queue of its own.
func TestTogether(t *testing.T) {
	const n = 6
	for _, c := range []struct {
		name  string
		cfg   PartitionConfig
		early bool // answered before the worker has come back
		limit int
		want  int
	}{
		{"keys", PartitionConfig{}, false, 99, n},
		{"keys, early", PartitionConfig{}, true, 99, n},
		{"keys, a limit", PartitionConfig{}, false, 4, 4},
		{"whole", PartitionConfig{Whole: true}, false, 99, n},
		{"lanes", PartitionConfig{Lanes: 2}, false, 99, 1},
		{"detach", PartitionConfig{Lanes: 2, Detach: true}, false, 99, n},
	} {
		for settle := range c.want + 1 {
			bubble(t, func(t *testing.T) {
				ring := progress.NewRing(-1)
				var started log[int64]
				var first, await *Await
				took := 0
				pl := NewPool(Config{
					Concurrency: 1,
					Apply: one(func(r *Run, it *Item) error {
						started.add(it.Offset)
						if it.Offset == -1 || it.Offset == 0 && await == nil {
							return errTest
						}
						it.Slot.Done()
						return nil
					}),
					OnFailure: func(r *Run, it *Item, err error) Verdict {
						if it.Offset == -1 { // until the others have come to its unit
							first = NewAwait(r, "writing")
							return Verdict{Await: first, Spare: true}
						}
						all := r.Together(c.limit)
						for i, it := range all {
							if it.Offset != int64(i) {
								t.Errorf("%s: number %d is record %d", c.name, i, it.Offset)
							}
						}
						took = len(all)
						await = NewAwaitRun(r, "writing", took)
						if c.early {
							await.DoneN(settle)
						}
						return Verdict{Await: await, Spare: true}
					},
				})
				c.cfg.ID = "t/0"
				p := pl.Add(c.cfg, 1)
				its := items(-1, slices.Repeat([]uint64{1}, n+1)...)
				for _, it := range its {
					it.Slot, _ = ring.Append(it.Offset)
				}
				p.Enqueue(its)
				synctest.Wait()
				first.Done()
				synctest.Wait()
				its = its[1:]
				if took != c.want {
					t.Fatalf("%s: %d were taken together, want %d", c.name, took, c.want)
				}
				if got := started.take(); await.Open() && !slices.Equal(got, []int64{-1, 0}) {
					t.Errorf("%s: while they wait %v ran", c.name, got)
				}
				if !c.early {
					await.DoneN(settle)
				}
				for i, it := range its {
					if i < settle != it.Slot.IsDone() && await.Open() {
						t.Errorf("%s: %d are settled, and of record %d it says %t", c.name, settle, i, it.Slot.IsDone())
					}
				}
				if open := await.Open(); open != (settle < c.want) {
					t.Errorf("%s: %d of %d are settled, and it is open: %t", c.name, settle, c.want, open)
				} else if open {
					if b := p.Blocked(1); len(b) != 1 || b[0].Head.Offset != int64(settle) || b[0].Waiting != n-settle {
						t.Errorf("%s: blocked %+v, want at record %d", c.name, b, settle)
					}
					await.Retry(0)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				want := []int64{}
				for o := settle; o < n; o++ {
					want = append(want, int64(o))
				}
				if got := started.take(); !c.early && !slices.Equal(got, want) {
					t.Errorf("%s: %d settled, then %v ran, want %v", c.name, settle, got, want)
				}
				if st := p.Stat(); ring.Reclaim() != 0 || st.Records != 0 || st.Bytes != 0 || st.Blocked != 0 || st.Units != 0 || st.Done != n+1 {
					t.Errorf("%s: %+v, %d not done", c.name, st, ring.Len())
				}
				closePool(t, pl)
			})
		}
	}
}

// Close drops what waits together, and no answer counts any more.
func TestTogetherAndClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var await *Await
		ring := progress.NewRing(0)
		pl := NewPool(Config{
			Concurrency: 1,
			Apply:       one(func(r *Run, it *Item) error { return errTest }),
			OnFailure: func(r *Run, it *Item, err error) Verdict {
				await = NewAwaitRun(r, "writing", len(r.Together(99)))
				return Verdict{Await: await}
			},
		})
		p := pl.Add(PartitionConfig{ID: "t/0", Whole: true}, 1)
		its := items(0, 1, 1, 1)
		for _, it := range its {
			it.Slot, _ = ring.Append(it.Offset)
		}
		p.Enqueue(its)
		synctest.Wait()
		await.DoneN(1)
		if n := p.Close(errTest); n != 2 || await.Open() || await.DoneN(2) || await.Retry(0) || its[1].Slot.IsDone() {
			t.Errorf("%d dropped, open %t, record 1 done: %t", n, await.Open(), its[1].Slot.IsDone())
		}
		closePool(t, pl)
	})
}
