package orderly_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Records without a key are one sequence per partition, and another one than the
// records of the empty key.
func TestRowNullKeysAreOneSequence(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	for i := range 5 {
		b.Produce(topic, orderlytest.NullKeyMsg(fmt.Sprint(i)), orderlytest.Msg("", fmt.Sprint(i)), orderlytest.Msg("k", fmt.Sprint(i)))
	}
	var healed atomic.Bool
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if m.Key == nil && m.Offset == 0 && !healed.Load() {
				return errBusy
			}
			return nil
		}})
	m := g.Start()
	b.Eventually("all but the records without a key", func() bool { return g.Left() == 5 })
	b.Eventually("the block", func() bool { p, _ := stateOf(m, topic, 0); return p.Blocked == 1 })
	if p, _ := stateOf(m, topic, 0); len(p.Oldest) != 1 || p.Oldest[0].Key != nil || p.Oldest[0].Waiting != 5 {
		t.Errorf("%+v", p)
	}
	healed.Store(true)
	g.WaitDone()
	g.RequireComplete(t)
}

// Reject: such a record fails without a call, and the policy decides.
func TestRowNullKeysReject(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	b.Produce(topic, orderlytest.Msg("a", "0"), orderlytest.NullKeyMsg("1"), orderlytest.Msg("a", "2"))
	for _, policy := range []orderly.Policy{orderly.PolicyBlock, orderly.PolicyStop} {
		var called atomic.Bool
		g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, NullKeys: orderly.NullKeysReject, OnExhausted: policy, Retry: orderly.Retry{MaxAttempts: 2},
			Handler: func(_ context.Context, m *orderly.Message) error {
				if m.Key == nil {
					called.Store(true)
				}
				return nil
			}})
		m := g.Start()
		if policy == orderly.PolicyStop {
			if err := m.Wait(); err == nil || !strings.Contains(err.Error(), "offset 1") || !strings.Contains(err.Error(), "no ordering key") {
				t.Errorf("Run: %v", err)
			}
		} else {
			b.Eventually("the block", func() bool {
				p, _ := stateOf(m, topic, 0)
				return g.Left() == 1 && len(p.Oldest) == 1 && p.Oldest[0].Offset == 1 && p.Oldest[0].Attempts > 2
			})
		}
		if called.Load() {
			t.Error("the handler was called")
		}
	}
}

// The ordering key is what the function says.
func TestOrderBy(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	for i := range 20 {
		b.Produce(topic, orderlytest.Msg(fmt.Sprintf("%d:%s", i, []string{"x", "y", "z"}[i%3]), fmt.Sprint(i)))
	}
	var healed atomic.Bool
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic},
		OrderBy: orderly.OrderBy{Name: "behind-colon", Key: func(r *kgo.Record) []byte {
			_, key, _ := bytes.Cut(r.Key, []byte(":"))
			return key
		}},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if m.Offset == 1 && !healed.Load() {
				return errBusy
			}
			return nil
		}})
	g.Start()
	b.Eventually("all but those of y", func() bool { return g.Left() == 7 })
	healed.Store(true)
	g.WaitDone()
	g.RequireComplete(t)
}

// In partition scope the whole partition waits; other partitions run.
func TestScopePartition(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 2)
	for i := range 10 {
		for p := range int32(2) {
			b.Produce(topic, orderlytest.Msg(fmt.Sprint(i), "v").Partition(p))
		}
	}
	var healed atomic.Bool
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Scope: orderly.ScopePartition,
		Handler: func(_ context.Context, m *orderly.Message) error {
			if m.Partition == 0 && m.Offset == 3 && !healed.Load() {
				return errBusy
			}
			return nil
		}})
	g.Start()
	b.Eventually("the other partition, and what is before the failure", func() bool { return g.Left() == 7 })
	healed.Store(true)
	g.WaitDone()
	g.RequireComplete(t)
}

// Several topics, side by side, each with its own progress.
func TestSeveralTopics(t *testing.T) {
	t.Parallel()
	b := engine(t)
	one, two, three := newTopic(t, b, 1), newTopic(t, b, 2), newTopic(t, b, 3)
	g := b.Group(orderly.ConsumerConfig{Topics: []string{one, two, three}, Handler: func(context.Context, *orderly.Message) error { return nil }})
	for _, topic := range []string{one, two, three} {
		b.Produce(topic, keyed(10, names("k", 5)...)...)
	}
	members := []*orderlytest.Member{g.Start(), g.Start()}
	g.WaitDone()
	g.RequireComplete(t)
	b.Eventually("six partitions to be owned", func() bool {
		n := 0
		for _, m := range members {
			n += len(m.Consumer().State().Partitions)
		}
		return n == 6
	})
	for _, topic := range []string{one, two, three} {
		caughtUp(t, b, g.Owner(topic, 0), topic, 0)
	}
}

// At most Concurrency handlers at a time, and as many where there are keys.
func TestConcurrencyBound(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 4)
	b.Produce(topic, keyed(3, names("k", 60)...)...)
	var running, most atomic.Int64
	full := make(chan struct{})
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Concurrency: 7,
		Handler: func(_ context.Context, m *orderly.Message) error {
			n := running.Add(1)
			defer running.Add(-1)
			if n == 7 && most.CompareAndSwap(0, 7) {
				close(full)
			}
			if n > 7 {
				t.Errorf("%d at a time", n)
			}
			select {
			case <-full:
			case <-time.After(orderlytest.Patience):
				t.Errorf("never 7 at a time")
			}
			return nil
		}})
	g.Start()
	g.WaitDone()
	g.RequireComplete(t)
}

// The buffer bounds what is read ahead; a partition whose handlers hang cannot
// starve another one.
func TestBufferBudgets(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 2)
	release := make(chan struct{})
	var paused, resumed seen[orderly.PausedEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Concurrency: 32,
		Buffer:    orderly.Buffer{Records: 200},
		KafkaOpts: []kgo.Opt{kgo.FetchMaxPartitionBytes(16 << 10), kgo.FetchMaxBytes(16 << 10)},
		Events:    orderly.Events{Paused: paused.add, Resumed: resumed.add},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if m.Partition == 0 {
				<-release
			}
			return nil
		}})
	m := g.Start()
	g.Owner(topic, 1)
	pad := strings.Repeat("x", 400)
	slow, quick := names("slow", 8), names("quick", 8)
	for i := range 60 {
		var recs []orderlytest.Record
		for j := range slow {
			recs = append(recs, orderlytest.Msg(slow[j], pad).Partition(0), orderlytest.Msg(quick[j], pad).Partition(1))
		}
		b.Produce(topic, recs...)
		if i == 0 {
			g.Owner(topic, 0)
		}
	}
	committed(t, b, m, topic, 1, 480)
	b.Eventually("the pause", func() bool {
		return paused.any(func(e orderly.PausedEvent) bool {
			return e.Partition == 0 && len(e.Reasons) == 1 && e.Reasons[0] == "buffer-full"
		})
	})
	// A poll more than the budget at the most: what the client had fetched.
	if n := m.Consumer().State().Records; n < 100 || n > 400 {
		t.Errorf("%d records are buffered", n)
	}
	close(release)
	g.WaitDone()
	g.RequireComplete(t)
	b.Eventually("the end of the pause", func() bool {
		return resumed.any(func(e orderly.PausedEvent) bool { return e.Partition == 0 })
	})
	b.Eventually("the budget to be free", func() bool {
		s := m.Consumer().State()
		return s.Records == 0 && s.Bytes == 0
	})
}
