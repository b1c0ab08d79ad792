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

// pair is a topic of two partitions with n records of a key in each.
func pair(t *testing.T, b *orderlytest.Broker, n int) string {
	t.Helper()
	topic := newTopic(t, b, 2)
	for p := range int32(2) {
		var recs []orderlytest.Record
		for _, r := range keyed(n, "a") {
			recs = append(recs, r.Partition(p))
		}
		b.Produce(topic, recs...)
	}
	return topic
}

// A handler that runs when its partition leaves may finish; what it did is
// committed before the next owner begins; what had not started is the next
// owner's.
func TestRowRevokedWhileRunning(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := pair(t, b, 5)
	var running atomic.Int64
	release := make(chan struct{})
	var revoked seen[orderly.RevokedEvent]
	var dropped seen[orderly.DroppedEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}})
	first := g.Start(func(c *orderly.ConsumerConfig) {
		c.Events.Revoked, c.Events.Dropped = revoked.add, dropped.add
		c.Handler = func(ctx context.Context, m *orderly.Message) error {
			if m.Offset > 0 {
				return nil
			}
			running.Add(1)
			<-release
			return ctx.Err()
		}
	})
	b.Eventually("both handlers to run", func() bool { return running.Load() == 2 })
	g.Start(func(c *orderly.ConsumerConfig) {
		c.Handler = func(context.Context, *orderly.Message) error { return nil }
	})
	b.Eventually("one of them to be asked back", func() bool {
		for p := range int32(2) {
			if st, ok := stateOf(first, topic, p); ok && len(st.Reasons) == 1 && st.Reasons[0] == "draining" {
				return true
			}
		}
		return false
	})
	close(release)
	g.WaitDone()
	g.RequireComplete(t)
	if c := g.Counts(); c.Redelivered != 0 || c.ExcusedOverlaps != 0 || c.Attempts != 10 {
		t.Errorf("%+v", c)
	}
	if all := revoked.get(); len(all) != 1 || !all[0].Clean || !all[0].Committed || all[0].Offset != 1 {
		t.Errorf("revoked: %+v", all)
	}
	if !dropped.any(func(d orderly.DroppedEvent) bool { return d.Reason == "unstarted" && d.Records == 4 }) {
		t.Errorf("dropped: %+v", dropped.get())
	}
}

// Past the drain deadline the context ends, with that cause; a late result is
// discarded, and no attempt is spent.
func TestRowRevokedPastTheDrainDeadline(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := pair(t, b, 3)
	var running atomic.Int64
	var causes seen[error]
	var revoked seen[orderly.RevokedEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, DrainTimeout: 100 * time.Millisecond})
	first := g.Start(func(c *orderly.ConsumerConfig) {
		c.Events.Revoked = revoked.add
		c.Handler = func(ctx context.Context, m *orderly.Message) error {
			running.Add(1)
			<-ctx.Done()
			causes.add(context.Cause(ctx))
			return nil // too late
		}
	})
	b.Eventually("both handlers to run", func() bool { return running.Load() == 2 })
	var again seen[orderly.Message]
	g.Start(func(c *orderly.ConsumerConfig) {
		c.Handler = func(_ context.Context, m *orderly.Message) error {
			again.add(*m)
			return nil
		}
	})
	b.Eventually("the next owner to do the partition", func() bool { return again.len() == 3 })
	if m := again.get()[0]; m.Offset != 0 || m.Attempt != 1 {
		t.Errorf("the next owner began at offset %d attempt %d", m.Offset, m.Attempt)
	}
	if all := causes.get(); len(all) != 1 || !errors.Is(all[0], orderly.ErrDrainDeadline) {
		t.Errorf("causes: %v", all)
	}
	if all := revoked.get(); len(all) != 1 || all[0].Clean || !all[0].Committed || all[0].Offset != 0 {
		t.Errorf("revoked: %+v", all)
	}
	stopAll(t, first)
	g.WaitDone()
	g.RequireComplete(t)
}

