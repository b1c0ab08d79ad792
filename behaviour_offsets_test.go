package orderly_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// values collects the values that a group's handlers are given.
func values(s *seen[string]) orderly.Handler {
	return func(_ context.Context, m *orderly.Message) error {
		s.add(string(m.Value))
		return nil
	}
}

// transaction writes records in one that ends as said.
func transaction(t *testing.T, b *orderlytest.Broker, topic string, how kgo.TransactionEndTry, vals ...string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...), kgo.TransactionalID(topic), kgo.DefaultProduceTopic(topic), kgo.UnknownTopicRetries(20))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), orderlytest.Patience)
	defer cancel()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for _, v := range vals {
		r := &kgo.Record{Key: []byte("k"), Value: []byte(v)}
		if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if how == kgo.TryCommit {
			b.Log(r)
		}
	}
	if err := cl.EndTransaction(ctx, how); err != nil {
		t.Fatal(err)
	}
}

// Transaction markers and aborted records are offsets without a record: no
// watermark waits for them, in the middle or at the end of the log.
func TestOffsetGapsNeverStall(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	transaction(t, b, topic, kgo.TryCommit, "0", "1")
	transaction(t, b, topic, kgo.TryAbort, "x", "y", "z")
	b.Produce(topic, orderlytest.Msg("k", "2"))
	transaction(t, b, topic, kgo.TryCommit, "3")
	transaction(t, b, topic, kgo.TryAbort, "x", "y")

	var got seen[string]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Handler: values(&got)})
	m := g.Start()
	g.WaitDone()
	caughtUp(t, b, m, topic, 0)
	g.RequireComplete(t)
	if s := fmt.Sprint(got.get()); s != "[0 1 2 3]" {
		t.Errorf("read committed: %s", s)
	}
	stopAll(t, m)

	var all seen[string]
	u := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Handler: values(&all), ReadUncommitted: true})
	n := u.Start()
	caughtUp(t, b, n, topic, 0)
	if s := fmt.Sprint(all.get()); s != "[0 1 x y z 2 3 x y]" {
		t.Errorf("read uncommitted: %s", s)
	}
}

// A restart in the middle of a log with gaps goes on where it was.
func TestOffsetGapsAcrossARestart(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	var got seen[string]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Handler: values(&got)})
	want := 0
	for range 3 {
		m := g.Start()
		for range 2 {
			transaction(t, b, topic, kgo.TryAbort, "x")
			transaction(t, b, topic, kgo.TryCommit, fmt.Sprint(want))
			want++
		}
		caughtUp(t, b, m, topic, 0)
		stopAll(t, m)
	}
	if s := fmt.Sprint(got.get()); s != "[0 1 2 3 4 5]" {
		t.Errorf("handled: %s", s)
	}
}

func TestStart(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	base := time.Now().Add(-time.Hour).Truncate(time.Second)
	for i := range 5 {
		b.Produce(topic, orderlytest.Msg("k", fmt.Sprint(i)).Timestamp(base.Add(time.Duration(i)*time.Minute)))
	}
	for _, c := range []struct {
		name  string
		start orderly.Start
		want  string
	}{
		{"default", orderly.Start{}, "[0 1 2 3 4 end]"},
		{"earliest", orderly.StartEarliest(), "[0 1 2 3 4 end]"},
		{"latest", orderly.StartLatest(), "[end]"},
		{"at", orderly.StartAt(base.Add(2*time.Minute - time.Second)), "[2 3 4 end]"},
		{"at, behind all", orderly.StartAt(base.Add(2 * time.Hour)), "[end]"},
	} {
		var got seen[string]
		g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Start: c.start, Handler: values(&got)})
		m := g.Start()
		g.Owner(topic, 0)
		b.Produce(topic, orderlytest.Msg("k", "end").Timestamp(base.Add(10*time.Minute)))
		caughtUp(t, b, m, topic, 0)
		if s := fmt.Sprint(got.get()); s != c.want {
			t.Errorf("%s: %s, want %s", c.name, s, c.want)
		}
		stopAll(t, m)
		// What was committed goes before Start.
		n := g.Start()
		g.Owner(topic, 0)
		stopAll(t, n)
		if s := fmt.Sprint(got.get()); s != c.want {
			t.Errorf("%s, started again: %s, want %s", c.name, s, c.want)
		}
		// The next case has the topic as it was.
		trim(t, b, topic)
		for i := range 5 {
			b.Produce(topic, orderlytest.Msg("k", fmt.Sprint(i)).Timestamp(base.Add(time.Duration(i)*time.Minute)))
		}
	}
}

