package lane

import (
	"testing"
	"testing/synctest"
	"time"
)

// A record that somebody names is found where it stands, in every mode; a blocked one is
// tried at once when it is woken, and only then.
func TestFind(t *testing.T) {
	for _, c := range awaitModes {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var started log[int64]
				clock := newFakeClock()
				pl := NewPool(Config{Concurrency: 4, Clock: clock,
					Apply: one(func(r *Run, it *Item) error {
						if started.add(it.Offset); it.Offset == 0 && it.Attempts < 2 {
							return errTest
						}
						return nil
					}),
					OnFailure: func(*Run, *Item, error) Verdict { return Verdict{Delay: time.Hour} },
				})
				c.cfg.ID = "t/0"
				defer pl.Close(nil)
				p := pl.Add(c.cfg, 1)
				p.Enqueue(items(0, 1, 2, 1))
				synctest.Wait()
				started.take()
				hash := uint64(1)
				if c.cfg.Whole {
					hash = 0
				}
				for offset, want := range map[int64]Found{0: Blocked, 2: Queued, 9: Absent} {
					if got := p.Find(hash, offset, false); got != want && (c.name != "detach" || offset != 2) {
						t.Errorf("offset %d: %d, want %d", offset, got, want)
					}
				}
				if p.Find(77, 0, false) != Absent && !c.cfg.Whole && c.cfg.Lanes == 0 {
					t.Error("found under another key")
				}
				synctest.Wait()
				if got := started.take(); len(got) != 0 {
					t.Errorf("looking has started %v", got)
				}
				if got := p.Find(hash, 0, true); got != Blocked {
					t.Errorf("woken: %d", got)
				}
				synctest.Wait()
				if got := started.take(); len(got) != 1 || got[0] != 0 {
					t.Errorf("woken, %v ran", got)
				}
				if b := p.Blocked(9); len(b) != 1 || b[0].Attempts != 2 {
					t.Errorf("%+v", b)
				}
				p.Find(hash, 0, true)
				synctest.Wait()
				if st := p.Stat(); st.Blocked != 0 || st.Records != 0 || p.Find(hash, 0, true) != Absent {
					t.Errorf("%+v", st)
				}
				if p.Close(errTest); p.Find(hash, 0, true) != Absent {
					t.Error("found in a closed partition")
				}
			})
		})
	}
}
