package lane

import (
	"fmt"
	"testing"
	"testing/synctest"
)

// One item at a time, each announced before it starts, until all that may have been read
// before were tried: done or failed, but not waiting behind one that failed.
func TestSerial(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newGateWorld(8)
		w.hold = make(chan struct{})
		w.bad[1] = true
		var said log[string]
		allow := true
		p := w.pl.Add(PartitionConfig{ID: "a", Serial: Serial{Until: 3, Before: func(it *Item) bool {
			said.add(fmt.Sprint(it.Offset))
			return allow
		}}}, 1)
		p.Enqueue(items(0, 1, 2, 3, 4, 5))
		for left := 5; left > 2; left-- {
			synctest.Wait()
			if st := p.Stat(); st.Running != 1 {
				t.Fatalf("%d run with %d left", st.Running, left)
			}
			if p.EndSerial() {
				t.Fatalf("it ended with %d left", left)
			}
			w.hold <- struct{}{}
		}
		synctest.Wait()
		if got := fmt.Sprint(said.take()); got != "[0 1 2 3]" {
			t.Errorf("announced %s", got)
		}
		if !p.EndSerial() {
			t.Error("it did not end although all were tried")
		}
		synctest.Wait()
		if st := p.Stat(); st.Running != 2 {
			t.Errorf("%d run side by side, want 2", st.Running)
		}
		if got := said.take(); len(got) > 0 {
			t.Errorf("announced %v", got)
		}
		close(w.hold)
		synctest.Wait()
		closePool(t, w.pl)
	})
}

// What was not announced is not attempted.
func TestSerialNotAnnounced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newGateWorld(8)
		var p *Partition
		p = w.pl.Add(PartitionConfig{ID: "a", Halt: held, Serial: Serial{Until: 3, Before: func(it *Item) bool {
			p.SetHalt(held) // as when the partition is released meanwhile
			return false
		}}}, 1)
		p.Enqueue(items(0, 1))
		p.ClearHalt(held)
		synctest.Wait()
		if got := w.calls.take(); len(got) > 0 || p.Stat().Running != 0 {
			t.Errorf("%v were attempted", got)
		}
		closePool(t, w.pl)
	})
}

// Injected items run one at a time too, but do not count among those that were read
// before: whether they end the process says nothing of these.
func TestSerialDoesNotCountInjectedItems(t *testing.T) {
	for _, fails := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			pl := NewPool(Config{Concurrency: 8,
				Apply: one(func(r *Run, it *Item) error {
					if it.Offset < 10 && fails {
						return errTest
					}
					return nil
				}),
				OnFailure: func(r *Run, it *Item, err error) Verdict { return Verdict{Settled: true, Gone: true} },
			})
			p := pl.Add(PartitionConfig{ID: "a", Serial: Serial{Until: 12, Before: func(*Item) bool { return true }}}, 1)
			p.Inject(injected(3), 3)
			p.Inject(injected(4), 4)
			synctest.Wait()
			p.SetHalt(held)
			p.Enqueue(items(10, 1, 2))
			if p.EndSerial() {
				t.Errorf("fails %v: it ended with two that were not tried", fails)
			}
			closePool(t, pl)
		})
	}
}
