package orderly_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Slow handlers on many workers while members join: no two handlers of a key at
// a time, over all members, for all of them live.
func TestOverlapCooperative(t *testing.T) { overlap(t, orderly.CooperativeSticky) }

func TestOverlapEager(t *testing.T) { overlap(t, orderly.Range) }

func overlap(t *testing.T, balancer orderly.Balancer) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 8)
	b.Produce(topic, keyed(12, names("key", 64)...)...)
	var running, most atomic.Int64
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Concurrency: 64, Balancer: balancer,
		Handler: func(ctx context.Context, m *orderly.Message) error {
			n := running.Add(1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			defer running.Add(-1)
			select {
			case <-time.After(300 * time.Millisecond): // the work
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}})
	members := []*orderlytest.Member{g.Start()}
	for left := 11 * 64; len(members) < 4; left -= 2 * 64 {
		b.Eventually("a part of the records to be done, and others to run when the member joins", func() bool { return g.Left() <= left && running.Load() > 0 })
		members = append(members, g.Start())
	}
	g.WaitDone()
	g.RequireComplete(t)
	if c := g.Counts(); c.ExcusedOverlaps != 0 || c.Redelivered != 0 {
		t.Errorf("%+v", c)
	}
	if n := most.Load(); n < 32 {
		t.Errorf("%d handlers at a time at the most: keys did not run side by side", n)
	}
	stopAll(t, members...)
}

// The invariant under everything at once: failures, rebalances, members that
// come, go and die, in both scopes.
func TestInvariantOneHandlerPerKey(t *testing.T)       { invariant(t, orderly.ScopeKey) }
func TestInvariantOneHandlerPerPartition(t *testing.T) { invariant(t, orderly.ScopePartition) }

func invariant(t *testing.T, scope orderly.Scope) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 4)
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Scope: scope, Concurrency: 16, SessionTimeout: time.Second,
		Retry: orderly.Retry{Backoff: time.Millisecond, MaxBackoff: 5 * time.Millisecond},
		Handler: func(_ context.Context, m *orderly.Message) error {
			switch rand.N(20) {
			case 0:
				return errBusy
			case 1:
				panic("at random")
			}
			return nil
		}})
	produce := func() { b.Produce(topic, keyed(10, names("key", 30)...)...) }
	members := []*orderlytest.Member{g.Start()}
	produce()
	members = append(members, g.Start())
	produce()
	g.Rebalance()
	produce()
	stopAll(t, members[0])
	produce()
	g.Start()
	dead := g.KillOwner(topic, 2)
	produce()
	g.Start()
	produce()
	g.WaitDone()
	g.RequireComplete(t)
	for p := range int32(4) {
		b.Eventually("the commit of the end", func() bool {
			owner := g.Owner(topic, p)
			st, ok := stateOf(owner, topic, p)
			return owner != dead && ok && st.Committed == b.End(topic, p)
		})
	}
}

// The broker assigns (KIP-848): the same invariant. One that does not refuses it.
func TestServerSideBalancer(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 4)
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Balancer: orderly.ServerSide, Concurrency: 16,
		Handler: func(_ context.Context, m *orderly.Message) error {
			if rand.N(20) == 0 {
				return errBusy
			}
			return nil
		}})
	produce := func() { b.Produce(topic, keyed(10, names("key", 30)...)...) }
	first := g.Start()
	if !assigns(t, b) {
		refusedServerSide(t, first)
		return
	}
	produce()
	g.WaitDone()
	second := g.Start()
	produce()
	b.Eventually("both to have partitions", func() bool {
		return len(first.Consumer().State().Partitions) == 2 && len(second.Consumer().State().Partitions) == 2
	})
	produce()
	stopAll(t, first)
	produce()
	g.WaitDone()
	g.RequireComplete(t)
	if c := g.Counts(); c.Redelivered != 0 || c.ExcusedOverlaps != 0 {
		t.Errorf("%+v", c)
	}
}

// assigns says whether the brokers assign partitions themselves: it is the feature
// group.version. Kafka 3.7 to 3.9 name the request already, and refuse it.
func assigns(t *testing.T, b *orderlytest.Broker) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), orderlytest.Patience)
	defer cancel()
	all, err := b.Admin().ApiVersions(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if one.Err != nil {
			t.Fatal(one.Err)
		}
		if !slices.ContainsFunc(one.Raw().FinalizedFeatures, func(f kmsg.ApiVersionsResponseFinalizedFeature) bool {
			return f.Name == "group.version" && f.MaxVersionLevel >= 1
		}) {
			return false
		}
	}
	return true
}

// Brokers that do not assign refuse the balancer by name: Kafka before 4.0, and
// later ones that were told to.
func refusedServerSide(t *testing.T, m *orderlytest.Member) {
	t.Helper()
	err := m.Wait()
	refusal, ok := errors.AsType[*orderly.AccessError](err)
	if !ok || refusal.Resource != "group" || refusal.Operation != "ConsumerGroupHeartbeat" {
		t.Errorf("Run: %v", err)
	}
	for _, part := range []string{"KIP-848", "Kafka 4.0", "CooperativeSticky"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("Run: %v; it does not say %q", err, part)
		}
	}
}
