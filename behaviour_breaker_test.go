package orderly_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
)

var errDown = errors.New("connection refused")

func isOpen(e orderly.BreakerEvent) bool   { return e.State == orderly.BreakerOpen }
func isClosed(e orderly.BreakerEvent) bool { return e.State == orderly.BreakerClosed }

// Unavailable of one key spends no attempt, and the other keys run.
func TestRowUnavailable(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	b.Produce(topic, keyed(10, "bad", "good")...)
	var healed atomic.Bool
	var calls seen[orderly.Message]
	var breaker seen[orderly.BreakerEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicyStop,
		Retry:  orderly.Retry{MaxAttempts: 2, Backoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond},
		Events: orderly.Events{Breaker: breaker.add},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if string(m.Key) == "bad" && !healed.Load() {
				calls.add(*m)
				return orderly.Unavailable(errDown)
			}
			return nil
		}})
	m := g.Start()
	b.Eventually("more attempts than there are, and the other key done", func() bool { return calls.len() > 5 && g.Left() == 10 })
	for _, c := range calls.get() {
		if c.Offset != 0 {
			t.Fatalf("offset %d, attempt %d", c.Offset, c.Attempt)
		}
	}
	if p, _ := stateOf(m, topic, 0); p.Committed != 0 || p.Blocked != 1 || p.Oldest[0].Attempts != 0 {
		t.Errorf("%+v", p)
	}
	healed.Store(true)
	g.WaitDone()
	g.RequireComplete(t)
	if breaker.len() > 0 {
		t.Errorf("one key opened the breaker: %+v", breaker.get())
	}
}

// Open: nothing is attempted but the heads of keys, one at a time; partitions are
// paused with the reason; no attempt is spent; the order holds, and all is done in the
// end. The member stays in its group, and its partitions can be drained.
func TestRowBreakerOpen(t *testing.T) {
	t.Parallel()
	for _, probe := range []bool{false, true} {
		name := map[bool]string{false: "heads", true: "probe"}[probe]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := engine(t)
			topic := newTopic(t, b, 2)
			var down atomic.Bool
			var calls, asked atomic.Int64
			var breaker seen[orderly.BreakerEvent]
			var paused seen[orderly.PausedEvent]
			cfg := orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicyStop,
				Retry:   orderly.Retry{MaxAttempts: 10, Backoff: 200 * time.Millisecond, MaxBackoff: time.Second},
				Breaker: orderly.Breaker{ProbeInterval: 150 * time.Millisecond},
				Events:  orderly.Events{Breaker: breaker.add, Paused: paused.add},
				Handler: func(context.Context, *orderly.Message) error {
					calls.Add(1)
					if down.Load() {
						return errDown // nobody has marked it
					}
					return nil
				}}
			if probe {
				cfg.Breaker.Probe = func(context.Context) error {
					asked.Add(1)
					if down.Load() {
						return errDown
					}
					return nil
				}
			}
			g := b.Group(cfg)
			down.Store(true)
			b.Produce(topic, keyed(20, names("k", 12)...)...)
			m := g.Start()
			b.Eventually("the breaker to open", func() bool { return breaker.any(isOpen) })
			b.Eventually("the reason to be shown", func() bool {
				p, _ := stateOf(m, topic, 0)
				return slices.Equal(p.Reasons, []string{"breaker-open"}) && paused.any(func(e orderly.PausedEvent) bool {
					return slices.Equal(e.Reasons, []string{"breaker-open"})
				})
			})
			st := m.Consumer().State().Breaker
			if st.State == orderly.BreakerClosed || st.Reason == "" || st.Since.IsZero() || st.FailingKeys == 0 {
				t.Errorf("%+v", st)
			}
			// Longer than a session, which is kept.
			before := calls.Load()
			opened := time.Now()
			if probe {
				b.Eventually("many probes", func() bool { return asked.Load() >= 12 })
				b.Produce(topic, keyed(1, "late")...)
				n := asked.Load()
				b.Eventually("more probes", func() bool { return asked.Load() >= n+6 })
				var read int64
				for p := range int32(2) {
					st, _ := stateOf(m, topic, p)
					read += st.Next
				}
				if read > 240 {
					t.Errorf("%d records were read while it is open", read)
				}
				if n := calls.Load(); n != before {
					t.Errorf("%d attempts while the probe says that it is down", n-before)
				}
			} else {
				b.Eventually("heads to be tried", func() bool { return calls.Load() >= before+12 })
				if n, most := calls.Load()-before, int64(time.Since(opened)/(50*time.Millisecond))+1; n > most {
					t.Errorf("%d heads were tried within %s, at most %d are allowed", n, time.Since(opened), most)
				}
			}
			for _, p := range m.Consumer().State().Partitions {
				for _, k := range p.Oldest {
					if k.Attempts > 0 {
						t.Errorf("offset %d of partition %d has spent %d attempts", k.Offset, p.Partition, k.Attempts)
					}
				}
			}
			// The second member gets a partition, which is drained while it is open.
			second := g.Start()
			b.Eventually("a handover", func() bool { return len(second.Consumer().State().Partitions) == 1 })
			down.Store(false)
			g.WaitDone()
			g.RequireComplete(t)
			b.Eventually("the breaker to close, or to have nobody to ask", func() bool {
				return breaker.any(isClosed) || m.Consumer().State().Breaker.State == orderly.BreakerHalfOpen
			})
			if err := errors.Join(m.Stop(), second.Stop()); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
}

