package orderly_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// fake is a broker whose answers a test can change.
func fake(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100 * time.Millisecond)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Records that compaction has taken are offsets without a record.
func TestOffsetGapsOfCompaction(t *testing.T) {
	t.Parallel()
	c := fake(t)
	b := orderlytest.Dial(t, c.ListenAddrs()...)
	topic := newTopic(t, b, 1, "cleanup.policy", "compact", "min.cleanable.dirty.ratio", "0", "segment.bytes", "1000")
	write := func(key, value string) *kgo.Record {
		r := &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}
		if err := b.Client().ProduceSync(context.Background(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		return r
	}
	for i := range 200 {
		write(fmt.Sprint("k", i%5), fmt.Sprint(i))
	}
	c.Compact()
	var got seen[string]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Handler: values(&got)})
	m := g.Start()
	caughtUp(t, b, m, topic, 0)
	if n := got.len(); n >= 200 || n < 5 {
		t.Errorf("%d records: the log was not compacted", n)
	}
	write("k0", "end")
	committed(t, b, m, topic, 0, 201)
}

// What is refused is named, with the operation.
func TestAuthorizationRefused(t *testing.T) {
	t.Parallel()
	allow := func(res kmsg.ACLResourceType, name string, op kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: res, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: op, Allow: true}
	}
	readTopic := allow(kmsg.ACLResourceTypeTopic, "orders", kmsg.ACLOperationRead)
	readGroup := allow(kmsg.ACLResourceTypeGroup, "billing", kmsg.ACLOperationRead)
	c := fake(t, kfake.SeedTopics(1, "orders", "public"), kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "admin", "admin"),
		kfake.User("PLAIN", "nobody", "pw", allow(kmsg.ACLResourceTypeTopic, "public", kmsg.ACLOperationRead)),
		kfake.User("PLAIN", "topic-only", "pw", readTopic),
		kfake.User("PLAIN", "group-only", "pw", readGroup, allow(kmsg.ACLResourceTypeTopic, "public", kmsg.ACLOperationRead)),
		kfake.User("PLAIN", "describes", "pw", readGroup, allow(kmsg.ACLResourceTypeTopic, "orders", kmsg.ACLOperationDescribe),
			allow(kmsg.ACLResourceTypeTopic, "public", kmsg.ACLOperationRead)),
		kfake.User("PLAIN", "both", "pw", readTopic, readGroup),
	)
	for _, u := range []struct{ user, resource, name, operation string }{
		{"nobody", "topic", "orders", "Describe"},
		{"group-only", "topic", "orders", "Describe"},
		{"topic-only", "group", "billing", "Read"},
		{"describes", "topic", "orders", "Read"},
		{"both", "", "", ""},
	} {
		assigned := make(chan struct{}, 10)
		topics := []string{"orders"}
		if u.resource == "topic" {
			topics = []string{"public", "orders"}
		}
		cons, err := orderly.NewConsumer(orderly.ConsumerConfig{Brokers: c.ListenAddrs(), Group: "billing", Topics: topics, Handler: nothing,
			OnExhausted: orderly.PolicyBlock, Logger: slog.New(slog.DiscardHandler),
			SessionTimeout: 3 * time.Second, HeartbeatInterval: 100 * time.Millisecond, CommitInterval: 50 * time.Millisecond,
			Events:    orderly.Events{Assigned: func(orderly.AssignedEvent) { assigned <- struct{}{} }},
			KafkaOpts: []kgo.Opt{kgo.SASL(plain.Auth{User: u.user, Pass: "pw"}.AsMechanism())}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), orderlytest.Patience)
		if u.name == "" {
			go func() { <-assigned; cancel() }()
		}
		err = cons.Run(ctx)
		cancel()
		var a *orderly.AccessError
		switch {
		case u.name == "":
			if err != nil {
				t.Errorf("%s: Run: %v", u.user, err)
			}
		case !errors.As(err, &a) || a.Resource != u.resource || a.Name != u.name || a.Operation != u.operation:
			t.Errorf("%s: Run: %v", u.user, err)
		}
	}
}

// Brokers without topic ids: progress is kept by name, which is said.
func TestBrokerWithoutTopicIDs(t *testing.T) {
	t.Parallel()
	c := fake(t, kfake.MaxVersions(kversion.V2_7_0()))
	b := orderlytest.Dial(t, c.ListenAddrs()...)
	topic := newTopic(t, b, 1)
	var warnings seen[orderly.WarningEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Handler: nothing, Events: orderly.Events{Warning: warnings.add}})
	b.Produce(topic, keyed(5, "a", "b")...)
	m := g.Start()
	g.WaitDone()
	committed(t, b, m, topic, 0, 10)
	stopAll(t, m)
	b.Produce(topic, keyed(5, "a", "b")...)
	g.Start()
	g.WaitDone()
	g.RequireComplete(t)
	if w := warnings.get(); len(w) != 2 || w[0].Code != "no-topic-ids" || !strings.Contains(w[0].Message, topic) {
		t.Errorf("warnings: %+v", w)
	}
}

