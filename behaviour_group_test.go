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
)

// Ending Run's context drains: what runs may finish and is committed.
func TestDrain(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	b.Produce(topic, keyed(2, "a", "b")...)
	var running atomic.Int64
	release := make(chan struct{})
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Handler: func(ctx context.Context, m *orderly.Message) error {
		running.Add(1)
		<-release
		return ctx.Err()
	}})
	m := g.Start()
	b.Eventually("two handlers", func() bool { return running.Load() == 2 })
	ended := make(chan error, 1)
	go func() { ended <- m.Stop() }()
	b.Eventually("the drain", func() bool {
		p, ok := stateOf(m, topic, 0)
		return ok && slices.Equal(p.Reasons, []string{"draining"})
	})
	close(release)
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if n := running.Load(); n != 2 || g.Left() != 2 {
		t.Errorf("%d handlers began, %d records left", n, g.Left())
	}
	if o, _ := offsets(t, b, g.Name()).Lookup(topic, 0); o.At != 2 {
		t.Errorf("committed %d", o.At)
	}
	g.Start()
	g.WaitDone()
	g.RequireComplete(t)
	if c := g.Counts(); c.Redelivered != 0 {
		t.Errorf("%+v", c)
	}
}

// Abort ends contexts now; what is not done is not committed, what is done is.
func TestAbort(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	b.Produce(topic, keyed(1, "a", "b")...)
	causes := make(chan error, 1)
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, CommitInterval: time.Hour})
	m := g.Start(func(c *orderly.ConsumerConfig) {
		c.Handler = func(ctx context.Context, m *orderly.Message) error {
			if m.Offset == 0 {
				return nil
			}
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return nil
		}
	})
	b.Eventually("the first record", func() bool {
		p, _ := stateOf(m, topic, 0)
		return g.Left() == 1 && p.Running == 1
	})
	m.Consumer().Abort()
	m.Consumer().Abort()
	if err := m.Wait(); !errors.Is(err, orderly.ErrAborted) {
		t.Errorf("Run: %v", err)
	}
	if err := <-causes; !errors.Is(err, orderly.ErrAborted) {
		t.Errorf("cause: %v", err)
	}
	if o, _ := offsets(t, b, g.Name()).Lookup(topic, 0); o.At != 1 {
		t.Errorf("committed %d", o.At)
	}
}

// Ctrl-C once drains, twice leaves now: Abort during a drain.
func TestAbortDuringADrain(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	b.Produce(topic, keyed(1, "a")...)
	causes := make(chan error, 1)
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, SessionTimeout: 45 * time.Second, RebalanceTimeout: time.Minute})
	m := g.Start(func(c *orderly.ConsumerConfig) {
		c.Handler = func(ctx context.Context, m *orderly.Message) error {
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return ctx.Err()
		}
	})
	b.Eventually("the handler", func() bool { p, _ := stateOf(m, topic, 0); return p.Running == 1 })
	ended := make(chan error, 1)
	go func() { ended <- m.Stop() }()
	b.Eventually("the drain", func() bool {
		p, ok := stateOf(m, topic, 0)
		return ok && slices.Equal(p.Reasons, []string{"draining"})
	})
	began := time.Now()
	m.Consumer().Abort()
	if err := <-ended; !errors.Is(err, orderly.ErrAborted) {
		t.Errorf("Run: %v", err)
	}
	if err := <-causes; !errors.Is(err, orderly.ErrAborted) {
		t.Errorf("cause: %v", err)
	}
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("the abort took %s", d)
	}
	if o, ok := offsets(t, b, g.Name()).Lookup(topic, 0); ok && o.At != 0 {
		t.Errorf("committed %d", o.At)
	}
}

func TestRunTwice(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Handler: func(context.Context, *orderly.Message) error { return nil }})
	m := g.Start()
	g.Owner(topic, 0)
	for range 2 {
		if err := m.Consumer().Run(context.Background()); err == nil || !strings.Contains(err.Error(), "make a new one with NewConsumer") {
			t.Errorf("Run: %v", err)
		}
		stopAll(t, m)
	}
}

