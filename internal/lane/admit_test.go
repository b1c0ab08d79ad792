package lane

import (
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// gateWorld is a pool whose handlers fail as bad says.
type gateWorld struct {
	pl    *Pool
	clock *fakeClock
	calls log[string]
	bad   map[uint64]bool
	hold  chan struct{} // handlers wait for it, when there is one
	spare bool
	again atomic.Int64 // so many verdicts say Again
}

func newGateWorld(concurrency int) *gateWorld {
	w := &gateWorld{clock: newFakeClock(), bad: map[uint64]bool{}}
	w.pl = NewPool(Config{
		Concurrency: concurrency, Clock: w.clock,
		Apply: one(func(r *Run, it *Item) error {
			w.calls.add(fmt.Sprintf("%s:%d", r.Part.cfg.ID, it.Offset))
			if w.hold != nil {
				<-w.hold
			}
			if w.bad[it.Hash] {
				return errTest
			}
			return nil
		}),
		OnFailure: func(r *Run, it *Item, err error) Verdict {
			return Verdict{Delay: time.Minute, Spare: w.spare, Again: w.again.Add(-1) >= 0, Refund: true}
		},
	})
	return w
}

// A shut gate lets nothing start, what becomes due included, and new ownerships too;
// then as many at a time as are admitted: partitions in turn, keys that have not failed
// first, then failed ones in turn before their time.
func TestGateAdmitsInTurn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newGateWorld(8)
		w.bad[1], w.bad[2], w.bad[3] = true, true, true
		a := w.pl.Add(PartitionConfig{ID: "a"}, 1)
		a.Enqueue(items(0, 1, 2, 3))
		synctest.Wait()
		w.calls.take()
		w.pl.Gate()
		b := w.pl.Add(PartitionConfig{ID: "b"}, 1)
		w.clock.advance(2 * time.Minute)
		synctest.Wait()
		a.Enqueue(items(10, 11, 12))
		b.Enqueue(items(20, 21, 22))
		synctest.Wait()
		if got := w.calls.take(); len(got) > 0 {
			t.Fatalf("%v started while the gate is shut", got)
		}
		if a.Halted() != HaltGate || b.Halted() != HaltGate {
			t.Fatalf("halts %x and %x", a.Halted(), b.Halted())
		}
		w.spare = true
		w.hold = make(chan struct{})
		w.pl.Admit(1, false)
		for i := range 4 + 6 {
			synctest.Wait()
			if n := w.pl.Admitted(); n != 1 {
				t.Fatalf("step %d: %d let through", i, n)
			}
			w.hold <- struct{}{}
		}
		synctest.Wait()
		got := w.calls.take()
		slices.Sort(got[4:7])
		slices.Sort(got[7:10])
		if want := "[a:10 b:20 a:11 b:21 a:0 a:1 a:2 a:0 a:1 a:2]"; fmt.Sprint(got[:10]) != want {
			t.Errorf("let through %v, want %s", got, want)
		}
		if st := a.Stat(); st.Blocked != 2 || st.Records != 3 {
			t.Errorf("%+v with one of three failed heads let through", st)
		}

		// More at a time; then none again, while some are out.
		a.Enqueue(items(30, 31, 32, 33, 34, 35))
		w.pl.Admit(4, false)
		time.Sleep(time.Second) // the pool finds out that handlers are slow
		synctest.Wait()
		if n := w.pl.Admitted(); n != 4 || a.Stat().Running != 4 {
			t.Errorf("%d let through, %d run, want 4", n, a.Stat().Running)
		}
		w.pl.Admit(0, false)
		close(w.hold)
		synctest.Wait()
		if n := w.pl.Admitted(); n != 0 || len(w.calls.take()) != 3 {
			t.Errorf("%d are out after the quota was taken back", n)
		}

		// All that failed is due at once.
		w.hold = nil
		clear(w.bad)
		w.pl.Ungate()
		synctest.Wait()
		if a.Stat().Records != 0 || b.Stat().Records != 0 {
			t.Errorf("left: %+v %+v", a.Stat(), b.Stat())
		}
		closePool(t, w.pl)
	})
}

