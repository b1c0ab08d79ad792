package lane

import (
	"testing"
	"testing/synctest"

	"github.com/orderly-go/orderly/internal/progress"
)

func injected(offset int64) *Item {
	slot, err := progress.NewRing(offset).Append(offset)
	if err != nil {
		panic(err)
	}
	return &Item{Offset: offset, Size: 10, Slot: slot}
}

// An injected item runs although the key's own unit waits, under the partition's halts
// and counted as any other; one that leaves undone does not count as done.
func TestInjectedItemsDoNotWaitForTheirKeysUnit(t *testing.T) {
	for _, c := range awaitModes {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var started log[int64]
				var await *Await
				fails := true
				pl := NewPool(Config{Concurrency: 4, BatchMax: c.cfg.BatchMax,
					Apply: one(func(r *Run, it *Item) error {
						started.add(it.Offset)
						if it.Offset == 0 || it.Offset == 100 && fails {
							return errTest
						}
						return nil
					}),
					OnFailure: func(r *Run, it *Item, err error) Verdict {
						if it.Offset == 100 {
							return Verdict{Settled: true, Gone: true}
						}
						await = NewAwait(r, "waiting")
						return Verdict{Await: await}
					}})
				p := pl.Add(c.cfg, 1)
				p.Enqueue(items(0, 1))
				synctest.Wait()
				started.take()
				p.SetHalt(1)
				hash := uint64(1)
				if c.cfg.Whole {
					hash = 0
				}
				if !p.Inject(injected(100), hash) {
					t.Fatal("not taken")
				}
				synctest.Wait()
				if got := started.take(); len(got) != 0 || pl.Records() != 2 {
					t.Errorf("while halted %v started, %d records", got, pl.Records())
				}
				p.ClearHalt(1)
				synctest.Wait()
				if got := started.take(); len(got) != 1 || got[0] != 100 || pl.Records() != 1 || p.Stat().Done != 0 {
					t.Errorf("%v started, %d records, %d done", got, pl.Records(), p.Stat().Done)
				}
				fails = false
				sides := p.sides.n // the detached key's own
				p.Inject(injected(100), hash)
				synctest.Wait()
				if got := started.take(); len(got) != 1 || p.Stat().Done != 1 || p.sides.n != sides {
					t.Errorf("%v started, %d done, %d units stay", got, p.Stat().Done, p.sides.n)
				}
				if !await.Open() {
					t.Error("the key's own unit does not wait any more")
				}
				closePool(t, pl)
			})
		})
	}
}

// A handler that outlives its ownership keeps its key closed in the next one, whether
// it has an injected item or one of the others, and for both.
func TestInjectedItemsAndGhosts(t *testing.T) {
	for _, c := range awaitModes {
		for _, inject := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					release := make(chan struct{})
					var started log[int64]
					pl := NewPool(Config{Concurrency: 4, Apply: one(func(r *Run, it *Item) error {
						started.add(it.Offset)
						if r.Token == 1 {
							<-release
						}
						return nil
					})})
					c.cfg.ID = "t/0"
					hash := uint64(1)
					if c.cfg.Whole {
						hash = 0
					}
					p := pl.Add(c.cfg, 1)
					if inject {
						p.Inject(injected(0), hash)
					} else {
						p.Enqueue(items(0, hash))
					}
					synctest.Wait()
					p.Close(errTest)
					if p.Inject(injected(1), hash) {
						t.Error("a closed partition has taken an item")
					}
					p = pl.Add(c.cfg, 2)
					p.Enqueue(items(5, hash))
					if p.Inject(injected(1), hash) {
						t.Error("taken while a handler of the key has not returned")
					}
					synctest.Wait()
					if got := started.take(); len(got) != 1 {
						t.Errorf("%v started", got)
					}
					close(release)
					synctest.Wait()
					if !p.Inject(injected(1), hash) {
						t.Error("not taken when it has")
					}
					synctest.Wait()
					if got := started.take(); len(got) != 2 || len(pl.ghosts) != 0 {
						t.Errorf("%v started, ghosts %v", got, pl.ghosts)
					}
					closePool(t, pl)
				})
			})
		}
	}
}
