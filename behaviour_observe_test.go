package orderly_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The lag of a partition that is not read goes on: just then it matters.
func TestLagWhilePaused(t *testing.T) {
	t.Parallel()
	c := fake(t)
	b := orderlytest.Dial(t, c.ListenAddrs()...)
	topic := newTopic(t, b, 1)
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Buffer: orderly.Buffer{Window: 16},
		Retry: orderly.Retry{Backoff: time.Hour, MaxBackoff: time.Hour},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if string(m.Key) == "bad" {
				return errors.New("out of stock")
			}
			return nil
		}})
	m := g.Start()
	b.Produce(topic, orderlytest.Msg("bad", "0"))
	b.Produce(topic, keyed(100, "a")...)
	var p orderly.PartitionState
	b.Eventually("the pause", func() bool {
		p, _ = stateOf(m, topic, 0)
		return slices.Contains(p.Reasons, "window-full") && p.Waiting == 1
	})
	next := p.Next
	b.Produce(topic, keyed(400, "a")...)
	b.Eventually("its lag to grow", func() bool {
		p, _ = stateOf(m, topic, 0)
		return p.LogEnd == 501
	})
	if p.Next > 101 || p.Next != next || p.Committed != 0 || p.Lag() != 501 {
		t.Errorf("next %d (%d at the pause), committed %d, lag %d", p.Next, next, p.Committed, p.Lag())
	}
	// What is done ahead is not left to do.
	if want := 501 - next + 1; p.Undone != want || p.DoneAhead != next-1 {
		t.Errorf("undone %d, want %d; done ahead %d, want %d", p.Undone, want, p.DoneAhead, next-1)
	}
	if age := time.Since(p.OldestUndone); age < 0 || age > orderlytest.Patience {
		t.Errorf("the oldest is of %s", p.OldestUndone)
	}
	if len(p.Oldest) != 1 || p.Oldest[0].Cause != "out of stock" || p.Oldest[0].Attempts != 1 {
		t.Errorf("blocked: %+v", p.Oldest)
	}
}

// What belongs to an open transaction is nobody's work yet.
func TestLagOfAnOpenTransaction(t *testing.T) {
	t.Parallel()
	c := fake(t)
	b := orderlytest.Dial(t, c.ListenAddrs()...)
	topic := newTopic(t, b, 1)
	ctx, cancel := context.WithTimeout(context.Background(), orderlytest.Patience)
	defer cancel()
	tx, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.TransactionalID("tx"))
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	write := func(n int) {
		for range n {
			if err := tx.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte("v")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	transaction := func(n int) {
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		write(n)
	}
	end := func(how kgo.TransactionEndTry) {
		if err := tx.EndTransaction(ctx, how); err != nil {
			t.Fatal(err)
		}
	}
	transaction(3)
	end(kgo.TryCommit)
	transaction(5)
	cons, err := orderly.NewConsumer(orderly.ConsumerConfig{Brokers: c.ListenAddrs(), Group: "g", Topics: []string{topic}, Handler: nothing,
		CommitInterval: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- cons.Run(run) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	var p orderly.PartitionState
	at := func(committed int64) func() bool {
		return func() bool {
			st := cons.State()
			if len(st.Partitions) == 1 {
				p = st.Partitions[0]
			}
			return p.Committed == committed && !p.LogRead.IsZero()
		}
	}
	// 3 records and the marker that ended them; 5 records behind it.
	b.Eventually("the first transaction", at(4))
	if p.LogEnd != 4 || p.Lag() != 0 || p.Undone != 0 || !p.OldestUndone.IsZero() {
		t.Errorf("open: end %d, lag %d, undone %d, oldest %s", p.LogEnd, p.Lag(), p.Undone, p.OldestUndone)
	}
	end(kgo.TryCommit)
	b.Eventually("the second", at(10))
	if p.Lag() != 0 || p.Undone != 0 || p.Done != 8 {
		t.Errorf("ended: lag %d, undone %d, done %d", p.Lag(), p.Undone, p.Done)
	}
}

// Who loses a partition says how much of its work is done again; who releases it
// in order has nothing to say.
func TestAgainAfterALoss(t *testing.T) {
	t.Parallel()
	c := fake(t)
	b := orderlytest.Dial(t, c.ListenAddrs()...)
	topic := newTopic(t, b, 1)
	var lost seen[orderly.LostEvent]
	var revoked seen[orderly.RevokedEvent]
	var causes seen[string]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, CommitInterval: time.Hour, Handler: nothing,
		Events: orderly.Events{Lost: lost.add, Revoked: revoked.add, Rebalanced: func(e orderly.RebalancedEvent) { causes.add(e.Cause) }}})
	m := g.Start()
	b.Produce(topic, keyed(10, "k")...)
	g.WaitDone()
	b.Eventually("its pool to settle", func() bool { p, ok := stateOf(m, topic, 0); return ok && p.Done == 10 })
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID, Count: 1})
	b.Eventually("the loss", func() bool { return lost.len() == 1 })
	if l := lost.get()[0]; l.Again != 10 {
		t.Errorf("%+v", l)
	}
	g.WaitDone()
	b.Eventually("them to come again", func() bool { p, ok := stateOf(m, topic, 0); return ok && p.Done == 10 })
	stopAll(t, m)
	if r := revoked.get(); len(r) != 1 || r[0].Again != 0 || !r[0].Committed {
		t.Errorf("%+v", r)
	}
	if got := causes.get(); len(got) < 2 || got[0] != "joined" {
		t.Errorf("causes %v", got)
	}
}

// A rebalance is told with whose doing it was.
func TestCausesOfRebalances(t *testing.T) {
	t.Parallel()
	c := fake(t)
	b := orderlytest.Dial(t, c.ListenAddrs()...)
	topic := newTopic(t, b, 2)
	var causes seen[string]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Handler: nothing})
	m := g.Start(func(cfg *orderly.ConsumerConfig) {
		cfg.Events.Rebalanced = func(e orderly.RebalancedEvent) { causes.add(e.Cause) }
	})
	b.Eventually("the group", func() bool { return causes.len() == 1 })
	m.Consumer().Rebalance()
	b.Eventually("what was asked for", func() bool { return slices.Contains(causes.get(), "asked") })
	before := causes.len()
	g.Start()
	b.Eventually("another member", func() bool { return slices.Contains(causes.get()[before:], "group") })
	if got := causes.get(); got[0] != "joined" || got[1] != "asked" {
		t.Errorf("%v", got)
	}
}