// A bunch stops before its next item when the gate is shut, and goes on behind it.
func TestGateStopsBunches(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newGateWorld(1)
		w.hold = make(chan struct{})
		fast(w.pl)
		p := w.pl.Add(PartitionConfig{ID: "a", Halt: held}, 1)
		p.Enqueue(items(0, 1, 1, 1, 2, 3))
		p.ClearHalt(held)
		synctest.Wait()
		w.pl.Gate()
		w.hold <- struct{}{}
		synctest.Wait()
		if got := fmt.Sprint(w.calls.take()); got != "[a:0]" {
			t.Errorf("handed over %s", got)
		}
		if st := p.Stat(); st.Running != 0 || st.Records != 4 {
			t.Errorf("%+v", st)
		}
		close(w.hold)
		w.pl.Ungate()
		synctest.Wait()
		if got := len(w.calls.take()); got != 4 {
			t.Errorf("%d calls after the gate opened", got)
		}
		closePool(t, w.pl)
	})
}

// A partition that has another reason to wait gets nothing, and takes nothing from the
// others; it gets its turn when that reason goes.
func TestGateAndOtherHalts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newGateWorld(4)
		a := w.pl.Add(PartitionConfig{ID: "a"}, 1)
		b := w.pl.Add(PartitionConfig{ID: "b"}, 1)
		w.pl.Gate()
		a.SetHalt(held)
		w.pl.Admit(1, false)
		a.Enqueue(items(0, 1))
		b.Enqueue(items(0, 1, 2))
		synctest.Wait()
		if got := fmt.Sprint(w.calls.take()); got != "[b:0 b:1]" {
			t.Errorf("handed over %s", got)
		}
		a.ClearHalt(held)
		synctest.Wait()
		if got := fmt.Sprint(w.calls.take()); got != "[a:0]" {
			t.Errorf("handed over %s", got)
		}
		a.ClearHalt(HaltGate)
		if a.Halted() != HaltGate {
			t.Error("the gate's own bit was taken away from outside")
		}
		w.hold = make(chan struct{})
		a.Enqueue(items(5, 1))
		b.Enqueue(items(5, 1))
		synctest.Wait()
		if n := w.pl.Admitted(); n != 1 {
			t.Errorf("%d out", n)
		}
		a.Close(errTest) // with the one that is out in it
		close(w.hold)
		synctest.Wait()
		if n := w.pl.Admitted(); n != 0 || b.Stat().Records != 0 {
			t.Errorf("%d out, b: %+v", n, b.Stat())
		}
		closePool(t, w.pl)
	})
}

// What a lane gathers does not wait for more while the gate is shut.
func TestGateAndGatheringLanes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newGateWorld(4)
		p := w.pl.Add(PartitionConfig{ID: "a", Lanes: 2, Detach: true, BatchMax: 10, BatchWait: time.Hour}, 1)
		p.Enqueue(items(0, 1, 2, 3))
		synctest.Wait()
		w.pl.Gate()
		w.pl.Admit(1, false)
		synctest.Wait()
		if got := len(w.calls.take()); got != 3 {
			t.Errorf("%d records let through, want all three one by one", got)
		}
		p.Enqueue(items(3, 1))
		synctest.Wait()
		if got := len(w.calls.take()); got != 1 {
			t.Errorf("%d records let through that came later", got)
		}
		w.pl.Ungate()
		closePool(t, w.pl)
	})
}

