package orderly_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// parkingTopic is the name of a group's parking topic.
func parkingTopic(t *testing.T, g *orderlytest.Group, topic string) string {
	t.Helper()
	name, err := parking.TopicName(parking.DefaultPrefix, g.Name(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func alwaysBad(m *orderly.Message) error {
	if string(m.Key) == "bad" {
		return orderly.Permanent(errBusy)
	}
	return nil
}

// What was parked stays parked under another policy: the key's records still wait
// behind it, in order.
func TestParkedUnderAnotherPolicy(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	c := &calls{bad: alwaysBad}
	g := b.Group(orderly.ConsumerConfig{OnExhausted: orderly.PolicyPark, Topics: []string{topic}, Handler: c.handle})
	b.Produce(topic, keyed(3, "bad")...)
	m := g.Start()
	committed(t, b, m, topic, 0, 3)
	stopAll(t, m)
	m = g.Start(func(cfg *orderly.ConsumerConfig) { cfg.OnExhausted = orderly.PolicyStop })
	b.Produce(topic, keyed(1, "bad", "good")...)
	committed(t, b, m, topic, 0, 5)
	parkedRecords(t, b, m, topic, 1, 4)
	c.mended.Store(true)
	if ans, err := admin(t, b, g).Retry(patient(t), orderly.Command{Topic: topic, Key: []byte("bad")}); err != nil || ans.Result != "released" {
		t.Fatalf("%+v, %v", ans, err)
	}
	if got := c.of("bad"); !slices.Equal(got, []string{"0", "1", "2", "0"}) {
		t.Errorf("bad: %v", got)
	}
	stopAll(t, m)
}

// A parking topic that appears while a partition is held is used from then on.
func TestParkingTopicAppears(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	var got seen[string]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, OnExhausted: orderly.PolicyBlock, Handler: values(&got),
		KafkaOpts: []kgo.Opt{kgo.MetadataMaxAge(300 * time.Millisecond)}})
	b.Produce(topic, keyed(2, "a")...)
	m := g.Start()
	committed(t, b, m, topic, 0, 2)
	if p, _ := stateOf(m, topic, 0); p.Parking.Topic != "" {
		t.Fatalf("a parking topic under block: %+v", p.Parking)
	}
	name := parkingTopic(t, g, topic)
	b.CreateTopic(name, 1)
	b.Eventually("the topic to be in use", func() bool {
		p, _ := stateOf(m, topic, 0)
		return p.Parking.Topic == name && len(p.Reasons) == 0
	})
	b.Produce(topic, keyed(2, "a")...)
	committed(t, b, m, topic, 0, 4)
	g.RequireComplete(t)
	stopAll(t, m)
}

// A parking topic that is gone, or another one, while records are parked: the partition
// waits by name, and nothing of it runs or is committed; other topics go on.
func TestParkingTopicGoneWhileRecordsAreParked(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprintf("made again %t", again), func(t *testing.T) {
			t.Parallel()
			b := engine(t)
			topic, other := newTopic(t, b, 1), newTopic(t, b, 1)
			c := &calls{bad: alwaysBad}
			g := b.Group(orderly.ConsumerConfig{OnExhausted: orderly.PolicyPark, Topics: []string{topic, other}, Handler: c.handle})
			b.Produce(topic, keyed(2, "bad")...)
			m := g.Start()
			committed(t, b, m, topic, 0, 2)
			stopAll(t, m)
			b.DeleteTopic(parkingTopic(t, g, topic))
			if again {
				b.CreateTopic(parkingTopic(t, g, topic), 1)
			}
			b.Produce(topic, orderlytest.Msg("good", "0"))
			b.Produce(other, orderlytest.Msg("other", "0"))
			m = g.Start(func(cfg *orderly.ConsumerConfig) { cfg.Parking.NoCreate, cfg.OnExhausted = true, orderly.PolicyBlock })
			b.Eventually("the partition to wait by name", func() bool {
				p, ok := stateOf(m, topic, 0)
				return ok && slices.Contains(p.Reasons, "parking-mismatch") && strings.Contains(p.Parking.Cause, "parked in it")
			})
			committed(t, b, m, other, 0, 1)
			if p, _ := stateOf(m, topic, 0); p.Committed != 2 || len(c.of("good")) != 0 {
				t.Errorf("committed %d, good %v", p.Committed, c.of("good"))
			}
			stopAll(t, m)
		})
	}
}

// A group that was rewound, or lost its offsets, while records are parked stops at its
// start, by name.
func TestGroupRewoundWhileRecordsAreParked(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"rewound", "deleted"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			b := engine(t)
			topic := newTopic(t, b, 1)
			c := &calls{bad: alwaysBad}
			g := b.Group(orderly.ConsumerConfig{OnExhausted: orderly.PolicyPark, Topics: []string{topic}, Handler: c.handle})
			b.Produce(topic, keyed(2, "bad")...)
			m := g.Start()
			committed(t, b, m, topic, 0, 2)
			stopAll(t, m)
			b.Eventually("the group to be empty", func() bool {
				var err error
				if how == "rewound" {
					var os kadm.Offsets
					os.AddOffset(topic, 0, 0, -1)
					_, err = b.Admin().CommitOffsets(context.Background(), g.Name(), os)
				} else {
					_, err = b.Admin().DeleteGroup(context.Background(), g.Name())
				}
				return err == nil
			})
			var bad *orderly.ParkingTopicError
			if err := g.Start().Wait(); !errors.As(err, &bad) || bad.Source != topic || !strings.Contains(err.Error(), "no commit for this partition") {
				t.Errorf("Run: %v", err)
			}
		})
	}
}

