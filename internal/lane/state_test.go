package lane

import (
	"maps"
	"testing"
	"testing/synctest"
	"time"
)

// A copy that is kept for long takes the item's place in all counts.
func TestKeepChangesNoCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		clock := newFakeClock()
		copied := 0
		small := func(it *Item) *Item {
			copied++
			return &Item{Payload: it.Payload, Hash: 99, Size: 1}
		}
		pl := NewPool(Config{
			Concurrency: 1, Clock: clock, Keep: small,
			Apply: one(func(r *Run, it *Item) error {
				if it.Attempts < 2 && it.Offset == 0 {
					return errTest
				}
				return nil
			}),
			OnFailure: func(r *Run, it *Item, err error) Verdict { return Verdict{Delay: 1, Keep: small(it)} },
		})
		p := pl.Add(PartitionConfig{ID: "t/0"}, 1)
		p.Enqueue(items(0, 1))
		synctest.Wait()
		p.Enqueue(items(1, 1, 1))
		synctest.Wait()
		if copied != 3 {
			t.Errorf("%d copies, want the failed one and the two behind it", copied)
		}
		if st := p.Stat(); st.Records != 3 || st.Bytes != 30 || st.Blocked != 1 {
			t.Errorf("%+v, want three records of 30 bytes", st)
		}
		for range 2 {
			clock.advance(1)
			synctest.Wait()
		}
		if st := p.Stat(); st.Done != 3 || st.Records != 0 || st.Bytes != 0 || pl.Bytes() != 0 {
			t.Errorf("%+v and %d bytes in the pool, want nothing left", st, pl.Bytes())
		}
		closePool(t, pl)
	})
}

// Attempts of an earlier ownership are known before the next one fails.
func TestFailedKnowsEarlierAttempts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		pl := NewPool(Config{Concurrency: 1, Apply: one(func(*Run, *Item) error { return nil })})
		p := pl.Add(PartitionConfig{ID: "t/0", Halt: held}, 1)
		its := items(0, 1, 2)
		its[1].Attempts = 4
		p.Enqueue(its)
		failed := func() map[int64]int32 {
			m := map[int64]int32{}
			p.Failed(func(o int64, n int32) { m[o] = n })
			return m
		}
		if got := failed(); !maps.Equal(got, map[int64]int32{1: 4}) {
			t.Errorf("failed %v, want record 1 with 4", got)
		}
		p.ClearHalt(held)
		synctest.Wait()
		if got := failed(); len(got) > 0 {
			t.Errorf("failed %v when all is done", got)
		}
		closePool(t, pl)
	})
}

func TestIdle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gate := make(chan struct{})
		pl := NewPool(Config{Concurrency: 1, Apply: one(func(*Run, *Item) error { <-gate; return nil })})
		if !pl.Idle() {
			t.Error("a new pool is not idle")
		}
		p := pl.Add(PartitionConfig{ID: "t/0"}, 1)
		p.Enqueue(items(0, 1))
		if pl.Idle() {
			t.Error("idle with a record that waits")
		}
		synctest.Wait()
		if pl.Idle() {
			t.Error("idle with a record at its handler")
		}
		close(gate)
		synctest.Wait()
		if !pl.Idle() {
			t.Error("not idle when all is done")
		}
		closePool(t, pl)
	})
}

// Answers that make no sense are failures of the record they point to, or of none
// that could be named.
func TestStrangeAnswers(t *testing.T) {
	for _, c := range []struct {
		n, done  int
		err      error
		want     int
		hasError bool
	}{
		{3, 3, nil, 3, false},
		{3, 3, errTest, 3, false},
		{3, 1, errTest, 1, true},
		{3, 1, nil, 1, true},
		{3, 1, ErrHalted, 1, true},
		{3, 4, nil, -1, false},
		{3, -7, errTest, -1, true},
		{1, 2, nil, 0, true},
		{1, -1, nil, 0, true},
		{1, -1, errTest, 0, true},
		{1, -1, ErrHalted, 0, true},
	} {
		r := &Run{Items: make([]*Item, c.n), done: c.done, err: c.err}
		r.check()
		if r.done != c.want || r.done >= 0 && (r.err != nil) != c.hasError {
			t.Errorf("%d of %d with %v: judged %d with %v", c.done, c.n, c.err, r.done, r.err)
		}
	}
}

// A head is blocked since its own first failure, not since that of the one before.
func TestBlockedSince(t *testing.T) {
	bubble(t, func(t *testing.T) {
		clock := newFakeClock()
		start := clock.Now()
		pl := NewPool(Config{
			Concurrency: 1, Clock: clock,
			Apply: one(func(r *Run, it *Item) error {
				if it.Attempts < 2 {
					return errTest
				}
				return nil
			}),
			OnFailure: func(*Run, *Item, error) Verdict { return Verdict{Delay: time.Minute} },
		})
		p := pl.Add(PartitionConfig{ID: "t/0"}, 1)
		p.Enqueue(items(0, 1, 1))
		for minute, want := range []struct {
			head  int64
			since int
		}{{0, 0}, {0, 0}, {1, 2}, {1, 2}} {
			synctest.Wait()
			b := p.Blocked(1)
			if len(b) != 1 || b[0].Head.Offset != want.head ||
				!b[0].Since.Equal(start.Add(time.Duration(want.since)*time.Minute)) ||
				!b[0].Next.Equal(start.Add(time.Duration(minute+1)*time.Minute)) {
				t.Errorf("minute %d: %+v, want record %d since minute %d, next a minute from now", minute, b, want.head, want.since)
			}
			clock.advance(time.Minute)
		}
		synctest.Wait()
		closePool(t, pl)
	})
}

// A worker that has taken a bunch and not begun it runs nothing, whatever it ran
// before.
func TestRunningBeforeTheFirstRun(t *testing.T) {
	pl := NewPool(Config{Concurrency: 1, Apply: one(func(*Run, *Item) error { return nil })})
	p := pl.Add(PartitionConfig{ID: "t/0", Halt: held}, 1)
	p.Enqueue(items(0, 1))
	w := &worker{pool: pl}
	w.current.Store(&Run{Part: p})
	pl.workers = append(pl.workers, w)
	p.halt.Store(0)
	if !w.begin(p) {
		t.Fatal("nothing to take")
	}
	if rs := pl.Running(0); len(rs) > 0 {
		t.Errorf("Running lists %+v", rs)
	}
	w.work(p)
	closePool(t, pl)
}
