package orderly_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/kafkatest"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// readAll reads n records of a topic.
func readAll(t *testing.T, b *orderlytest.Broker, topic string, n int) (rs []*kgo.Record) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), orderlytest.Patience)
	defer cancel()
	for len(rs) < n {
		fs := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d records of %s", len(rs), n, topic)
		}
		rs = append(rs, fs.Records()...)
	}
	return rs
}

// N is copied to the partition of its number and is done when that is acknowledged;
// the commit passes; a restart repeats nothing.
func TestRowDeadLetterPolicy(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 3)
	var warnings seen[orderly.WarningEvent]
	var events seen[orderly.DeadLetteredEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicyDeadLetter,
		DeadLetter: orderly.DeadLetter{Create: true, Profile: orderly.HeadersSpring}, Retry: orderly.Retry{MaxAttempts: 2},
		Events: orderly.Events{Warning: warnings.add, DeadLettered: events.add},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if m.Offset%5 == 2 {
				return errBusy
			}
			return nil
		}})
	var recs []orderlytest.Record
	for p := range int32(3) {
		for _, r := range keyed(5, "a", "b") {
			recs = append(recs, r.Partition(p))
		}
	}
	b.Produce(topic, recs...)
	m := g.Start()
	g.WaitDone()
	for p := range int32(3) {
		committed(t, b, m, topic, p, 10)
	}
	stopAll(t, m)
	g.Start()
	for p := range int32(3) {
		g.Owner(topic, p)
	}
	g.RequireComplete(t)
	if c := g.Counts(); c.Redelivered != 0 {
		t.Errorf("%+v", c)
	}
	found := map[string]bool{}
	for _, l := range readAll(t, b, topic+"-dlt", 6) {
		h := headersOf(l)
		offset := int64(binary.BigEndian.Uint64([]byte(h["kafka_dlt-original-offset"])))
		if h["kafka_dlt-original-topic"] != topic || binary.BigEndian.Uint32([]byte(h["kafka_dlt-original-partition"])) != uint32(l.Partition) ||
			offset%5 != 2 || h["kafka_dlt-original-consumer-group"] != g.Name() || h["kafka_dlt-exception-message"] != "busy" {
			t.Errorf("partition %d: %v", l.Partition, h)
		}
		if want := []string{"a", "b"}[offset%2]; string(l.Key) != want || string(l.Value) != fmt.Sprint(offset/2) {
			t.Errorf("offset %d: key %s value %s", offset, l.Key, l.Value)
		}
		if !events.any(func(e orderly.DeadLetteredEvent) bool {
			return e.Partition == l.Partition && e.Offset == offset && e.DeadLetterTopic == topic+"-dlt" && e.DeadLetterPartition == l.Partition && e.DeadLetterOffset == l.Offset
		}) {
			t.Errorf("no event for %d/%d", l.Partition, offset)
		}
		found[fmt.Sprint(l.Partition, offset)] = true
	}
	if len(found) != 6 || events.len() != 6 {
		t.Errorf("%v, %d events", found, events.len())
	}
	if n := len(slices.DeleteFunc(warnings.get(), func(w orderly.WarningEvent) bool { return w.Code != "order-breaking-policy" })); n != 2 {
		t.Errorf("the policy was said %d times by two members", n)
	}
}

