package orderly_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
)

// calls notes which records reached a handler, and fails those of bad keys until they
// are mended.
type calls struct {
	mu     sync.Mutex
	all    []string // "key/value" in order
	bad    func(m *orderly.Message) error
	mended atomic.Bool
}

func (c *calls) handle(_ context.Context, m *orderly.Message) error {
	if c.bad != nil && !c.mended.Load() {
		if err := c.bad(m); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, string(m.Key)+"/"+string(m.Value))
	return nil
}

// of are the values of a key's records that were done, in order.
func (c *calls) of(key string) (values []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.all {
		if k, v, ok := cutKey(s); ok && k == key {
			values = append(values, v)
		}
	}
	return values
}

func cutKey(s string) (k, v string, ok bool) {
	for i := range s {
		if s[i] == '/' {
			return s[:i], s[i+1:], true
		}
	}
	return "", "", false
}

func badKey(key string) func(*orderly.Message) error {
	return func(m *orderly.Message) error {
		if string(m.Key) == key {
			return errBusy
		}
		return nil
	}
}

func numbers(from, n int) (out []string) {
	for i := from; i < from+n; i++ {
		out = append(out, fmt.Sprint(i))
	}
	return out
}

// parkedRecords waits until the partition shows so many.
func parkedRecords(t *testing.T, b *orderlytest.Broker, m *orderlytest.Member, topic string, keys, records int) {
	t.Helper()
	b.Eventually(fmt.Sprintf("%d records of %d keys to be parked", records, keys), func() bool {
		p, ok := stateOf(m, topic, 0)
		return ok && p.Parking.Keys == keys && p.Parking.Records == records
	})
}

// The record that used up its attempts is parked, those of its key follow without a
// call of the handler, all others run, and the commit passes.
func TestRowParkPolicy(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	c := &calls{bad: badKey("bad")}
	var parkedEvents seen[orderly.ParkedEvent]
	var attempts atomic.Int64
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Retry: orderly.Retry{MaxAttempts: 3},
		Events: orderly.Events{Parked: parkedEvents.add, Attempt: func(orderly.AttemptEvent) { attempts.Add(1) }}, Handler: c.handle})
	b.Produce(topic, keyed(5, "bad", "good")...)
	m := g.Start()
	committed(t, b, m, topic, 0, 10)
	parkedRecords(t, b, m, topic, 1, 5)
	if n := attempts.Load(); n != 3 {
		t.Errorf("%d attempts failed, want the 3 of the first record alone", n)
	}
	if got := c.of("good"); !slices.Equal(got, numbers(0, 5)) {
		t.Errorf("good: %v", got)
	}
	es := parkedEvents.get()
	if len(es) != 5 || es[0].Attempts != 3 || es[0].Reason != "exhausted" || es[1].Attempts != 0 {
		t.Errorf("%+v", es)
	}
	for i, e := range es {
		if e.Offset != int64(2*i) {
			t.Errorf("parked in place %d: offset %d", i, e.Offset)
		}
	}
	// A restart changes nothing: the same records are parked in the same order.
	stopAll(t, m)
	m = g.Start()
	b.Produce(topic, orderlytest.Msg("bad", "5"), orderlytest.Msg("good", "5"))
	committed(t, b, m, topic, 0, 12)
	parkedRecords(t, b, m, topic, 1, 6)
	if got := c.of("bad"); len(got) != 0 {
		t.Errorf("bad was handled: %v", got)
	}
	stopAll(t, m)
}

// On its schedule the key is tried again: in order, and then it lives again.
func TestParkedKeyIsReleasedOnSchedule(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	c := &calls{bad: badKey("bad")}
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Retry: orderly.Retry{MaxAttempts: 2},
		Parking: orderly.Parking{First: 20 * time.Millisecond, Longest: 50 * time.Millisecond}, Handler: c.handle})
	b.Produce(topic, keyed(10, "bad", "good")...)
	m := g.Start()
	committed(t, b, m, topic, 0, 20)
	parkedRecords(t, b, m, topic, 1, 10)
	c.mended.Store(true)
	b.Eventually("the key to be released", func() bool { return len(c.of("bad")) == 10 })
	parkedRecords(t, b, m, topic, 0, 0)
	b.Produce(topic, orderlytest.Msg("bad", "10"))
	committed(t, b, m, topic, 0, 21)
	if got := c.of("bad"); !slices.Equal(got, numbers(0, 11)) {
		t.Errorf("bad: %v", got)
	}
	stopAll(t, m)
}