// Attempts that new failures have spent are given back, those that run included, and
// their units are due when the gate opens; what failed before keeps its count.
func TestGiveBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newGateWorld(8)
		w.bad[1], w.bad[2], w.bad[3], w.bad[4] = true, true, true, true
		p := w.pl.Add(PartitionConfig{ID: "a"}, 1)
		old := items(0, 1, 4)
		old[1].Attempts = 7 // in an earlier ownership
		p.Enqueue(old)
		synctest.Wait()
		w.clock.advance(2 * time.Minute) // the second attempt of both
		synctest.Wait()
		cut := w.clock.Now()
		p.Enqueue(items(10, 2, 3))
		synctest.Wait()
		w.clock.advance(time.Minute) // all fail again; then one is with a handler
		synctest.Wait()
		w.hold = make(chan struct{})
		w.clock.advance(time.Minute)
		time.Sleep(time.Second) // the pool finds out that handlers are slow
		synctest.Wait()
		if n := p.Stat().Running; n != 4 {
			t.Fatalf("%d run, want all four", n)
		}
		w.pl.Gate()
		if n, records := w.pl.GiveBack(cut); n != 4 || records != 2 {
			t.Errorf("gave back %d attempts of %d records, want 4 of 2", n, records)
		}
		counts := func() string {
			m := map[int64]int32{}
			p.Failed(func(o int64, n int32) { m[o] = n })
			return fmt.Sprint(m)
		}
		if got := counts(); got != "map[0:3 1:10]" {
			t.Errorf("attempts %s", got)
		}
		w.spare = true // as while it is open
		close(w.hold)
		synctest.Wait()
		if got := counts(); got != "map[0:3 1:10]" {
			t.Errorf("attempts %s after those that ran have failed", got)
		}
		for _, b := range p.Blocked(10) {
			if want := map[int64]int32{0: 3, 1: 10}[b.Head.Offset]; b.Attempts != want {
				t.Errorf("record %d shows %d attempts, want %d", b.Head.Offset, b.Attempts, want)
			}
		}
		w.spare = false
		w.calls.take()
		w.pl.Ungate()
		synctest.Wait()
		if got := len(w.calls.take()); got != 4 {
			t.Errorf("%d records were due when the gate opened, want all 4", got)
		}
		if got := counts(); got != "map[0:4 1:11 10:1 11:1]" {
			t.Errorf("attempts %s after the next failure", got)
		}
		clear(w.bad)
		w.clock.advance(time.Minute)
		synctest.Wait()
		if p.Stat().Records != 0 || len(p.spent) != 0 || p.debts != 0 || len(p.failed) != 0 {
			t.Errorf("left: %+v, %v, %d debts, %v", p.Stat(), p.spent, p.debts, p.failed)
		}
		closePool(t, w.pl)
	})
}

// What failed in the bunch in which attempts are given back is not counted yet: it is
// not counted afterwards either.
func TestGiveBackWithinABunch(t *testing.T) {
	for name, inline := range map[string]bool{"units": false, "inline": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var pl *Pool
				var seen log[string]
				clock := newFakeClock()
				pl = NewPool(Config{Concurrency: 1, Clock: clock,
					Apply: one(func(r *Run, it *Item) error {
						seen.add(fmt.Sprint(it.Offset, "#", it.Attempts))
						return errTest
					}),
					OnFailure: func(r *Run, it *Item, err error) Verdict {
						last := it.Offset == 2 && it.Attempts == 0
						if inline {
							last = it.Offset == 0 && it.Attempts == 0
						}
						if last {
							pl.GiveBack(clock.Now().Add(-time.Second))
						}
						return Verdict{Refund: true, Delay: time.Minute}
					}})
				p := pl.Add(PartitionConfig{ID: "t/0", Halt: held}, 1)
				p.Enqueue(items(0, 1, 2, 3))
				if inline {
					pl.inlineAlways.Store(true)
				} else {
					pl.average.Store(int64(10 * time.Microsecond)) // units, several in a bunch
				}
				p.ClearHalt(held)
				synctest.Wait()
				first := slices.Clone(seen.take())
				want := map[int64]int32{}
				if inline { // each failure ends the bunch
					want = map[int64]int32{1: 1, 2: 1}
				}
				got := map[int64]int32{}
				p.Failed(func(o int64, n int32) { got[o] = n })
				if len(first) != 3 || !maps.Equal(got, want) {
					t.Errorf("%v ran; the attempts spent are %v, want %v", first, got, want)
				}
				closePool(t, pl)
			})
		})
	}
}