// A member that does not hear the coordinator for the session timeout ends its
// handlers' contexts, at no attempt, starts nothing and commits nothing; another
// member takes over; when it hears again its partitions are lost.
func TestRowCoordinatorNotHeard(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	b.Produce(topic, keyed(3, "a", "b")...)
	ctxs := make(chan context.Context, 2)
	var lost seen[orderly.LostEvent]
	var warnings seen[orderly.WarningEvent]
	var failed seen[orderly.AttemptEvent]
	var commits seen[orderly.CommittedEvent]
	var attempts seen[int]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, SessionTimeout: time.Second})
	first := g.Start(func(c *orderly.ConsumerConfig) {
		c.Events = orderly.Events{Lost: lost.add, Warning: warnings.add, Attempt: failed.add, Committed: commits.add}
		c.Handler = func(ctx context.Context, m *orderly.Message) error {
			ctxs <- ctx
			<-ctx.Done()
			return context.Cause(ctx)
		}
	})
	one, two := <-ctxs, <-ctxs
	second := g.Start(func(c *orderly.ConsumerConfig) {
		c.Handler = func(_ context.Context, m *orderly.Message) error {
			attempts.add(m.Attempt)
			return nil
		}
	})
	b.Eventually("the second member to join", func() bool { return second.Consumer().State().Generation >= 2 && g.Owner(topic, 0) == first })
	first.Cut()
	<-one.Done()
	<-two.Done()
	for _, ctx := range []context.Context{one, two} {
		if !errors.Is(context.Cause(ctx), orderly.ErrCoordinatorSilent) {
			t.Errorf("cause: %v", context.Cause(ctx))
		}
	}
	b.Eventually("the state to say so", func() bool {
		st, ok := stateOf(first, topic, 0)
		return first.Consumer().State().Silent && ok && len(st.Reasons) > 0
	})
	g.WaitDone() // by the second
	said := commits.len()
	first.Heal()
	b.Eventually("the loss", func() bool { return lost.len() == 1 })
	if l := lost.get()[0]; l.Topic != topic || l.Partition != 0 {
		t.Errorf("%+v", l)
	}
	b.Produce(topic, keyed(3, "a", "b")...)
	g.WaitDone()
	g.RequireComplete(t)
	for _, c := range commits.get()[said:] {
		if c.Err == nil {
			t.Errorf("the one that was cut off committed: %+v", c)
		}
	}
	if n := failed.len(); n != 0 {
		t.Errorf("%d attempts were spent", n)
	}
	for _, a := range attempts.get() {
		if a != 1 {
			t.Errorf("attempt %d", a)
		}
	}
	if !warnings.any(func(w orderly.WarningEvent) bool { return w.Code == "coordinator-silent" }) {
		t.Errorf("warnings: %+v", warnings.get())
	}
}

// After a kill the next owner repeats no more than what ran, and what was done
// since the last commit.
func TestRowProcessKilled(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	b.Produce(topic, orderlytest.Msg("stuck", "0"))
	b.Produce(topic, keyed(40, names("k", 50)...)...)
	var commits seen[orderly.CommittedEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, SessionTimeout: time.Second})
	g.Start(func(c *orderly.ConsumerConfig) {
		c.Events.Committed = commits.add
		c.Handler = func(ctx context.Context, m *orderly.Message) error {
			if string(m.Key) == "stuck" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
	})
	b.Eventually("the commit of 2,000 records done ahead", func() bool {
		return commits.any(func(c orderly.CommittedEvent) bool {
			return c.Err == nil && c.Offset == 0 && c.DoneAhead == 2000 && c.NotRecorded == 0
		})
	})
	dead := g.KillOwner(topic, 0)
	var again seen[int64]
	var assigned seen[orderly.AssignedEvent]
	next := g.Start(func(c *orderly.ConsumerConfig) {
		c.Events.Assigned = assigned.add
		c.Handler = func(_ context.Context, m *orderly.Message) error {
			again.add(m.Offset)
			return nil
		}
	})
	g.WaitDone()
	committed(t, b, next, topic, 0, 2001)
	if all := again.get(); len(all) != 1 || all[0] != 0 {
		t.Errorf("%d records were handed over again", len(all))
	}
	if a := assigned.get(); len(a) == 0 || a[0].Clean || a[0].Offset != 0 || a[0].DoneAhead != 2000 {
		t.Errorf("assigned: %+v", a)
	}
	g.RequireComplete(t)
	if err := dead.Wait(); !errors.Is(err, orderly.ErrAborted) {
		t.Errorf("Run of the dead: %v", err)
	}
}

// Fencing tokens rise with each ownership, and handlers are given the one of
// theirs.
func TestFencingTokens(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	var tokens seen[int64]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, SessionTimeout: time.Second,
		Handler: func(_ context.Context, m *orderly.Message) error {
			tokens.add(m.FencingToken)
			return nil
		}})
	for turn := range 4 {
		m := g.Start()
		b.Produce(topic, keyed(1, "a")...)
		g.WaitDone()
		committed(t, b, m, topic, 0, int64(turn)+1)
		if st, _ := stateOf(m, topic, 0); st.FencingToken != tokens.get()[turn] {
			t.Errorf("state %+v, handler %v", st, tokens.get())
		}
		if turn%2 == 0 {
			stopAll(t, m)
		} else {
			m.Kill()
		}
	}
	all := tokens.get()
	for i := 1; i < len(all); i++ {
		if all[i] <= all[i-1] {
			t.Errorf("tokens: %v", all)
		}
	}
	g.RequireComplete(t)
}

// The new owner reads a partition at once, also when it waits for records of
// others at that moment.
func TestTakenOverPartitionIsReadAtOnce(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 2)
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Handler: nothing})
	first, second := g.Start(), g.Start()
	b.Eventually("a partition each", func() bool { return g.Owner(topic, 0) != g.Owner(topic, 1) })
	stopAll(t, first)
	b.Eventually("both at one", func() bool { return g.Owner(topic, 0) == second && g.Owner(topic, 1) == second })
	began := time.Now()
	for p := range int32(2) {
		b.Produce(topic, orderlytest.Msg("k", "1").Partition(p), orderlytest.Msg("k", "2").Partition(p))
		g.WaitDone()
	}
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("the records were handled after %s", d)
	}
	g.RequireComplete(t)
}
