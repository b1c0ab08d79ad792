//go:build synctests

package sim

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/history"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Offsets of a topic that was deleted mean nothing in the next one of its name.
func TestTopicDeletedAndCreatedAgain(t *testing.T) {
	scene(t, 1, func(t *testing.T, w *world) {
		a := w.start("a", short())
		w.produce(many(10))
		w.caughtUp(time.Minute)
		if err := w.c.DeleteTopic(topicName); err != nil {
			t.Fatal(err)
		}
		if err := w.c.CreateTopic(topicName, 1, nil); err != nil {
			t.Fatal(err)
		}
		w.until("the consumer stops", 5*time.Minute, func() bool { return !a.running() })
		var replaced *orderly.TopicRecreatedError
		if !errors.As(a.err, &replaced) || replaced.Old == replaced.New || replaced.New == "" {
			t.Fatalf("Run ended with %v", a.err)
		}
		// Commits of a topic go with it, and come again when somebody restores them.
		w.h.forget()
		w.cl.PurgeTopicsFromClient(topicName)
		w.ends[0] = 0
		w.produce(many(5))
		b := w.start("b", short())
		w.until("the new topic is read from its start", time.Minute, func() bool { return len(w.starts(4)) == 1 })
		if n := len(w.starts(0)); n != 1 {
			t.Errorf("the new topic's first record was begun %d times", n)
		}
		b.leave()
		if b.err != nil {
			t.Error(b.err)
		}
	})
}

// A topic that stays away ends Run too.
func TestTopicDeleted(t *testing.T) {
	scene(t, 1, func(t *testing.T, w *world) {
		a := w.start("a", short())
		w.produce(many(10))
		w.caughtUp(time.Minute)
		if err := w.c.DeleteTopic(topicName); err != nil {
			t.Fatal(err)
		}
		w.until("the consumer stops", 10*time.Minute, func() bool { return !a.running() })
		var replaced *orderly.TopicRecreatedError
		if !errors.As(a.err, &replaced) || replaced.New != "" {
			t.Errorf("Run ended with %v", a.err)
		}
	})
}

// Records that were deleted before they were handled: stop, or go on by name.
func TestOffsetOutOfRange(t *testing.T) {
	scene(t, 1, func(t *testing.T, w *world) {
		a := w.start("a", short())
		w.produce(many(10))
		w.caughtUp(time.Minute)
		a.leave()
		w.h.forget()
		w.produce(many(10))
		if err := w.c.DeleteRecords(topicName, 0, 15); err != nil {
			t.Fatal(err)
		}
		b := w.start("b", short())
		w.until("the consumer stops", time.Minute, func() bool { return !b.running() })
		var out *orderly.OffsetRangeError
		if !errors.As(b.err, &out) || out.Offset != 10 || out.Start != 15 || out.End != 20 {
			t.Fatalf("Run ended with %v", b.err)
		}
		c := short()
		c.Reset = orderly.ResetEarliest
		m := w.start("c", c)
		w.caughtUp(time.Minute)
		if !m.warned("offset-reset") || len(w.starts(14)) != 0 || len(w.starts(15)) != 1 {
			t.Errorf("with ResetEarliest it goes on at the oldest record, and says so")
		}
	})
}

// The records before the position go while it is being read.
func TestOffsetOutOfRangeWhileReading(t *testing.T) {
	scene(t, 1, func(t *testing.T, w *world) {
		s := newScript()
		s.set("n0", busyFor(30*time.Second))
		c := short()
		c.act = s.act
		c.Buffer.Window = 16
		a := w.start("a", c)
		w.produce(many(200))
		w.running(a, 0)
		time.Sleep(2 * time.Second)
		if err := w.c.DeleteRecords(topicName, 0, 190); err != nil {
			t.Fatal(err)
		}
		w.produce(keys("later"))
		// What is buffered in the client is not concerned.
		w.until("all is done, or Run has ended", 5*time.Minute, func() bool { return !a.running() || len(w.behind()) == 0 })
		var out *orderly.OffsetRangeError
		if !a.running() && !errors.As(a.err, &out) {
			t.Errorf("Run ended with %v", a.err)
		}
	})
}

// A partition that is added is read from its oldest record, and it is said which
// keys may have moved.
func TestPartitionsGrow(t *testing.T) {
	scene(t, 1, func(t *testing.T, w *world) {
		c := short()
		c.Start = orderly.StartLatest() // what comes to a new partition is not old
		a := w.start("a", c)
		w.owns(a)
		w.grow()
		w.produce([]keyed{{partition: 1, key: []byte("k"), value: "1"}})
		w.caughtUp(10 * time.Minute)
		w.until("it is said", time.Minute, func() bool { return a.warned("partitions-grew") })
		w.verdict(orderly.ScopeKey, true)
	})
}