// Whatever a coordinator answers to a commit, order and progress hold.
func TestCommitRefused(t *testing.T) {
	t.Parallel()
	for _, e := range []*kerr.Error{
		kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.NotCoordinator, kerr.CoordinatorLoadInProgress,
		kerr.CoordinatorNotAvailable, kerr.RequestTimedOut, kerr.UnknownServerError, kerr.OffsetMetadataTooLarge, kerr.UnknownMemberID,
	} {
		t.Run(e.Message, func(t *testing.T) {
			t.Parallel()
			c := fake(t)
			b := orderlytest.Dial(t, c.ListenAddrs()...)
			topic := newTopic(t, b, 2)
			var refused seen[orderly.CommittedEvent]
			g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, SessionTimeout: time.Second, Handler: nothing,
				Events: orderly.Events{Committed: func(c orderly.CommittedEvent) {
					if c.Err != nil {
						refused.add(c)
					}
				}}})
			m := g.Start()
			b.Produce(topic, keyed(5, names("k", 10)...)...)
			g.WaitDone()
			for p := range int32(2) {
				caughtUp(t, b, m, topic, p)
			}
			c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: e, Count: 2})
			b.Produce(topic, keyed(5, names("k", 10)...)...)
			b.Eventually("a refusal", func() bool { return refused.len() > 0 })
			b.Produce(topic, keyed(5, names("k", 10)...)...)
			g.WaitDone()
			for p := range int32(2) {
				caughtUp(t, b, m, topic, p)
			}
			if r := refused.get()[0]; !errors.Is(r.Err, e) {
				t.Errorf("%+v", r)
			}
			g.RequireComplete(t)
			if c := g.Counts(); c.Redelivered != 0 {
				t.Errorf("%+v", c)
			}
		})
	}
}

// A run of records that outlives its grant does not start its next record with
// the old token, nor with a context that ended meanwhile.
func TestTokenOfALongRun(t *testing.T) {
	t.Parallel()
	c := fake(t)
	b := orderlytest.Dial(t, c.ListenAddrs()...)
	topic := newTopic(t, b, 1)
	regranted := make(chan struct{})
	var once sync.Once
	var after seen[orderly.Message]
	var token atomic.Int64
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Concurrency: 1,
		Events: orderly.Events{Assigned: func(e orderly.AssignedEvent) {
			token.Store(e.FencingToken)
			if e.Regranted {
				once.Do(func() { close(regranted) })
			}
		}},
		Handler: func(_ context.Context, m *orderly.Message) error {
			switch string(m.Value) {
			case "slow":
				select {
				case <-regranted:
				case <-time.After(orderlytest.Patience):
					t.Error("not granted anew")
				}
			case "after":
				after.add(*m)
			}
			return nil
		}})
	m := g.Start()
	// Quick ones first, so that the next are taken in one run.
	for range 10 {
		b.Produce(topic, keyed(500, "k")...)
		g.WaitDone()
	}
	committed(t, b, m, topic, 0, 5000)
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.RebalanceInProgress, Count: 1})
	b.Produce(topic, orderlytest.Msg("k", "quick"), orderlytest.Msg("k", "slow"), orderlytest.Msg("k", "after"), orderlytest.Msg("k", "after"))
	g.WaitDone()
	if all := after.get(); len(all) != 2 || all[0].FencingToken != token.Load() || all[1].FencingToken != token.Load() {
		t.Errorf("%d records behind the slow one; token %d", len(all), token.Load())
	}
	g.RequireComplete(t)
}

// A grant that is answered only when the partition is being released already: the
// last commit must not put the old token back, for it would be given out again.
func TestTokenGrantedDuringADrain(t *testing.T) {
	t.Parallel()
	c := fake(t)
	b := orderlytest.Dial(t, c.ListenAddrs()...)
	topic := newTopic(t, b, 1)
	var refused seen[orderly.CommittedEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Handler: nothing,
		Events: orderly.Events{Committed: func(e orderly.CommittedEvent) {
			if e.Err != nil {
				refused.add(e)
			}
		}}})
	first := g.Start()
	b.Produce(topic, keyed(3, "k")...)
	committed(t, b, first, topic, 0, 3)

	granting, answer := make(chan struct{}), make(chan struct{})
	var once sync.Once
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.RebalanceInProgress, Count: 1})
	b.Produce(topic, keyed(3, "k")...)
	b.Eventually("the refusal", func() bool { return refused.len() > 0 })
	c.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		once.Do(func() {
			close(granting)
			c.SleepControl(func() { <-answer })
		})
		return nil, nil, false
	})
	<-granting
	ended := make(chan error, 1)
	go func() { ended <- first.Stop() }()
	b.Eventually("the drain", func() bool {
		p, ok := stateOf(first, topic, 0)
		return ok && slices.Contains(p.Reasons, "draining")
	})
	close(answer)
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	g.Start()
	b.Produce(topic, keyed(3, "k")...)
	g.WaitDone()
	g.RequireComplete(t)
}

// A partition without a leader holds up no other: what has a committed offset is
// granted without asking its log.
func TestLeaderlessPartitionHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	c := fake(t)
	b := orderlytest.Dial(t, c.ListenAddrs()...)
	topic := newTopic(t, b, 2)
	var got seen[string]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Handler: values(&got)})
	b.Produce(topic, orderlytest.Msg("k", "0").Partition(0), orderlytest.Msg("k", "0").Partition(1))
	m := g.Start()
	g.WaitDone()
	stopAll(t, m)
	fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: topic, Partitions: []int32{1}, Err: kerr.LeaderNotAvailable, Count: -1})
	defer fault.Remove()
	b.Produce(topic, orderlytest.Msg("k", "1").Partition(0), orderlytest.Msg("k", "1").Partition(1))
	g.Start()
	g.WaitDone()
	g.RequireComplete(t)
}
