package orderly_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
)

// whole has the whole partition be one sequence.
func whole(cfg *orderly.ConsumerConfig) { cfg.Scope = orderly.ScopePartition }

// In partition scope the sequence has no key: words name the offset alone, and one that
// names a key says what is wrong with that.
func TestWordsInPartitionScope(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	bad := map[string]bool{"0": true, "2": true, "4": true}
	c := &calls{bad: func(m *orderly.Message) error {
		if bad[string(m.Value)] && string(m.Key) == "bad" {
			return errBusy
		}
		return nil
	}}
	g := blocking(t, b, topic, c, whole)
	b.Produce(topic, keyed(6, "bad", "good")...)
	m := g.Start()
	blockedIn(t, b, m, topic, "exhausted")
	a := admin(t, b, g)
	ans, err := a.Retry(patient(t), orderly.Command{Topic: topic})
	answered(t, ans, err, "done", "failed again")
	ans, err = a.Skip(patient(t), orderly.Command{Topic: topic, Key: []byte("bad"), Reason: "broken"})
	answered(t, ans, err, "refused", "in partition scope the whole partition is one sequence, and has no key")
	ans, err = a.Skip(patient(t), orderly.Command{Topic: topic, Reason: "broken"})
	answered(t, ans, err, "done", "skipped")
	b.Eventually("the next bad record to block", func() bool {
		p, _ := stateOf(m, topic, 0)
		return len(p.Oldest) == 1 && p.Oldest[0].Offset == 4
	})
	committed(t, b, m, topic, 0, 4)
	// Parked, all that comes later follows, of whatever key.
	ans, err = a.Park(patient(t), orderly.Command{Topic: topic, Offset: 4, Reason: "tomorrow"})
	answered(t, ans, err, "done", "its key is parked")
	committed(t, b, m, topic, 0, 12)
	parkedRecords(t, b, m, topic, 1, 8)
	// A parked record can be skipped wherever it stands.
	ans, err = a.Skip(patient(t), orderly.Command{Topic: topic, Offset: 9, Reason: "x"})
	answered(t, ans, err, "done", "skipped")
	ans, err = a.Skip(patient(t), orderly.Command{Topic: topic, Offset: 4, Reason: "x"})
	answered(t, ans, err, "done", "skipped")
	// What stood in the way is gone: the rest is released by itself, and stops at the first
	// that fails. So does a release by word.
	parkedRecords(t, b, m, topic, 1, 3)
	ans, err = a.Retry(patient(t), orderly.Command{Topic: topic, Offset: 8})
	answered(t, ans, err, "done", "failed again")
	parkedRecords(t, b, m, topic, 1, 3)
	keys, err := a.ParkedKeys(patient(t), topic)
	if err != nil || len(keys) != 1 || keys[0].Key != nil || keys[0].FirstOffset != 8 || keys[0].Records != 3 {
		t.Errorf("%+v, %v", keys, err)
	}
	recs, err := a.ParkedRecords(patient(t), topic, 0, nil, 10)
	if err != nil || len(recs) != 3 || string(recs[0].Record.Key) != "bad" || recs[1].Record.Offset != 10 {
		t.Errorf("%+v, %v", recs, err)
	}
	// Another owner knows all of it.
	stopAll(t, m)
	m = g.Start()
	parkedRecords(t, b, m, topic, 1, 3)
	c.mended.Store(true)
	ans, err = a.Retry(patient(t), orderly.Command{Topic: topic, Offset: 8})
	answered(t, ans, err, "done", "released")
	parkedRecords(t, b, m, topic, 0, 0)
	c.mu.Lock()
	defer c.mu.Unlock()
	want := []string{"good/0", "bad/1", "good/1", "good/2", "bad/3", "good/3", "bad/4", "bad/5", "good/5"}
	if !slices.Equal(c.all, want) {
		t.Errorf("%v, want %v", c.all, want)
	}
	stopAll(t, m)
}