// trim deletes all records of partition 0, as retention does.
func trim(t *testing.T, b *orderlytest.Broker, topic string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), orderlytest.Patience)
	defer cancel()
	if _, err := b.Admin().DeleteRecords(ctx, kadm.Offsets{topic: {0: {Topic: topic, At: b.End(topic, 0), LeaderEpoch: -1}}}); err != nil {
		t.Fatal(err)
	}
}

// Records that were deleted before they were handled are a decision of a person.
func TestOffsetOutOfRange(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	var got seen[string]
	var warnings seen[orderly.WarningEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Handler: values(&got), Events: orderly.Events{Warning: warnings.add}})
	b.Produce(topic, keyed(2, "k")...)
	m := g.Start()
	g.WaitDone()
	stopAll(t, m)
	b.Produce(topic, keyed(3, "lost")...)
	trim(t, b, topic)
	b.Produce(topic, orderlytest.Msg("k", "new"))

	err := g.Start().Wait()
	var r *orderly.OffsetRangeError
	if !errors.As(err, &r) || r.Topic != topic || r.Partition != 0 || r.Offset != 2 || r.Start != 5 || r.End != 6 {
		t.Fatalf("Run: %v", err)
	}
	n := g.Start(func(c *orderly.ConsumerConfig) { c.Reset = orderly.ResetEarliest })
	committed(t, b, n, topic, 0, 6)
	if s := fmt.Sprint(got.get()); s != "[0 1 new]" {
		t.Errorf("handled: %s", s)
	}
	if !warnings.any(func(w orderly.WarningEvent) bool { return w.Code == "offset-reset" }) {
		t.Errorf("warnings: %+v", warnings.get())
	}
	stopAll(t, n)

	b.Produce(topic, keyed(2, "lost")...)
	trim(t, b, topic)
	b.Produce(topic, orderlytest.Msg("k", "old"))
	l := g.Start(func(c *orderly.ConsumerConfig) { c.Reset = orderly.ResetLatest })
	g.Owner(topic, 0)
	b.Produce(topic, orderlytest.Msg("k", "last"))
	committed(t, b, l, topic, 0, 10)
	if s := fmt.Sprint(got.get()); s != "[0 1 new last]" {
		t.Errorf("handled: %s", s)
	}
}

// A topic of the same name is another topic: while it is consumed that ends Run;
// at a start the old progress does not apply.
func TestTopicRecreated(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	var got seen[string]
	var warnings seen[orderly.WarningEvent]
	recreated := make(chan struct{})
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Events: orderly.Events{Warning: warnings.add},
		Handler: func(ctx context.Context, m *orderly.Message) error {
			if string(m.Key) == "wait" {
				<-recreated
			}
			return values(&got)(ctx, m)
		}})
	b.Produce(topic, keyed(3, "k")...)
	b.Produce(topic, orderlytest.Msg("wait", "3"))
	m := g.Start()
	committed(t, b, m, topic, 0, 3)
	progress := offsets(t, b, g.Name())
	b.DeleteTopic(topic)
	b.CreateTopic(topic, 1)
	close(recreated)
	err := m.Wait()
	var r *orderly.TopicRecreatedError
	if !errors.As(err, &r) || r.Topic != topic || r.Old == r.New || len(r.Old) != 32 {
		t.Errorf("Run: %v", err)
	}
	// The cluster drops the offsets of a deleted topic when it comes to it: here
	// they are still there.
	ctx, cancel := context.WithTimeout(context.Background(), orderlytest.Patience)
	defer cancel()
	if err := b.Admin().CommitAllOffsets(ctx, g.Name(), progress); err != nil {
		t.Fatal(err)
	}
	if err := b.Client().ProduceSync(ctx, &kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte("new")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	n := g.Start()
	committed(t, b, n, topic, 0, 1)
	if s := fmt.Sprint(got.get()); s != "[0 1 2 3 new]" {
		t.Errorf("handled: %s", s)
	}
	if !warnings.any(func(w orderly.WarningEvent) bool { return w.Code == "topic-recreated" }) {
		t.Errorf("warnings: %+v", warnings.get())
	}
}

// offsets are what the group has committed, with metadata.
func offsets(t *testing.T, b *orderlytest.Broker, group string) kadm.Offsets {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), orderlytest.Patience)
	defer cancel()
	all, err := b.Admin().FetchOffsets(ctx, group)
	if err != nil {
		t.Fatal(err)
	}
	return all.Offsets()
}