// At the start a dead-letter topic that is missing, or too narrow, is refused by
// name; by choice it may be narrow, and keys keep together.
func TestDeadLetterTopicAtStart(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 4)
	run := func(d orderly.DeadLetter) (*orderlytest.Group, error) {
		g := b.Group(orderly.ConsumerConfig{Group: kafkatest.Name(t, "g"), Topics: []string{topic}, OnExhausted: orderly.PolicyDeadLetter, DeadLetter: d,
			Handler: func(context.Context, *orderly.Message) error { return orderly.Permanent(errBusy) }})
		return g, g.Start().Wait()
	}
	var bad *orderly.DeadLetterTopicError
	if _, err := run(orderly.DeadLetter{}); !errors.As(err, &bad) || bad.Source != topic || bad.Topic != topic+"-dlt" || !strings.Contains(err.Error(), "orderly setup") {
		t.Errorf("missing: %v", err)
	}
	narrow := newTopic(t, b, 3)
	if _, err := run(orderly.DeadLetter{Topic: narrow}); !errors.As(err, &bad) || !strings.Contains(err.Error(), "3 partitions") {
		t.Errorf("narrow: %v", err)
	}
	var recs []orderlytest.Record
	for p := range int32(4) {
		for _, r := range keyed(3, names(fmt.Sprint("p", p, "-"), 5)...) {
			recs = append(recs, r.Partition(p))
		}
	}
	b.Produce(topic, recs...)
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicyDeadLetter,
		DeadLetter: orderly.DeadLetter{Topic: narrow, AnyPartition: true},
		Handler:    func(context.Context, *orderly.Message) error { return orderly.Permanent(errBusy) }})
	g.Start()
	g.WaitDone()
	at, next := map[string]int32{}, map[string]int{}
	for _, l := range readAll(t, b, narrow, 60) {
		k := string(l.Key)
		if p, ok := at[k]; ok && p != l.Partition {
			t.Errorf("key %s in partitions %d and %d", k, p, l.Partition)
		}
		if string(l.Value) != fmt.Sprint(next[k]) {
			t.Errorf("key %s: %s, want %d", k, l.Value, next[k])
		}
		at[k] = l.Partition
		next[k]++
	}
}

// Deleted while running: its key waits, by name, other keys run; made again it goes
// on, and nothing has passed.
func TestDeadLetterTopicDeletedWhileRunning(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	dlt := topic + "-dlt"
	b.CreateTopic(dlt, 1)
	b.Produce(topic, orderlytest.Msg("bad", "poison"))
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicyDeadLetter, Retry: orderly.Retry{MaxAttempts: 3},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if string(m.Value) == "poison" {
				return orderly.Permanent(errBusy)
			}
			return nil
		}})
	m := g.Start()
	committed(t, b, m, topic, 0, 1)
	b.DeleteTopic(dlt)
	b.Produce(topic, append(keyed(3, "good"), orderlytest.Msg("bad", "poison"), orderlytest.Msg("bad", "1"), orderlytest.Msg("good", "3"))...)
	b.Eventually("other keys to be done, and the key to say why it waits", func() bool {
		p, _ := stateOf(m, topic, 0)
		return g.Left() == 2 && len(p.Oldest) == 1 && strings.HasPrefix(p.Oldest[0].State, "dead-letter-fail") && p.Oldest[0].Cause != ""
	})
	b.CreateTopic(dlt, 1)
	g.WaitDone()
	committed(t, b, m, topic, 0, 7)
	g.RequireComplete(t)
	if l := readAll(t, b, dlt, 1); string(l[0].Value) != "poison" {
		t.Errorf("%s", l[0].Value)
	}
}

// Attempts that were spent survive a restart; those that were not spent are not
// recorded; the next owner gives the record up where the one before would have.
func TestAttemptsSurviveUnderDeadLetter(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	var phase atomic.Int64
	var attempts seen[orderly.AttemptEvent]
	var commits seen[orderly.CommittedEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicyDeadLetter, DeadLetter: orderly.DeadLetter{Create: true},
		Retry:  orderly.Retry{MaxAttempts: 5, Backoff: 5 * time.Millisecond, MaxBackoff: 20 * time.Millisecond},
		Events: orderly.Events{Attempt: attempts.add, Committed: commits.add},
		Handler: func(_ context.Context, m *orderly.Message) error {
			switch {
			case string(m.Key) == "good":
				return nil
			case phase.Load() == 0 && m.Attempt > 3:
				return orderly.Unavailable(errBusy)
			}
			return errBusy
		}})
	b.Produce(topic, append(keyed(2, "bad"), keyed(2, "good")...)...)
	m := g.Start()
	unavailable := func(e orderly.AttemptEvent) bool { return e.Class == orderly.ClassUnavailable }
	b.Eventually("attempts that are not spent", func() bool {
		return len(slices.DeleteFunc(attempts.get(), func(e orderly.AttemptEvent) bool { return !unavailable(e) })) > 5
	})
	stopAll(t, m)
	phase.Store(1)
	before := attempts.len()
	g.Start()
	g.WaitDone()
	g.RequireOrdered(t)
	var now []int
	for _, e := range attempts.get()[before:] {
		if e.Message.Offset == 0 {
			now = append(now, e.Message.Attempt)
		}
	}
	if !slices.Equal(now, []int{4, 5}) {
		t.Errorf("attempts after the restart: %v, want 4 and 5", now)
	}
	l := readAll(t, b, topic+"-dlt", 2)[0]
	if headersOf(l)["orderly-dlt-attempts"] != "5" {
		t.Errorf("%v", headersOf(l))
	}
}