// Pauses in partition scope are of the whole partition; that of a key is refused.
func TestPauseInPartitionScope(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	c := &calls{bad: badKey("bad")}
	g := blocking(t, b, topic, c, whole)
	b.Produce(topic, orderlytest.Msg("a", "0"))
	m := g.Start()
	committed(t, b, m, topic, 0, 1)
	a := admin(t, b, g)
	keyed := orderly.Target{Topic: topic, Partitions: []int32{0}, Keyed: true, Key: []byte("a"), Reason: "r"}
	answers, err := a.Pause(patient(t), keyed)
	if err != nil || len(answers) != 1 || answers[0].State != "refused" || !strings.Contains(answers[0].Result, "pause the partition") {
		t.Errorf("%+v, %v", answers, err)
	}
	of := orderly.Target{Topic: topic, Partitions: []int32{0}, Reason: "stock-taking"}
	if answers, err = a.Pause(patient(t), of); err != nil || answers[0].State != "done" {
		t.Fatalf("%+v, %v", answers, err)
	}
	b.Produce(topic, orderlytest.Msg("bad", "0"), orderlytest.Msg("a", "1"))
	paused := func() bool {
		p, ok := stateOf(m, topic, 0)
		return ok && slices.Equal(p.Reasons, []string{"paused"})
	}
	b.Eventually("the partition to be paused", paused)
	stopAll(t, m)
	m = g.Start()
	b.Eventually("the partition to be paused again", paused)
	if got := c.of("a"); len(got) != 1 {
		t.Errorf("handled %v while paused", got)
	}
	if answers, err = a.Resume(patient(t), of); err != nil || answers[0].State != "done" {
		t.Fatalf("%+v, %v", answers, err)
	}
	blockedIn(t, b, m, topic, "exhausted")
	// A blocked partition is paused as well, and its word waits for nothing.
	if answers, err = a.Pause(patient(t), of); err != nil || answers[0].State != "done" {
		t.Fatalf("%+v, %v", answers, err)
	}
	c.mended.Store(true)
	if answers, err = a.Resume(patient(t), orderly.Target{Topic: topic}); err != nil || answers[0].State != "done" {
		t.Fatalf("%+v, %v", answers, err)
	}
	ans, err := a.Retry(patient(t), orderly.Command{Topic: topic, Offset: 1})
	if err != nil || ans.State != "done" {
		t.Errorf("%+v, %v", ans, err)
	}
	committed(t, b, m, topic, 0, 3)
	stopAll(t, m)
}

// batches is c's handler for runs: it stops at the first record that fails.
func batches(c *calls, most *atomic.Int64) orderly.Batch {
	return orderly.Batch{Max: 8, Handler: func(ctx context.Context, ms []*orderly.Message) (int, error) {
		most.Store(max(most.Load(), int64(len(ms))))
		for i, m := range ms {
			if err := c.handle(ctx, m); err != nil {
				return i, err
			}
		}
		return len(ms), nil
	}}
}

// The words about blocked and parked keys of batch handlers: the lane goes on.
func TestWordsWithBatches(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	c := &calls{bad: func(m *orderly.Message) error {
		if string(m.Key) == "bad" && string(m.Value) != "1" {
			return errBusy
		}
		return nil
	}}
	var most atomic.Int64
	g := blocking(t, b, topic, c, func(cfg *orderly.ConsumerConfig) {
		cfg.Handler, cfg.Batch, cfg.Lanes = nil, batches(c, &most), 2
	})
	b.Produce(topic, keyed(6, "bad", "x", "y", "z")...)
	m := g.Start()
	blockedIn(t, b, m, topic, "exhausted")
	a := admin(t, b, g)
	ans, err := a.Retry(patient(t), orderly.Command{Topic: topic, Key: []byte("bad")})
	answered(t, ans, err, "done", "failed again")
	ans, err = a.Skip(patient(t), orderly.Command{Topic: topic, Key: []byte("bad"), Reason: "broken"})
	answered(t, ans, err, "done", "skipped")
	b.Eventually("the next bad record to block", func() bool {
		p, _ := stateOf(m, topic, 0)
		return len(p.Oldest) == 1 && p.Oldest[0].Offset == 8
	})
	ans, err = a.Park(patient(t), orderly.Command{Topic: topic, Key: []byte("bad"), Offset: 8, Reason: "tomorrow"})
	answered(t, ans, err, "done", "its key is parked")
	committed(t, b, m, topic, 0, 24)
	parkedRecords(t, b, m, topic, 1, 4)
	for _, k := range []string{"x", "y", "z"} {
		if got := c.of(k); !slices.Equal(got, numbers(0, 6)) {
			t.Errorf("%s: %v", k, got)
		}
	}
	ans, err = a.Retry(patient(t), orderly.Command{Topic: topic, Key: []byte("bad"), Offset: 8})
	answered(t, ans, err, "done", "failed again")
	c.mended.Store(true)
	ans, err = a.Skip(patient(t), orderly.Command{Topic: topic, Key: []byte("bad"), Offset: 8, Reason: "broken"})
	answered(t, ans, err, "done", "skipped")
	parkedRecords(t, b, m, topic, 0, 0) // the rest is released by itself
	if got := c.of("bad"); !slices.Equal(got, []string{"1", "3", "4", "5"}) {
		t.Errorf("bad: %v", got)
	}
	b.Produce(topic, keyed(20, "bad", "x")...)
	committed(t, b, m, topic, 0, 64)
	if most.Load() < 2 {
		t.Errorf("no run had more than %d records", most.Load())
	}
	stopAll(t, m)
}

