package orderly_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A handler that ignores the end of its attempt is reported, although its
// partition is ours and its key simply waits.
func TestRowHandlerExceedsDeadlineAndIgnoresIt(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	b.Produce(topic, orderlytest.Msg("k", "0"), orderlytest.Msg("k", "1"))
	release := make(chan struct{})
	var stuck seen[orderly.StuckEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, AttemptTimeout: 20 * time.Millisecond,
		Events: orderly.Events{Stuck: stuck.add},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if m.Offset == 1 {
				<-release
			}
			return nil
		}})
	g.Start()
	b.Eventually("the report", func() bool {
		return stuck.any(func(e orderly.StuckEvent) bool { return e.Offset == 1 && string(e.Key) == "k" && e.Owned })
	})
	close(release)
	g.WaitDone()
	g.RequireComplete(t)
}

// A function for the ordering key that panics stops the consumer at that record,
// by name: its place among the others is not known.
func TestOrderByPanics(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	b.Produce(topic, orderlytest.Msg("a", "0"), orderlytest.Msg("bad", "1"), orderlytest.Msg("a", "2"))
	var armed, bad atomic.Bool
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic},
		OrderBy: orderly.OrderBy{Name: "fragile", Key: func(r *kgo.Record) []byte {
			if string(r.Key) == "bad" && armed.Load() {
				panic("no such field")
			}
			return r.Key
		}},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if string(m.Key) == "bad" {
				bad.Store(true)
			}
			return nil
		}})
	armed.Store(true) // not for the test's own bookkeeping
	var stop *orderly.StopError
	if err := g.Start().Wait(); !errors.As(err, &stop) || stop.Offset != 1 || !strings.Contains(err.Error(), `OrderBy "fragile"`) {
		t.Errorf("Run: %v", err)
	}
	if bad.Load() {
		t.Error("the record was handed over")
	}
}

// One hot key that is blocked fills the buffer of the only partition: that is a
// state with a name, and it ends.
func TestBufferFullIsNamed(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	b.Produce(topic, keyed(400, "hot")...)
	var healed atomic.Bool
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Buffer: orderly.Buffer{Records: 32}, OnExhausted: orderly.PolicyBlock,
		Handler: func(context.Context, *orderly.Message) error {
			if !healed.Load() {
				return errBusy
			}
			return nil
		}})
	m := g.Start()
	named := func() bool {
		p, ok := stateOf(m, topic, 0)
		return ok && slices.Contains(p.Reasons, "buffer-full")
	}
	b.Eventually("the state", named)
	healed.Store(true)
	g.WaitDone()
	b.Eventually("its end", func() bool { return !named() })
	g.RequireComplete(t)
}

// holdSync holds back the requests for an assignment, once it is armed: the member
// is then between joining and its assignment.
type holdSync struct {
	armed atomic.Bool
	held  chan struct{}
	goOn  chan struct{}
}

func (h *holdSync) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if kmsg.Key(key) == kmsg.SyncGroup && h.armed.CompareAndSwap(true, false) {
		close(h.held)
		<-h.goOn
	}
}

// A member that is told to stop while it joins the group again, because another one
// has left at the same time, commits what is done nevertheless.
func TestStopDuringAJoinCommits(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	b.Produce(topic, keyed(10, "a", "b")...)
	hold := &holdSync{held: make(chan struct{}), goOn: make(chan struct{})}
	revoked := make(chan orderly.RevokedEvent, 1)
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, SessionTimeout: 45 * time.Second, RebalanceTimeout: 45 * time.Second,
		CommitInterval: time.Hour, KafkaOpts: []kgo.Opt{kgo.WithHooks(hold)},
		Events:  orderly.Events{Revoked: func(e orderly.RevokedEvent) { revoked <- e }},
		Handler: func(context.Context, *orderly.Message) error { return nil }})
	m := g.Start()
	b.Eventually("all to be done", func() bool {
		p, ok := stateOf(m, topic, 0)
		return ok && p.Done == 20
	})
	hold.armed.Store(true)
	m.Consumer().Rebalance()
	<-hold.held
	stopped := make(chan error, 1)
	go func() { stopped <- m.Stop() }()
	select {
	case e := <-revoked:
		t.Errorf("released before the join had ended: %+v", e)
	case <-time.After(100 * time.Millisecond): // nothing tells that it waits
	}
	close(hold.goOn)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if e := <-revoked; !e.Committed || e.Offset != 20 {
		t.Errorf("%+v, want offset 20 committed", e)
	}
}

// A join that hangs does not hold up a member that is told to stop for as long as
// handlers may run: here nothing runs.
func TestStopDuringAJoinThatHangs(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	b.Produce(topic, keyed(10, "a", "b")...)
	hold := &holdSync{held: make(chan struct{}), goOn: make(chan struct{})}
	revoked := make(chan orderly.RevokedEvent, 1)
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, SessionTimeout: 30 * time.Second, RebalanceTimeout: 30 * time.Second, DrainTimeout: 20 * time.Second,
		CommitInterval: time.Hour, KafkaOpts: []kgo.Opt{kgo.WithHooks(hold), kgo.RequestTimeoutOverhead(2 * time.Minute)},
		Events:  orderly.Events{Revoked: func(e orderly.RevokedEvent) { revoked <- e }},
		Handler: func(context.Context, *orderly.Message) error { return nil }})
	m := g.Start()
	b.Eventually("all to be done", func() bool {
		p, ok := stateOf(m, topic, 0)
		return ok && p.Done == 20
	})
	hold.armed.Store(true)
	m.Consumer().Rebalance()
	<-hold.held
	stopped := make(chan error, 1)
	go func() { stopped <- m.Stop() }()
	select {
	case <-revoked: // after a quarter of what the drain leaves of the session: 2.5 s
	case <-time.After(15 * time.Second): // it would be 22.5 s
		t.Error("not released while the join hangs")
	}
	close(hold.goOn)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
