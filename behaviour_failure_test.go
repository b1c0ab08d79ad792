package orderly_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
)

var errBusy = errors.New("busy")

// N waits in place, N+1 of its key waits, other keys run; the commit stays at N
// and says what is done ahead, which a restart does not repeat; the attempts are
// not forgotten.
func TestRowRetryableError(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	b.Produce(topic, keyed(20, "bad", "good")...)
	var healed atomic.Bool
	var commits seen[orderly.CommittedEvent]
	var attempts, goods seen[orderly.Message]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic},
		Events: orderly.Events{Committed: commits.add},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if string(m.Key) == "good" {
				goods.add(*m)
				return nil
			}
			attempts.add(*m)
			if m.Offset == 0 && !healed.Load() {
				return errBusy
			}
			return nil
		}})
	first := g.Start()
	b.Eventually("other keys to be done ahead, and the commit to say so", func() bool {
		return commits.any(func(c orderly.CommittedEvent) bool { return c.Offset == 0 && c.DoneAhead == 20 && c.Err == nil })
	})
	b.Eventually("three attempts", func() bool { return attempts.len() >= 3 })
	for _, m := range attempts.get() {
		if m.Offset != 0 {
			t.Fatalf("offset %d of the key was handed over before offset 0 was done", m.Offset)
		}
	}
	if p, _ := stateOf(first, topic, 0); p.Committed != 0 || p.Blocked != 1 || len(p.Oldest) != 1 ||
		string(p.Oldest[0].Key) != "bad" || p.Oldest[0].Offset != 0 || p.Oldest[0].Attempts < 2 {
		t.Errorf("state: %+v", p)
	}
	stopAll(t, first)
	before := attempts.len()

	second := g.Start()
	b.Eventually("an attempt after the restart", func() bool { return attempts.len() > before })
	if m := attempts.get()[before]; m.Offset != 0 || m.Attempt <= 3 {
		t.Errorf("after the restart: offset %d attempt %d, of %d before", m.Offset, m.Attempt, before)
	}
	healed.Store(true)
	g.WaitDone()
	committed(t, b, second, topic, 0, 40)
	if n := goods.len(); n != 20 {
		t.Errorf("%d calls for 20 records that were done ahead", n)
	}
	g.RequireComplete(t)
	if c := g.Counts(); c.Redelivered != 0 {
		t.Errorf("%+v", c)
	}
}

// Block goes on after the attempts are used up; the record's fault is its key's
// alone.
func TestRowBlockPolicy(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	b.Produce(topic, keyed(10, "bad", "good")...)
	var blocked seen[orderly.BlockedEvent]
	var healed atomic.Bool
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicyBlock,
		Retry:  orderly.Retry{MaxAttempts: 2, Backoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond},
		Events: orderly.Events{Blocked: blocked.add},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if string(m.Key) == "bad" && !healed.Load() {
				return errBusy
			}
			return nil
		}})
	m := g.Start()
	b.Eventually("attempts beyond the last one", func() bool {
		return g.Left() == 10 && blocked.any(func(e orderly.BlockedEvent) bool { return e.Attempts >= 6 })
	})
	for _, e := range blocked.get() {
		if e.Offset != 0 || string(e.Key) != "bad" || e.Topic != topic || e.Partition != 0 || e.Next <= 0 || e.Next > 11*time.Millisecond {
			t.Fatalf("%+v", e)
		}
	}
	if p, _ := stateOf(m, topic, 0); p.Committed != 0 {
		t.Errorf("committed %d", p.Committed)
	}
	healed.Store(true)
	g.WaitDone()
	g.RequireComplete(t)
}

// A partition whose window is full pauses alone, says so, and goes on when its
// key does.
func TestRowBlockPolicyWindowFull(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 2)
	var healed atomic.Bool
	var paused, resumed seen[orderly.PausedEvent]
	is := func(e orderly.PausedEvent) bool {
		return e.Partition == 0 && len(e.Reasons) == 1 && e.Reasons[0] == "window-full"
	}
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Buffer: orderly.Buffer{Window: 100},
		OnExhausted: orderly.PolicyBlock, Events: orderly.Events{Paused: paused.add, Resumed: resumed.add},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if string(m.Key) == "bad" && !healed.Load() {
				return errBusy
			}
			return nil
		}})
	m := g.Start()
	b.Produce(topic, orderlytest.Msg("bad", "0").Partition(0))
	g.Owner(topic, 0)
	write := func(rounds int) {
		for range rounds {
			for p := range int32(2) {
				var recs []orderlytest.Record
				for _, r := range keyed(2, names("k", 10)...) {
					recs = append(recs, r.Partition(p))
				}
				b.Produce(topic, recs...)
			}
		}
	}
	write(8)
	b.Eventually("the pause", func() bool {
		p, _ := stateOf(m, topic, 0)
		return paused.any(is) && len(p.Reasons) == 1 && p.Reasons[0] == "window-full"
	})
	before, _ := stateOf(m, topic, 0)
	write(12) // of these only the other partition's are read
	committed(t, b, m, topic, 1, 400)
	p, _ := stateOf(m, topic, 0)
	if p.Next != before.Next || p.Committed != 0 || p.Window < 100 {
		t.Errorf("the paused partition: %+v, before %+v", p, before)
	}
	healed.Store(true)
	g.WaitDone()
	b.Eventually("the end of the pause", func() bool {
		return resumed.any(func(e orderly.PausedEvent) bool { return e.Partition == 0 && len(e.Reasons) == 0 })
	})
	committed(t, b, m, topic, 0, 401)
	g.RequireComplete(t)
}