// Whoever commits for the group besides us is noticed at the next assignment.
func TestForeignCommitIsNoticed(t *testing.T) {
	for name, metadata := range map[string]*string{"none": nil, "of somebody else": kmsg.StringPtr("host-17")} {
		t.Run(name, func(t *testing.T) {
			scene(t, 1, func(t *testing.T, w *world) {
				w.produce(many(10))
				req := kmsg.NewPtrOffsetCommitRequest()
				req.Group, req.Generation = groupName, -1
				rt := kmsg.NewOffsetCommitRequestTopic()
				rt.Topic, rt.TopicID = topicName, w.c.TopicInfo(topicName).TopicID
				rp := kmsg.NewOffsetCommitRequestTopicPartition()
				rp.Offset, rp.Metadata = 4, metadata
				rt.Partitions = append(rt.Partitions, rp)
				req.Topics = append(req.Topics, rt)
				if _, err := req.RequestWith(context.Background(), w.cl); err != nil {
					t.Fatal(err)
				}
				a := w.start("a", short())
				w.caughtUp(time.Minute)
				if !a.warned("foreign-commit") {
					t.Errorf("nobody was told")
				}
				if len(w.starts(3)) != 0 || len(w.starts(4)) != 1 {
					t.Errorf("the foreign offset was not taken over")
				}
			})
		})
	}
}

// A plain consumer in the group is named.
func TestForeignMemberIsNoticed(t *testing.T) {
	scene(t, 2, func(t *testing.T, w *world) {
		a := w.start("a", short())
		w.owns(a)
		cl, err := kgo.NewClient(kgo.SeedBrokers(w.addrs...), kgo.Dialer(newHost(w.f).dial), kgo.ConsumerGroup(groupName),
			kgo.ConsumeTopics(topicName), kgo.ClientID("plain"), kgo.DisableAutoCommit())
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		w.until("a partition has gone", time.Minute, func() bool { return w.count(history.Release, "a") == 1 })
		b := w.start("b", short())
		w.until("it is said", 5*time.Minute, func() bool { return a.warned("foreign-member") || b.warned("foreign-member") })
	})
}

// limitMetadata lets the brokers refuse commits with more metadata.
func (w *world) limitMetadata(limit int) {
	w.c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.OffsetMetadataTooLarge, Count: -1, When: func(r kmsg.Request) bool {
		for _, t := range r.(*kmsg.OffsetCommitRequest).Topics {
			for _, p := range t.Partitions {
				if p.Metadata != nil && len(*p.Metadata) > limit {
					return true
				}
			}
		}
		return false
	}})
}

// A broker with a smaller limit for commit metadata refuses what does not fit: then
// less is recorded, and the offsets are committed all the same.
func TestBrokerAllowsLessMetadata(t *testing.T) {
	scene(t, 1, func(t *testing.T, w *world) {
		const limit = 300
		w.limitMetadata(limit)
		s := newScript()
		recs := many(4000)
		for i, r := range recs {
			if i%3 == 0 { // so that what is done ahead is many small runs
				s.set(string(r.key), busyFor(20*time.Second))
			}
		}
		c := short()
		c.act, c.Concurrency = s.act, 4000
		var lost atomic.Int64
		c.Events.Committed = func(e orderly.CommittedEvent) { lost.Add(e.NotRecorded) }
		a := w.start("a", c)
		w.produce(keys("first"))
		w.produce(recs)
		w.until("a commit with done-ahead is accepted", time.Minute, func() bool {
			st, ok := w.h.committed(topicName, 0)
			return ok && len(st.meta.Ahead) > 0
		})
		if st, _ := w.h.committed(topicName, 0); len(st.text) > limit {
			t.Fatalf("the broker accepted %d characters: this test shows nothing", len(st.text))
		}
		w.caughtUp(2 * time.Minute)
		if lost.Load() == 0 {
			t.Errorf("everything fitted into %d characters: this test shows nothing", limit)
		}
		if n := w.count(history.Own, "a"); n != 1 || !a.running() {
			t.Errorf("the partition was granted %d times: a refusal for its size is none of the membership", n)
		}
		w.verdict(orderly.ScopeKey, true)
	})
}