// What waits for another try of a write, and not of its handler, waits its time, however
// many are let through the gate: nothing is learned from it.
func TestGateLeavesAwaitsTheirTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		clock := newFakeClock()
		var calls log[int64]
		pl := NewPool(Config{
			Concurrency: 4, Clock: clock,
			Apply: one(func(_ *Run, it *Item) error {
				calls.add(it.Offset)
				if it.Hash == 1 {
					return errTest
				}
				return nil
			}),
			OnFailure: func(r *Run, _ *Item, _ error) Verdict {
				a := NewAwait(r, "writing")
				a.Retry(time.Hour)
				return Verdict{Await: a, Spare: true}
			},
		})
		p := pl.Add(PartitionConfig{ID: "a"}, 1)
		p.Enqueue(items(0, 1))
		synctest.Wait()
		pl.Gate()
		pl.Admit(2, false)
		synctest.Wait()
		if got := calls.take(); len(got) != 1 {
			t.Fatalf("tries %v, want the first alone", got)
		}
		p.Enqueue(items(10, 2))
		synctest.Wait()
		if got := calls.take(); len(got) != 1 || got[0] != 10 {
			t.Fatalf("tries %v, want the other key's", got)
		}
		clock.advance(time.Hour)
		synctest.Wait()
		if got := calls.take(); len(got) != 1 || got[0] != 0 {
			t.Fatalf("tries %v when its time has come", got)
		}
		pl.Close(nil)
	})
}

// With fresh only units are let through whose head has not failed; and before all others
// the one whose verdict said Again.
func TestGateAdmitsFreshAndAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newGateWorld(8)
		w.bad[1], w.bad[2] = true, true
		a := w.pl.Add(PartitionConfig{ID: "a"}, 1)
		a.Enqueue(items(0, 1, 2))
		synctest.Wait()
		w.calls.take()
		w.pl.Gate()
		w.spare = true
		w.pl.Admit(1, true)
		synctest.Wait()
		if got := w.calls.take(); len(got) > 0 || w.pl.Admitted() != 0 {
			t.Fatalf("%v let through, whose heads have failed; %d are out", got, w.pl.Admitted())
		}
		// One that comes is let through; when it fails it is the next again, though
		// another waits that has not failed.
		w.bad[3] = true
		w.again.Store(2)
		a.Enqueue(items(10, 3))
		synctest.Wait()
		if got := fmt.Sprint(w.calls.take()); got != "[a:10 a:10 a:10]" {
			t.Errorf("let through %s, want the new one, and it again twice", got)
		}
		b := w.pl.Add(PartitionConfig{ID: "b"}, 1)
		w.bad[4], w.hold = true, make(chan struct{})
		w.again.Store(1)
		b.Enqueue(items(20, 4))
		synctest.Wait()
		a.Enqueue(items(30, 5))
		b.Enqueue(items(40, 6))
		for range 4 {
			w.hold <- struct{}{}
			synctest.Wait()
		}
		if got := fmt.Sprint(w.calls.take()); got != "[b:20 b:20 a:30 b:40]" {
			t.Errorf("let through %s, want b:20 twice in a row", got)
		}
		w.hold = nil
		clear(w.bad)
		w.pl.Ungate()
		w.clock.advance(2 * time.Minute)
		synctest.Wait()
		if a.Stat().Records != 0 || b.Stat().Records != 0 {
			t.Errorf("left: %+v %+v", a.Stat(), b.Stat())
		}
		closePool(t, w.pl)
	})
}