// Stop ends Run with all that is known of the record; handlers that run finish;
// each member that inherits the partition stops in its turn.
func TestRowStopPolicy(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	b.Produce(topic, keyed(3, "bad", "good")...)
	var slow atomic.Int64
	failing := make(chan struct{})
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicyStop,
		Retry: orderly.Retry{MaxAttempts: 2, Backoff: time.Millisecond},
		Handler: func(_ context.Context, m *orderly.Message) error {
			switch {
			case m.Offset == 2 && m.Attempt < 2:
				return errBusy
			case m.Offset == 2:
				if slow.CompareAndSwap(1, 2) {
					close(failing)
				}
				return errBusy
			case m.Offset == 1 && slow.CompareAndSwap(0, 1): // runs while the other key stops
				<-failing
			}
			return nil
		}})
	for turn := range 3 {
		err := g.Start().Wait()
		var stop *orderly.StopError
		if !errors.As(err, &stop) || stop.Topic != topic || stop.Partition != 0 || stop.Offset != 2 || string(stop.Key) != "bad" ||
			stop.Attempts < 2 || !errors.Is(err, errBusy) {
			t.Fatalf("member %d: %v", turn, err)
		}
	}
	if n := g.Left(); n > 4 {
		t.Errorf("%d records left: the ones that ran were to finish", n)
	}
	g.RequireOrdered(t)
	if c := g.Counts(); c.Redelivered != 0 {
		t.Errorf("%+v", c)
	}
}

// Members that are there already take the partition over from the one that
// stopped, and stop as well, one after the other.
func TestRowStopPolicyEachMemberInItsTurn(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 3)
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicyStop,
		Retry: orderly.Retry{MaxAttempts: 1},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if string(m.Value) == "poison" {
				return errBusy
			}
			return nil
		}})
	members := []*orderlytest.Member{g.Start(), g.Start(), g.Start()}
	for p := range int32(3) {
		g.Owner(topic, p)
		b.Produce(topic, orderlytest.Msg("k", "1").Partition(p), orderlytest.Msg("k", "2").Partition(p))
	}
	g.WaitDone()
	b.Produce(topic, orderlytest.Msg("k", "poison").Partition(1))
	for i, m := range members {
		var stop *orderly.StopError
		if err := m.Wait(); !errors.As(err, &stop) || stop.Partition != 1 || stop.Offset != 2 {
			t.Errorf("member %d: %v", i, err)
		}
	}
	g.RequireOrdered(t)
}

func TestRowHandlerPanics(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	b.Produce(topic, keyed(3, "a")...)
	var failed seen[orderly.AttemptEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Events: orderly.Events{Attempt: failed.add},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if m.Attempt == 1 && m.Offset == 1 {
				panic(errBusy)
			}
			return nil
		}})
	g.Start()
	g.WaitDone()
	g.RequireComplete(t)
	all := failed.get()
	var p *orderly.PanicError
	if len(all) != 1 || !all[0].Panic || all[0].Message.Offset != 1 || !errors.As(all[0].Err, &p) || p.Value != errBusy || len(p.Stack) == 0 {
		t.Errorf("%+v", all)
	}
}

// The context ends; the attempt ends when the handler returns; a nil then counts.
func TestRowHandlerExceedsDeadline(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	b.Produce(topic, keyed(3, "a")...)
	var failed seen[orderly.AttemptEvent]
	var calls atomic.Int64
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, AttemptTimeout: 20 * time.Millisecond,
		Events: orderly.Events{Attempt: failed.add},
		Handler: func(ctx context.Context, m *orderly.Message) error {
			calls.Add(1)
			switch m.Offset {
			case 0:
				<-ctx.Done()
				if m.Attempt == 1 {
					return context.Cause(ctx)
				}
				return nil // late, and well
			case 1:
				if ctx.Err() != nil {
					t.Error("the deadline is another attempt's")
				}
			}
			return nil
		}})
	g.Start()
	g.WaitDone()
	g.RequireComplete(t)
	all := failed.get()
	if len(all) != 1 || !errors.Is(all[0].Err, orderly.ErrAttemptTimeout) || calls.Load() != 4 {
		t.Errorf("%d calls, failed: %+v", calls.Load(), all)
	}
}

func TestRowRecordCannotBeDecoded(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	b.Produce(topic, orderlytest.Msg("a", `{"n":1}`), orderlytest.Msg("a", `{"n":"x"}`), orderlytest.Msg("a", `{"n":2}`), orderlytest.Msg("b", `{"n":3}`))
	type doc struct{ N int }
	var got seen[int]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicyStop, Retry: orderly.Retry{MaxAttempts: 2},
		Handler: orderly.JSON(func(_ context.Context, d doc, _ *orderly.Message) error {
			got.add(d.N)
			return nil
		})})
	err := g.Start().Wait()
	var stop *orderly.StopError
	var bad *orderly.DecodeError
	if !errors.As(err, &stop) || stop.Offset != 1 || !errors.As(err, &bad) {
		t.Errorf("Run: %v", err)
	}
	if got.any(func(n int) bool { return n == 2 }) {
		t.Error("a record passed the one of its key that does not decode")
	}
}
