package lane

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
)

var errTest = errors.New("test")

func TestRunStartsWithTheTokenOfItsStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var p *Partition
		var tokens log[int64]
		pl := NewPool(Config{Concurrency: 1, Apply: one(func(r *Run, it *Item) error {
			tokens.add(r.Token)
			p.SetToken(r.Token + 1) // while the other runs of the bunch wait
			return nil
		})})
		p = pl.Add(PartitionConfig{ID: "t/0"}, 7)
		together(p, items(0, 1, 2, 3))
		synctest.Wait()
		if got, want := tokens.take(), []int64{7, 8, 9}; !slices.Equal(got, want) {
			t.Errorf("tokens %v, want %v: a run started with a token that was replaced before", got, want)
		}
		closePool(t, pl)
	})
}

func TestRunAfterRenewHasALiveContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var p *Partition
		var errs log[error]
		pl := NewPool(Config{Concurrency: 1, Apply: one(func(r *Run, it *Item) error {
			errs.add(r.Ctx.Err())
			p.Cancel(errTest)
			if it.Offset != 1 {
				p.Renew()
				return nil
			}
			if context.Cause(r.Ctx) != errTest {
				t.Errorf("cause %v", context.Cause(r.Ctx))
			}
			return ErrHalted
		})})
		p = pl.Add(PartitionConfig{ID: "t/0"}, 7)
		together(p, items(0, 1, 2, 3))
		synctest.Wait()
		if got := errs.take(); !slices.Equal(got, []error{nil, nil}) {
			t.Errorf("contexts at the start: %v, want two live ones and nothing after the last Cancel", got)
		}
		p.Enqueue(items(3, 4))
		synctest.Wait()
		if got := errs.take(); len(got) > 0 {
			t.Errorf("%d runs started between Cancel and Renew", len(got))
		}
		p.Close(errTest)
		closePool(t, pl)
	})
}

func TestRenewGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var done log[int64]
		pl := NewPool(Config{Concurrency: 1, Apply: one(func(r *Run, it *Item) error {
			done.add(it.Offset)
			return nil
		})})
		p := pl.Add(PartitionConfig{ID: "t/0"}, 7)
		p.Cancel(errTest)
		p.ClearHalt(^uint32(0)) // a caller's bits only
		p.Enqueue(items(0, 1, 2))
		synctest.Wait()
		if got := done.take(); len(got) > 0 {
			t.Errorf("%v started between Cancel and Renew", got)
		}
		p.Renew()
		synctest.Wait()
		if got := done.take(); len(got) != 2 {
			t.Errorf("%v ran after Renew, want both", got)
		}
		p.Close(errTest)
		p.Renew()
		p.ClearHalt(^uint32(0))
		if p.Halted() == 0 {
			t.Error("a closed partition is not halted")
		}
		closePool(t, pl)
	})
}

func TestNothingStartsWhileHalted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var done log[int64]
		var p *Partition
		idle := make(chan (<-chan struct{}), 1)
		pl := NewPool(Config{Concurrency: 4, Apply: one(func(r *Run, it *Item) error {
			done.add(it.Offset)
			if it.Offset == 0 {
				p.SetHalt(2)
				idle <- p.WaitIdle()
			}
			return nil
		})})
		p = pl.Add(PartitionConfig{ID: "t/0", Halt: 4}, 7)
		p.Enqueue(items(0, 1, 1, 2, 3))
		synctest.Wait()
		if got := done.take(); len(got) > 0 {
			t.Fatalf("%v started under the first halt", got)
		}
		fast(pl)
		p.ClearHalt(4)
		<-<-idle
		if got := done.take(); !slices.Equal(got, []int64{0}) {
			t.Errorf("%v ran, want only the record that was with a handler", got)
		}
		synctest.Wait()
		if got := done.take(); len(got) > 0 {
			t.Errorf("%v started after SetHalt and WaitIdle", got)
		}
		p.ClearHalt(2)
		synctest.Wait()
		if got := done.take(); len(got) != 3 {
			t.Errorf("%v ran after ClearHalt, want the other three", got)
		}
		closePool(t, pl)
	})
}

func TestWaitIdleWaitsForTheLast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gates := []chan struct{}{make(chan struct{}), make(chan struct{})}
		pl := NewPool(Config{Concurrency: 2, Apply: one(func(r *Run, it *Item) error {
			<-gates[it.Offset]
			return nil
		})})
		p := pl.Add(PartitionConfig{ID: "t/0"}, 7)
		p.Enqueue(items(0, 1, 2))
		synctest.Wait()
		p.SetHalt(held)
		idle := p.WaitIdle()
		close(gates[0])
		synctest.Wait()
		select {
		case <-idle:
			t.Error("idle with a handler that runs")
		default:
		}
		close(gates[1])
		<-idle
		closePool(t, pl)
	})
}

func TestAddToAClosedPool(t *testing.T) {
	pl := NewPool(Config{Concurrency: 1, Apply: one(func(*Run, *Item) error { return nil })})
	closePool(t, pl)
	p := pl.Add(PartitionConfig{ID: "t/0"}, 1)
	if n := p.Enqueue(items(0, 1)); n != 0 || pl.Records() != 0 {
		t.Errorf("a closed pool took %d records", n)
	}
}