// In virtual time, with the defaults: an outage of an hour costs no record an attempt,
// however the handler says it, and ends in steps.
func TestRowBreakerOpenForAnHour(t *testing.T) {
	t.Parallel()
	for _, mark := range []bool{false, true} {
		var began, over atomic.Bool
		most := 0
		var breaker seen[orderly.BreakerEvent]
		first := 0
		d := orderlytest.Delivery{MaxTime: 3 * time.Hour, Config: orderly.ConsumerConfig{
			OnExhausted: orderly.PolicyStop, Concurrency: 1, Events: orderly.Events{Breaker: breaker.add},
			Handler: func(_ context.Context, m *orderly.Message) error {
				most = max(most, m.Attempt)
				if began.Load() && !over.Load() {
					if first++; first > 150 { // as many as are tried in most of an hour
						over.Store(true)
					}
					if mark {
						return orderly.Unavailable(errDown)
					}
					return errDown
				}
				if m.Offset > 40 {
					began.Store(true)
				}
				return nil
			}}}
		r := d.Run(t, keyed(30, names("k", 8)...)...)
		r.RequireDone(t)
		r.RequireOrdered(t)
		if r.Elapsed < 30*time.Minute {
			t.Errorf("mark %t: the outage took %s only", mark, r.Elapsed)
		}
		if most <= 10 { // or else it would show nothing that no record was given up
			t.Errorf("mark %t: no record was tried more than %d times", mark, most)
		}
		if !breaker.any(isOpen) || !breaker.any(isClosed) {
			t.Errorf("mark %t: %+v", mark, breaker.get())
		}
	}
}

// Five keys that fail for ever on a quiet topic hold nobody else.
func TestPoisonKeysDoNotHoldTheBreakerOpen(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	var breaker seen[orderly.BreakerEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Events: orderly.Events{Breaker: breaker.add},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if m.Key[0] == 'p' {
				return errBusy
			}
			return nil
		}})
	b.Produce(topic, keyed(1, names("p", 5)...)...)
	m := g.Start()
	b.Eventually("the breaker to open", func() bool { return breaker.any(isOpen) })
	for i := range 10 {
		b.Produce(topic, keyed(2, names("good", i%3+1)...)...)
		b.Eventually("the good keys to be done", func() bool { return g.Left() == 5 })
	}
	b.Eventually("the breaker to close", func() bool { return m.Consumer().State().Breaker.State == orderly.BreakerClosed })
}