// A record that is no entry stops its partition, with its position.
func TestParkingTopicDamaged(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 2)
	var ran atomic.Int64
	g := b.Group(orderly.ConsumerConfig{OnExhausted: orderly.PolicyPark, Topics: []string{topic}, Handler: func(context.Context, *orderly.Message) error { ran.Add(1); return nil }})
	m := g.Start()
	b.Produce(topic, orderlytest.Msg("a", "0").Partition(0), orderlytest.Msg("a", "0").Partition(1))
	committed(t, b, m, topic, 0, 1)
	committed(t, b, m, topic, 1, 1)
	b.Produce(parkingTopic(t, g, topic), orderlytest.Msg("not", "an entry").Partition(0))
	b.Eventually("the partition to stop, with the position", func() bool {
		p, _ := stateOf(m, topic, 0)
		return slices.Contains(p.Reasons, "parking-damaged") && strings.Contains(p.Parking.Cause, "partition 0 offset ")
	})
	b.Produce(topic, orderlytest.Msg("a", "1").Partition(0), orderlytest.Msg("a", "1").Partition(1))
	committed(t, b, m, topic, 1, 2)
	if p, _ := stateOf(m, topic, 0); p.Committed != 1 || ran.Load() != 3 {
		t.Errorf("committed %d, %d handled", p.Committed, ran.Load())
	}
	stopAll(t, m)
}

// In partition scope the whole partition is parked together, when asked for by name.
func TestParkPartitionScope(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	c := &calls{bad: alwaysBad}
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Scope: orderly.ScopePartition, OnExhausted: orderly.PolicyPark, Handler: c.handle})
	b.Produce(topic, keyed(3, "good", "bad")...)
	m := g.Start()
	committed(t, b, m, topic, 0, 6)
	parkedRecords(t, b, m, topic, 1, 5)
	c.mended.Store(true)
	if ans, err := admin(t, b, g).Retry(patient(t), orderly.Command{Topic: topic}); err != nil || ans.Result != "released" {
		t.Fatalf("%+v, %v", ans, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(c.all, []string{"good/0", "bad/0", "good/1", "bad/1", "good/2", "bad/2"}) {
		t.Errorf("%v", c.all)
	}
	stopAll(t, m)
}

// A batch handler's keys are parked alone; the lane goes on.
func TestParkBatch(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	var mended atomic.Bool
	g := b.Group(orderly.ConsumerConfig{OnExhausted: orderly.PolicyPark, Topics: []string{topic}, Lanes: 2, Retry: orderly.Retry{MaxAttempts: 2},
		Batch: orderly.Batch{Max: 10, Handler: func(_ context.Context, ms []*orderly.Message) (int, error) {
			for i, m := range ms {
				if string(m.Key) == "bad" && !mended.Load() {
					return i, errBusy
				}
			}
			return len(ms), nil
		}}})
	b.Produce(topic, keyed(5, "bad", "a", "b", "c")...)
	m := g.Start()
	committed(t, b, m, topic, 0, 20)
	parkedRecords(t, b, m, topic, 1, 5)
	mended.Store(true)
	if ans, err := admin(t, b, g).Retry(patient(t), orderly.Command{Topic: topic, Key: []byte("bad")}); err != nil || ans.Result != "released" {
		t.Fatalf("%+v, %v", ans, err)
	}
	g.WaitDone()
	g.RequireComplete(t)
	stopAll(t, m)
}

// By default records without a key block, for one of them would park all of them.
func TestNullKeysBlockByDefault(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	c := &calls{bad: func(m *orderly.Message) error {
		if m.Key == nil {
			return orderly.Permanent(errBusy)
		}
		return nil
	}}
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Handler: c.handle})
	b.Produce(topic, orderlytest.NullKeyMsg("0"), orderlytest.Msg("good", "0"))
	m := g.Start()
	b.Eventually("the record to block", func() bool {
		p, _ := stateOf(m, topic, 0)
		return len(p.Oldest) == 1 && p.Oldest[0].State == "permanent" && len(c.of("good")) == 1
	})
	if p, _ := stateOf(m, topic, 0); p.Committed != 0 || p.Parking.Records != 0 {
		t.Errorf("%+v", p)
	}
	stopAll(t, m)
}

// Records that retention has deleted are passed by Reset; what is parked stays.
func TestParkedThroughAReset(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	c := &calls{bad: alwaysBad}
	g := b.Group(orderly.ConsumerConfig{OnExhausted: orderly.PolicyPark, Topics: []string{topic}, Reset: orderly.ResetEarliest, Handler: c.handle})
	b.Produce(topic, keyed(2, "bad")...)
	m := g.Start()
	committed(t, b, m, topic, 0, 2)
	stopAll(t, m)
	b.Produce(topic, keyed(4, "good")...)
	var to kadm.Offsets
	to.AddOffset(topic, 0, 4, -1)
	if _, err := b.Admin().DeleteRecords(patient(t), to); err != nil {
		t.Fatal(err)
	}
	m = g.Start()
	committed(t, b, m, topic, 0, 6)
	parkedRecords(t, b, m, topic, 1, 2)
	if got := c.of("good"); !slices.Equal(got, numbers(2, 2)) {
		t.Errorf("good: %v", got)
	}
	stopAll(t, m)
}