// A group of plain clients with an eager balancer is taken over by two rolling
// restarts, in which records are handled all the time.
func TestMigrateFrom(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 4)
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Handler: func(context.Context, *orderly.Message) error { return nil }})

	// The plain ones commit what they read.
	var plain []*kgo.Client
	for range 2 {
		cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...), kgo.ConsumerGroup(g.Name()), kgo.ConsumeTopics(topic), kgo.Balancers(kgo.RangeBalancer()),
			kgo.SessionTimeout(3*time.Second), kgo.HeartbeatInterval(100*time.Millisecond), kgo.AutoCommitInterval(100*time.Millisecond), kgo.BlockRebalanceOnPoll())
		if err != nil {
			t.Fatal(err)
		}
		defer cl.CloseAllowingRebalance()
		plain = append(plain, cl)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var read atomic.Int64
	for _, cl := range plain {
		go func() {
			for ctx.Err() == nil && !cl.PollFetches(ctx).IsClientClosed() {
				cl.AllowRebalance()
			}
		}()
	}
	for i := range 40 {
		r := &kgo.Record{Topic: topic, Partition: int32(i % 4), Key: []byte("old"), Value: []byte("v")}
		if err := b.Client().ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	b.Eventually("the plain clients to commit", func() bool {
		n := int64(0)
		for _, o := range offsets(t, b, g.Name())[topic] {
			n += o.At
		}
		read.Store(n)
		return n == 40
	})

	var warnings seen[orderly.WarningEvent]
	migrating := func(c *orderly.ConsumerConfig) {
		c.Balancer = orderly.MigrateFrom(orderly.Range)
		c.Events.Warning = warnings.add
	}
	produce := func() { b.Produce(topic, keyed(3, names("k", 20)...)...) }
	var first []*orderlytest.Member
	for _, cl := range plain {
		cl.CloseAllowingRebalance()
		first = append(first, g.Start(migrating))
		b.Eventually("the restarted member to have partitions", func() bool { return len(first[len(first)-1].Consumer().State().Partitions) > 0 })
		b.Eventually("the plain consumer to be named", func() bool {
			return warnings.any(func(w orderly.WarningEvent) bool {
				return w.Code == "foreign-member" && strings.Contains(w.Message, g.Name()) && strings.Contains(w.Message, "kgo")
			})
		})
	}
	if p := protocol(t, b, g.Name()); p != "range" {
		t.Errorf("after the first restarts the group has balancer %q", p)
	}
	produce()
	g.WaitDone()
	var second []*orderlytest.Member
	for _, m := range first {
		stopAll(t, m)
		second = append(second, g.Start())
		produce()
		b.Eventually("the restarted member to have partitions", func() bool { return len(second[len(second)-1].Consumer().State().Partitions) > 0 })
	}
	g.WaitDone()
	b.Eventually("the cooperative balancer", func() bool { return protocol(t, b, g.Name()) == "cooperative-sticky" })
	produce()
	g.WaitDone()
	g.RequireComplete(t)
	if c := g.Counts(); c.Redelivered != 0 || c.ExcusedOverlaps != 0 {
		t.Errorf("%+v", c)
	}
	if !warnings.any(func(w orderly.WarningEvent) bool {
		return w.Code == "foreign-commit" && strings.Contains(w.Message, g.Name())
	}) {
		t.Errorf("warnings: %+v", warnings.get())
	}
}

// protocol is the balancer that the group has chosen.
func protocol(t *testing.T, b *orderlytest.Broker, group string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), orderlytest.Patience)
	defer cancel()
	gs, err := b.Admin().DescribeGroups(ctx, group)
	if err != nil {
		t.Fatal(err)
	}
	return gs[group].Protocol
}