// A revoke while a dead letter is due loses nothing: the next owner writes it.
func TestRevokeWhileDeadLetterWaits(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	dlt := topic + "-dlt"
	b.CreateTopic(dlt, 1)
	var failed seen[orderly.WriteFailedEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicyDeadLetter,
		Retry: orderly.Retry{MaxAttempts: 1000}, Events: orderly.Events{WriteFailed: failed.add},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if string(m.Value) == "poison" {
				return orderly.Permanent(errBusy)
			}
			return nil
		}})
	first := g.Start()
	g.Owner(topic, 0)
	b.DeleteTopic(dlt)
	b.Produce(topic, append(msgs("bad:poison", "bad:1", "bad:2"), keyed(3, "good")...)...)
	b.Eventually("the write to fail", func() bool { return failed.len() > 0 && g.Left() == 3 })
	stopAll(t, first)
	b.CreateTopic(dlt, 1)
	g.Start()
	g.WaitDone()
	g.RequireComplete(t)
	if c := g.Counts(); c.Redelivered != 0 {
		t.Errorf("%+v", c)
	}
	if l := readAll(t, b, dlt, 1); string(l[0].Value) != "poison" {
		t.Errorf("%s", l[0].Value)
	}
}

// Skip: the commit passes, the key goes on, and a restart repeats nothing.
func TestRowSkipPolicy(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	var skipped seen[orderly.SkippedEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicySkip, Retry: orderly.Retry{MaxAttempts: 3},
		Events: orderly.Events{Skipped: skipped.add},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if m.Offset == 2 {
				return errBusy
			}
			return nil
		}})
	b.Produce(topic, keyed(4, "a", "b")...)
	m := g.Start()
	g.WaitDone()
	committed(t, b, m, topic, 0, 8)
	stopAll(t, m)
	g.Start()
	g.Owner(topic, 0)
	g.RequireComplete(t)
	if es := skipped.get(); len(es) != 1 || es[0].Offset != 2 || string(es[0].Key) != "a" || es[0].Attempts != 3 || g.Counts().Redelivered != 0 {
		t.Errorf("%+v, %+v", es, g.Counts())
	}
}

// Too large for its topic: the key waits, by name; a larger limit lets it go on.
func TestDeadLetterTooLarge(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	dlt := topic + "-dlt"
	b.CreateTopic(dlt, 1, "max.message.bytes", "5000")
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicyDeadLetter,
		Handler: func(_ context.Context, m *orderly.Message) error {
			if m.Offset == 2 || m.Offset == 3 {
				return orderly.Permanent(errors.New(strings.Repeat("e", 20_000)))
			}
			return nil
		}})
	// The one of key b fits when its error is cut; that of key a does not.
	b.Produce(topic, msgs("a:0", "b:0", "a:"+strings.Repeat("x", 6000), "b:"+strings.Repeat("x", 1500), "a:2", "b:2", "b:3")...)
	m := g.Start()
	b.Eventually("key a to wait, by name", func() bool {
		p, _ := stateOf(m, topic, 0)
		return g.Left() == 2 && len(p.Oldest) == 1 && p.Oldest[0].State == "dead-letter-too-large" && strings.Contains(p.Oldest[0].Cause, "5000")
	})
	value := "20000"
	if _, err := b.Admin().AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &value}}, dlt); err != nil {
		t.Fatal(err)
	}
	g.WaitDone()
	committed(t, b, m, topic, 0, 7)
	g.RequireComplete(t)
	t.Log(b.End(dlt, 0))
	for _, l := range readAll(t, b, dlt, 2) {
		if h := headersOf(l); h["orderly-dlt-topic"] != topic || !strings.HasPrefix(h["orderly-dlt-error"], "eee") {
			t.Errorf("%v", h)
		}
	}
}
