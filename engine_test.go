package orderly_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/kafkatest"
	"github.com/orderly-go/orderly/orderlytest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(stuckEnv) != "" {
		stuckProcess()
		return
	}
	if os.Getenv(killedEnv) != "" {
		killedProcess()
		return
	}
	if os.Getenv(crashEnv) != "" {
		crashProcess()
		return
	}
	goleak.VerifyTestMain(m)
}

// engine gives the test the Kafka that the behaviour suite runs on: the one at
// the addresses of ORDERLY_KAFKA (which has to allow sessions of a second), else
// a broker in this process. Files named _fake_test.go hold what only the latter
// can do.
func engine(t *testing.T) *orderlytest.Broker {
	t.Helper()
	if addrs := os.Getenv("ORDERLY_KAFKA"); addrs != "" {
		return orderlytest.Dial(t, strings.Split(addrs, ",")...)
	}
	return orderlytest.NewBroker(t)
}

// newTopic makes a topic with a name that no other test has.
func newTopic(t *testing.T, b *orderlytest.Broker, partitions int32, configs ...string) string {
	t.Helper()
	name := kafkatest.Name(t, "t")
	b.CreateTopic(name, partitions, configs...)
	return name
}

// keyed makes n records for each of the keys, in turn: a/0 b/0 a/1 b/1 ...
func keyed(n int, keys ...string) (recs []orderlytest.Record) {
	for i := range n {
		for _, k := range keys {
			recs = append(recs, orderlytest.Msg(k, fmt.Sprint(i)))
		}
	}
	return recs
}

// names makes n different keys.
func names(prefix string, n int) (keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprintf("%s%d", prefix, i))
	}
	return keys
}

// seen collects what events and handlers tell.
type seen[E any] struct {
	mu  sync.Mutex
	all []E
}

func (s *seen[E]) add(e E) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, e)
}

func (s *seen[E]) get() []E {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]E(nil), s.all...)
}

func (s *seen[E]) any(is func(E) bool) bool {
	for _, e := range s.get() {
		if is(e) {
			return true
		}
	}
	return false
}

func (s *seen[E]) len() int { return len(s.get()) }

// stateOf is the member's state of a partition, and whether it has it.
func stateOf(m *orderlytest.Member, topic string, partition int32) (orderly.PartitionState, bool) {
	for _, p := range m.Consumer().State().Partitions {
		if p.Topic == topic && p.Partition == partition {
			return p, true
		}
	}
	return orderly.PartitionState{}, false
}

// committed waits until the member has committed the offset.
func committed(t *testing.T, b *orderlytest.Broker, m *orderlytest.Member, topic string, partition int32, offset int64) {
	t.Helper()
	b.Eventually(fmt.Sprintf("commit of offset %d of %s/%d", offset, topic, partition), func() bool {
		p, ok := stateOf(m, topic, partition)
		return ok && p.Committed == offset
	})
}

// caughtUp waits until the member has committed the end of the log. A transaction
// may end a moment after its producer was told so: the end is asked for each time.
func caughtUp(t *testing.T, b *orderlytest.Broker, m *orderlytest.Member, topic string, partition int32) {
	t.Helper()
	b.Eventually(fmt.Sprintf("commit of the end of %s/%d", topic, partition), func() bool {
		p, ok := stateOf(m, topic, partition)
		return ok && p.Committed == b.End(topic, partition)
	})
}

// eventually is Broker.Eventually for tests that have no broker.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(orderlytest.Patience); !condition(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", orderlytest.Patience, what)
		}
	}
}

// stopAll ends the members in order, and fails when one does not end well.
func stopAll(t *testing.T, members ...*orderlytest.Member) {
	t.Helper()
	for _, m := range members {
		if err := m.Stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}