// A static member that is restarted within the session gets its partitions back,
// and the others notice nothing.
func TestStaticMemberRestart(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 4)
	var moved seen[orderly.RevokedEvent]
	static := func(id string) func(*orderly.ConsumerConfig) {
		return func(c *orderly.ConsumerConfig) { c.InstanceID = id }
	}
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, SessionTimeout: 5 * time.Second,
		Handler: func(context.Context, *orderly.Message) error { return nil }})
	one := g.Start(static("one"))
	two := g.Start(static("two"), func(c *orderly.ConsumerConfig) { c.Events.Revoked = moved.add })
	parts := func(m *orderlytest.Member) (ps []int32) {
		for _, p := range m.Consumer().State().Partitions {
			if len(p.Reasons) == 0 {
				ps = append(ps, p.Partition)
			}
		}
		return ps
	}
	b.Eventually("an even share", func() bool { return len(parts(one)) == 2 && len(parts(two)) == 2 })
	b.Produce(topic, keyed(3, names("k", 20)...)...)
	g.WaitDone()
	had, before := parts(one), moved.len()
	stopAll(t, one)
	b.Produce(topic, keyed(3, names("k", 20)...)...)
	again := g.Start(static("one"))
	g.WaitDone()
	if got := parts(again); !slices.Equal(got, had) {
		t.Errorf("partitions %v, had %v", got, had)
	}
	if moved.len() != before || len(parts(two)) != 2 {
		t.Errorf("the other member has %v; revoked: %+v", parts(two), moved.get())
	}
	g.RequireComplete(t)

	// Two processes of one id: the older one ends, by name.
	g.Start(static("one"))
	var a *orderly.AccessError
	if err := again.Wait(); !errors.As(err, &a) || a.Name != "one" || !strings.Contains(err.Error(), "another process uses the same InstanceID") {
		t.Errorf("Run of the older one: %v", err)
	}
}

// State before, while and after Run; and what Events tell, beside what other
// tests look at.
func TestStateAndEvents(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	var assigned seen[orderly.AssignedEvent]
	var revoked seen[orderly.RevokedEvent]
	var settled seen[orderly.SettledEvent]
	var commits seen[orderly.CommittedEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic},
		Events: orderly.Events{Assigned: assigned.add, Revoked: revoked.add, Settled: settled.add, Committed: commits.add},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if m.Offset == 3 && m.Attempt == 1 {
				return errBusy
			}
			return nil
		}})
	c, err := orderly.NewConsumer(orderly.ConsumerConfig{Brokers: b.Addrs(), Group: "g", Topics: []string{topic},
		Handler: func(context.Context, *orderly.Message) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if s := c.State(); s.Group != "g" || s.Member != "" || len(s.Partitions) != 0 {
		t.Errorf("before Run: %+v", s)
	}
	c.Rebalance() // nothing to do yet
	b.Produce(topic, keyed(5, "a", "b")...)
	m := g.Start()
	g.WaitDone()
	committed(t, b, m, topic, 0, 10)
	s := m.Consumer().State()
	if s.Group != g.Name() || s.Member == "" || s.Generation < 1 || s.Silent || s.Records != 0 || s.Bytes != 0 || len(s.Partitions) != 1 {
		t.Errorf("state: %+v", s)
	}
	if p := s.Partitions[0]; p.Topic != topic || p.Next != 10 || p.Done != 10 || p.FencingToken == 0 || len(p.Reasons) != 0 || p.Waiting+p.Running+p.Keys+p.Blocked != 0 {
		t.Errorf("partition: %+v", p)
	}
	stopAll(t, m)
	if s := m.Consumer().State(); len(s.Partitions) != 0 {
		t.Errorf("after Run: %+v", s)
	}
	if a := assigned.get(); len(a) != 1 || a[0].Topic != topic || a[0].FencingToken != s.Partitions[0].FencingToken || a[0].Offset != 0 || a[0].Regranted {
		t.Errorf("assigned: %+v", a)
	}
	if r := revoked.get(); len(r) != 1 || !r[0].Clean || !r[0].Committed || r[0].Offset != 10 || r[0].FencingToken != s.Partitions[0].FencingToken {
		t.Errorf("revoked: %+v", r)
	}
	records, retried := 0, 0
	for _, e := range settled.get() {
		records, retried = records+e.Records, retried+e.Retried
	}
	if records != 10 || retried != 1 {
		t.Errorf("settled %d, of these retried %d", records, retried)
	}
	for _, e := range commits.get() {
		if e.Err != nil || e.Unknown || e.Topic != topic || e.FencingToken == 0 || e.Latency <= 0 {
			t.Errorf("commit: %+v", e)
		}
	}
}
