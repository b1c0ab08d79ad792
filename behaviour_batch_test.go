package orderly_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
)

// Runs of a lane: offset order, no more than Max, several keys.
func TestBatch(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 2)
	b.Produce(topic, keyed(20, names("k", 20)...)...)
	var most, several atomic.Int64
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Lanes: 4,
		Batch: orderly.Batch{Max: 8, Handler: func(_ context.Context, ms []*orderly.Message) (int, error) {
			keys := map[string]bool{}
			for i, m := range ms {
				keys[string(m.Key)] = true
				if m.Partition != ms[0].Partition || i > 0 && m.Offset <= ms[i-1].Offset {
					t.Errorf("record %d is %d/%d behind %d/%d", i, m.Partition, m.Offset, ms[i-1].Partition, ms[i-1].Offset)
				}
			}
			if len(keys) > 1 {
				several.Add(1)
			}
			for n := most.Load(); int64(len(ms)) > n && !most.CompareAndSwap(n, int64(len(ms))); n = most.Load() {
			}
			return len(ms), nil
		}}})
	g.Start()
	g.WaitDone()
	g.RequireComplete(t)
	if most.Load() != 8 || several.Load() == 0 {
		t.Errorf("largest batch %d, of several keys %d", most.Load(), several.Load())
	}
}

// A lane waits for a full batch, but not longer than Wait.
func TestBatchWait(t *testing.T) {
	t.Parallel()
	const wait = 2 * time.Second // longer than 20 records take to come, also on a busy machine
	b := engine(t)
	topic := newTopic(t, b, 1)
	var sizes seen[int]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Lanes: 1,
		Batch: orderly.Batch{Max: 10, Wait: wait, Handler: func(_ context.Context, ms []*orderly.Message) (int, error) {
			sizes.add(len(ms))
			return len(ms), nil
		}}})
	m := g.Start()
	g.Owner(topic, 0)
	for range 5 {
		b.Produce(topic, keyed(1, "a", "b", "c", "d")...) // each is a poll of its own
	}
	g.WaitDone()
	g.RequireComplete(t)
	if s := sizes.get(); len(s) > 3 || s[0] != 10 {
		t.Errorf("20 records came as %v", s)
	}
	began := time.Now()
	b.Produce(topic, keyed(1, "a")...)
	committed(t, b, m, topic, 0, 21)
	if d := time.Since(began); d < wait {
		t.Errorf("one record was run after %s", d)
	}
}

// A key that fails waits alone: the others of its lane go on, in order.
func TestBatchDetachesAFailedKey(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	b.Produce(topic, keyed(10, "bad", "good", "fine")...)
	var healed atomic.Bool
	var failed seen[orderly.AttemptEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Lanes: 1, Events: orderly.Events{Attempt: failed.add},
		Batch: orderly.Batch{Max: 4, Handler: func(_ context.Context, ms []*orderly.Message) (int, error) {
			for i, m := range ms {
				if string(m.Key) == "bad" && !healed.Load() {
					return i, errBusy
				}
			}
			return len(ms), nil
		}}})
	m := g.Start()
	b.Eventually("all of the other keys", func() bool { return g.Left() == 10 })
	b.Eventually("the state", func() bool {
		p, _ := stateOf(m, topic, 0)
		return p.Blocked == 1 && len(p.Oldest) == 1 && p.Oldest[0].Offset == 0 && p.Oldest[0].Waiting == 10
	})
	for _, e := range failed.get() {
		if e.Message.Offset != 0 {
			t.Errorf("offset %d was tried before offset 0 was done", e.Message.Offset)
		}
	}
	healed.Store(true)
	g.WaitDone()
	g.RequireComplete(t)
}

// Below zero, or a panic: nobody is blamed; one by one it shows who it is.
func TestBatchThatCannotTell(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	b.Produce(topic, keyed(5, "a", "bad", "c")...)
	var mu sync.Mutex
	blamed := map[string]int{}
	attempts := map[int64]int{}
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Lanes: 1, Scope: orderly.ScopeKey,
		Events: orderly.Events{Attempt: func(e orderly.AttemptEvent) {
			mu.Lock()
			defer mu.Unlock()
			blamed[string(e.Message.Key)]++
		}},
		Batch: orderly.Batch{Max: 6, Handler: func(_ context.Context, ms []*orderly.Message) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			for _, m := range ms {
				attempts[m.Offset] = m.Attempt
				if string(m.Key) == "bad" && m.Attempt == 1 {
					if m.Offset%2 == 0 {
						return -1, fmt.Errorf("somewhere in %d records", len(ms))
					}
					panic("somewhere")
				}
			}
			return len(ms), nil
		}}})
	g.Start()
	g.WaitDone()
	g.RequireComplete(t)
	mu.Lock()
	defer mu.Unlock()
	if len(blamed) != 1 || blamed["bad"] != 5 {
		t.Errorf("blamed: %v", blamed)
	}
	for o, n := range attempts {
		if want := 1 + int(o%3%2); n != want {
			t.Errorf("offset %d was done at attempt %d, want %d", o, n, want)
		}
	}
}

// Batches in partition scope: one at a time, and a failure holds the partition.
func TestBatchScopePartition(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	b.Produce(topic, keyed(10, "a", "b")...)
	var healed atomic.Bool
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Scope: orderly.ScopePartition,
		Batch: orderly.Batch{Max: 4, Handler: func(_ context.Context, ms []*orderly.Message) (int, error) {
			for i, m := range ms {
				if m.Offset == 6 && !healed.Load() {
					return i, errBusy
				}
			}
			return len(ms), nil
		}}})
	m := g.Start()
	committed(t, b, m, topic, 0, 6)
	b.Eventually("some attempts", func() bool {
		p, _ := stateOf(m, topic, 0)
		return len(p.Oldest) == 1 && p.Oldest[0].Attempts > 2
	})
	if g.Left() != 14 {
		t.Errorf("%d left", g.Left())
	}
	healed.Store(true)
	g.WaitDone()
	g.RequireComplete(t)
}