// A paused key of a batch handler waits beside its lane, and comes back in order.
func TestPauseWithBatches(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	c := &calls{}
	var most atomic.Int64
	g := blocking(t, b, topic, c, func(cfg *orderly.ConsumerConfig) {
		cfg.OnExhausted, cfg.Lanes = orderly.PolicyPark, 1
		cfg.Handler, cfg.Batch = nil, batches(c, &most)
	})
	b.Produce(topic, keyed(1, "k", "other")...)
	m := g.Start()
	committed(t, b, m, topic, 0, 2)
	a := admin(t, b, g)
	key := orderly.Target{Topic: topic, Partitions: []int32{0}, Keyed: true, Key: []byte("k"), Reason: "ask the customer"}
	if answers, err := a.Pause(patient(t), key); err != nil || answers[0].State != "done" {
		t.Fatalf("%+v, %v", answers, err)
	}
	b.Produce(topic, keyed(30, "k", "other")...)
	blockedIn(t, b, m, topic, "paused")
	b.Eventually("the other key to be done", func() bool { return len(c.of("other")) == 31 })
	if got := c.of("k"); len(got) != 1 {
		t.Errorf("k %v", got)
	}
	partition := orderly.Target{Topic: topic, Partitions: []int32{0}, Reason: "all of it"}
	if answers, err := a.Pause(patient(t), partition); err != nil || answers[0].State != "done" {
		t.Fatalf("%+v, %v", answers, err)
	}
	if answers, err := a.Resume(patient(t), key); err != nil || answers[0].State != "done" {
		t.Fatalf("%+v, %v", answers, err)
	}
	b.Produce(topic, keyed(5, "k", "other")...)
	b.Eventually("the partition to be paused", func() bool {
		p, _ := stateOf(m, topic, 0)
		return slices.Equal(p.Reasons, []string{"paused"}) && p.Running == 0
	})
	if got := c.of("k"); len(got) != 1 || len(c.of("other")) != 31 {
		t.Errorf("k %v, other %v", got, c.of("other"))
	}
	if answers, err := a.Resume(patient(t), partition); err != nil || answers[0].State != "done" {
		t.Fatalf("%+v, %v", answers, err)
	}
	committed(t, b, m, topic, 0, 72)
	want := slices.Concat([]string{"0"}, numbers(0, 30), numbers(0, 5))
	if got := c.of("k"); !slices.Equal(got, want) {
		t.Errorf("k %v", got)
	}
	if got := c.of("other"); !slices.Equal(got, want) {
		t.Errorf("other %v", got)
	}
	stopAll(t, m)
}

// A batch handler in partition scope: one sequence, in runs; what fails is parked with
// all that comes behind it.
func TestParkBatchInPartitionScope(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	c := &calls{bad: badKey("bad")}
	var most atomic.Int64
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicyPark, Scope: orderly.ScopePartition, Batch: batches(c, &most),
		Retry: orderly.Retry{MaxAttempts: 2}, Parking: orderly.Parking{First: 20 * time.Millisecond, Longest: 50 * time.Millisecond}})
	b.Produce(topic, keyed(10, "a", "bad")...)
	m := g.Start()
	committed(t, b, m, topic, 0, 20)
	parkedRecords(t, b, m, topic, 1, 19)
	m.Consumer().Abort()
	if err := m.Wait(); err == nil {
		t.Error("aborted without an error")
	}
	m = g.Start()
	b.Produce(topic, keyed(2, "a", "bad")...)
	committed(t, b, m, topic, 0, 24)
	c.mended.Store(true) // the schedule finds out
	parkedRecords(t, b, m, topic, 0, 0)
	b.Produce(topic, keyed(1, "a", "bad")...)
	committed(t, b, m, topic, 0, 26)
	want := slices.Concat(numbers(0, 10), numbers(0, 2), numbers(0, 1))
	if a, bad := c.of("a"), c.of("bad"); !slices.Equal(a, want) || !slices.Equal(bad, want) {
		t.Errorf("a %v, bad %v", a, bad)
	}
	stopAll(t, m)
}
