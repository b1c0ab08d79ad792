package consume

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// begin opens a transaction on partition 0 and writes n records in it.
func begin(t *testing.T, b *orderlytest.Broker, id string, n int) (end func(commit bool)) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...), kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for range n {
		if err := cl.ProduceSync(limit(t), &kgo.Record{Topic: topic, Key: []byte(id), Value: []byte(id)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	return func(commit bool) {
		t.Helper()
		if err := cl.EndTransaction(limit(t), kgo.TransactionEndTry(commit)); err != nil {
			t.Fatal(err)
		}
	}
}

// The end is reached although the last offsets are no records: markers, records
// of an aborted transaction, and one that is still open behind.
func TestTheEndIsNoRecord(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(t *testing.T, b *orderlytest.Broker)
		done int64
	}{
		{"empty", func(*testing.T, *orderlytest.Broker) {}, 0},
		{"marker", func(t *testing.T, b *orderlytest.Broker) { begin(t, b, "a", 3)(true) }, 3},
		{"aborted", func(t *testing.T, b *orderlytest.Broker) {
			begin(t, b, "a", 2)(true)
			begin(t, b, "b", 3)(false)
		}, 2},
		{"open", func(t *testing.T, b *orderlytest.Broker) {
			begin(t, b, "a", 2)(true)
			begin(t, b, "b", 3)
		}, 2},
		// The abort's marker is behind the open transaction, where nobody reads
		// yet: the commit stays before records that are never handed over.
		{"aborted before open", func(t *testing.T, b *orderlytest.Broker) {
			abort := begin(t, b, "a", 3)
			begin(t, b, "b", 1)
			abort(false)
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := orderlytest.NewBroker(t, topic)
			c.make(t, b)
			res, err := Run(limit(t), options(t, b, new(lines)))
			if err != nil || !res.AtEnd || res.Done != c.done {
				t.Errorf("%+v, %v", res, err)
			}
		})
	}
}

// Compaction leaves offsets at which there is no record, here also the last one
// before the end that was seen.
func TestTheEndWasCompacted(t *testing.T) {
	t.Parallel()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.CreateTopic(topic, 1, map[string]string{"cleanup.policy": "compact"}); err != nil {
		t.Fatal(err)
	}
	b := orderlytest.Dial(t, c.ListenAddrs()...)
	write(t, b, "a", "1")
	write(t, b, "b", "2")
	write(t, b, "a", "3") // to be replaced by what comes after the start
	out := &lines{got: func(n int) {
		if n > 1 {
			return
		}
		write(t, b, "a", "4")
		write(t, b, "z", "5") // the newest is never compacted
		c.Compact()
	}}
	o := options(t, b, out)
	o.Concurrency = 1
	res, err := Run(limit(t), o)
	if err != nil || !res.AtEnd {
		t.Errorf("%+v, %v", res, err)
	}

	// What a reader finds that comes only now.
	w := &watch{cl: b.Client(), adm: b.Admin(), topic: topic}
	for _, c := range []struct {
		from, to int64
		want     bool
	}{
		{1, 2, false},
		{1, 3, false},
		{2, 3, true}, // a: replaced
		{2, 4, false},
		{5, 5, true},
	} {
		if got, err := w.nothingBetween(limit(t), 0, c.from, c.to, false); err != nil || got != c.want {
			t.Errorf("nothing from %d to %d: %v, %v", c.from, c.to, got, err)
		}
	}
}

// With another member in the group the end is that of both their partitions.
func TestTheEndOfTwoMembers(t *testing.T) {
	t.Parallel()
	b := orderlytest.NewBroker(t, topic)
	var kvs []string
	for _, k := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		kvs = append(kvs, k, "1", k, "2")
	}
	write(t, b, kvs...)
	type outcome struct {
		res Result
		err error
	}
	ends := make(chan outcome)
	for range 2 {
		o := options(t, b, new(lines))
		go func() {
			res, err := Run(limit(t), o)
			ends <- outcome{res, err}
		}()
	}
	sum := int64(0)
	for range 2 {
		e := <-ends
		if e.err != nil || !e.res.AtEnd {
			t.Errorf("%+v, %v", e.res, e.err)
		}
		sum += e.res.Done
	}
	if sum != 16 || committed(t, b, "g") != 16 {
		t.Errorf("%d done, %d committed", sum, committed(t, b, "g"))
	}
}

// Partitions that have no leader at the start are waited for.
func TestNoLeaderAtTheStart(t *testing.T) {
	t.Parallel()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, topic), kfake.GroupMinSessionTimeout(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	b := orderlytest.Dial(t, c.ListenAddrs()...)
	write(t, b, "a", "1", "b", "2", "c", "3")
	left := atomic.Int32{}
	left.Store(3)
	c.ControlKey(int16(kmsg.ListOffsets), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if left.Add(-1) < 0 {
			return nil, nil, false
		}
		req := kreq.(*kmsg.ListOffsetsRequest)
		resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, rt := range req.Topics {
			at := kmsg.NewListOffsetsResponseTopic()
			at.Topic = rt.Topic
			for _, rp := range rt.Partitions {
				ap := kmsg.NewListOffsetsResponseTopicPartition()
				ap.Partition, ap.ErrorCode = rp.Partition, kerr.LeaderNotAvailable.Code
				at.Partitions = append(at.Partitions, ap)
			}
			resp.Topics = append(resp.Topics, at)
		}
		return resp, nil, true
	})
	o := options(t, b, new(lines))
	o.Cluster.Opts = append(o.Cluster.Opts, kgo.RetryBackoffFn(func(int) time.Duration { return time.Millisecond }))
	res, err := Run(limit(t), o)
	if err != nil || !res.AtEnd || res.Done != 3 || left.Load() >= 0 {
		t.Errorf("%+v, %v, %d", res, err, left.Load())
	}
}

// What does not pass is told at once.
func TestNoAccessAtTheStart(t *testing.T) {
	t.Parallel()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	b := orderlytest.Dial(t, c.ListenAddrs()...)
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	_, err = Run(limit(t), options(t, b, new(lines)))
	if e, ok := errors.AsType[*orderly.AccessError](err); !ok || e.Name != topic || !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("%v", err)
	}
}
